"""What differs between the versions of FIX, as one table (FIX 4.0 to 4.4 volume 2, FIXT 1.1). Inline; may depend on
nothing."""

from libc.stdint cimport uint8_t, uint32_t

cdef extern from * nogil:
    """
    #ifndef GATEWAY_VERSION
    #define GATEWAY_VERSION
    #include <stdint.h>
    #include <string.h>
    typedef struct {
        const char *begin_string;
        uint32_t end_seq_infinity;     /* EndSeqNo (16) for "all that follow" */
        uint8_t timestamp_digits;      /* most digits of fraction in a UTCTimestamp */
        uint8_t last_reject_reason;    /* greatest SessionRejectReason (373); 0: Reject has neither 371, 372 nor 373 */
        uint8_t reset_flag;            /* ResetSeqNumFlag (141) */
        uint8_t locations;             /* OnBehalfOfLocationID (144), DeliverToLocationID (145) */
        uint8_t business_reject;       /* BusinessMessageReject (35=j) */
        uint8_t appl_ver_id;           /* DefaultApplVerID (1137) in Logon, ApplVerID (1128) in the header */
    } fix_version_t;
    static const fix_version_t fix_versions[] = {
        {"FIX.4.0", 999999, 0, 0, 0, 0, 0, 0},
        {"FIX.4.1", 999999, 0, 0, 1, 1, 0, 0},
        {"FIX.4.2", 0, 9, 11, 1, 1, 1, 0},     /* the text says 3 digits; counterparties of 4.2 and 4.4 take more */
        {"FIX.4.3", 0, 9, 17, 1, 1, 1, 0},
        {"FIX.4.4", 0, 9, 17, 1, 1, 1, 0},
        {"FIXT.1.1", 0, 9, 99, 1, 1, 1, 1},
    };
    static inline const fix_version_t *fix_version(const uint8_t *begin_string) {
        for (unsigned i = 0; i < sizeof fix_versions / sizeof fix_versions[0]; i++)
            if (strcmp(fix_versions[i].begin_string, (const char *)begin_string) == 0) return &fix_versions[i];
        return 0;
    }
    /* SessionRejectReason (373) in words, as the specification has them. */
    static inline const char *reject_text(uint32_t reason) {
        static const char *const texts[] = {
            "Invalid tag number", "Required tag missing", "Tag not defined for this message type", "Undefined Tag",
            "Tag specified without a value", "Value is incorrect (out of range) for this tag",
            "Incorrect data format for value", "Decryption problem", "Signature problem", "CompID problem",
            "SendingTime accuracy problem", "Invalid MsgType", "XML Validation error", "Tag appears more than once",
            "Tag specified out of required order", "Repeating group fields out of order",
            "Incorrect NumInGroup count for repeating group",
            "Non \\"Data\\" value includes field delimiter (SOH character)",
            "Invalid/Unsupported Application Version",
        };
        return reason < sizeof texts / sizeof texts[0] ? texts[reason] : "Other";
    }
    #endif
    """
    ctypedef struct fix_version_t:
        const char* begin_string
        uint32_t end_seq_infinity
        uint8_t timestamp_digits
        uint8_t last_reject_reason
        uint8_t reset_flag
        uint8_t locations
        uint8_t business_reject
        uint8_t appl_ver_id
    const fix_version_t* fix_version(const uint8_t* begin_string)     # NULL: no version that is known here
    const char* reject_text(uint32_t reason)


cdef enum session_reject_reason:      # SessionRejectReason (373)
    REASON_INVALID_TAG = 0
    REASON_REQUIRED_TAG_MISSING = 1
    REASON_TAG_NOT_DEFINED_FOR_TYPE = 2
    REASON_UNDEFINED_TAG = 3
    REASON_TAG_WITHOUT_VALUE = 4
    REASON_VALUE_INCORRECT = 5
    REASON_BAD_FORMAT = 6
    REASON_COMP_ID_PROBLEM = 9
    REASON_SENDING_TIME_PROBLEM = 10
    REASON_INVALID_MSG_TYPE = 11
    REASON_TAG_REPEATED = 13
    REASON_TAG_OUT_OF_ORDER = 14
    REASON_GROUP_OUT_OF_ORDER = 15
    REASON_GROUP_COUNT = 16
    REASON_APPL_VER_ID = 18
