"""A data dictionary as flat tables, and the validation of a message against it (FIX 4.4 volume 2, test cases 14, 15).

Made once at start-up from what gateway.fix.dictionary reads, and never changed: any number of sessions share one. May
depend on: parser, version (reasons). Never allocates while it validates; knows nothing of sequence numbers or sessions.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .parser cimport message_t


# What is checked; names of QuickFIX's settings in brackets.
cdef enum dictionary_check:
    CHECK_FORMATS = 1            # values have the format of their type, and one of the values listed
    CHECK_VALUES = 2             # no field is empty [ValidateFieldsHaveValues]
    CHECK_ORDER = 4              # header, body, trailer in this order [ValidateFieldsOutOfOrder]
    CHECK_USER_FIELDS = 8        # tags from 5000 on are defined too [ValidateUserDefinedFields]
    CHECK_UNKNOWN_FIELDS = 16    # every field is defined, and for this message [AllowUnknownMsgFields=N]
    CHECK_UNKNOWN_MESSAGES = 32  # the MsgType is defined
    CHECK_REQUIRED = 64          # [CheckRequiredFields]
    CHECK_GROUP_ORDER = 128      # fields of a repeating group come in its order [ValidateUnorderedGroupFields]


cdef enum:
    CHECK_ALL = 255
    MAX_SCOPE_FIELDS = 1024      # members of one message, header, trailer or group
    NO_SCOPE = 0xFFFF
    FIRST_USER_TAG = 5000


cdef enum value_type:
    VALUE_STRING = 0
    VALUE_CHAR = 1
    VALUE_INT = 2
    VALUE_UINT = 3               # Length, SeqNum, NumInGroup, TagNum
    VALUE_DECIMAL = 4            # float, Qty, Price, PriceOffset, Amt, Percentage
    VALUE_BOOLEAN = 5
    VALUE_UTC_TIMESTAMP = 6
    VALUE_UTC_TIME = 7
    VALUE_DATE = 8               # YYYYMMDD
    VALUE_MONTH_YEAR = 9
    VALUE_DAY_OF_MONTH = 10
    VALUE_DATA = 11


cdef enum field_flag:
    FIELD_IN_HEADER = 1
    FIELD_IN_TRAILER = 2
    FIELD_LISTED = 4             # has a list of values
    FIELD_MULTIPLE = 8           # several values with spaces between


cdef struct field_info_t:
    uint8_t type                 # value_type
    uint8_t flags                # field_flag
    uint64_t letters[4]          # FIELD_LISTED: the values of one byte, as bits


cdef struct member_t:            # slot of a scope's hash table; tag 0: free
    uint32_t tag
    uint16_t position            # from 0, in the order of definition
    uint16_t group               # scope of the repeating group that this field counts; NO_SCOPE: none


cdef struct scope_t:
    uint32_t first_slot
    uint32_t slot_mask
    uint32_t delimiter           # group: tag of its first field
    uint16_t member_count
    uint32_t first_word          # of required[] below: one bit per position
    uint32_t first_tag           # of tags[] below


cdef struct message_slot_t:
    uint32_t msg_type            # as in message_t; 0: free
    uint16_t scope


cdef struct listed_t:            # slot of a value longer than one byte; length 0: free
    uint32_t tag
    uint32_t offset
    uint32_t length


cdef struct dictionary_t:
    uint16_t* info_of_tag        # index into infos, 0: not defined
    uint32_t max_tag
    field_info_t* infos
    scope_t* scopes
    member_t* slots
    uint64_t* required
    uint32_t* tags               # per scope, by position
    message_slot_t* messages
    uint32_t message_mask
    listed_t* listed
    uint32_t listed_mask
    uint8_t* texts
    uint16_t header
    uint16_t trailer


# -1: valid under `checks`. Else a session_reject_reason, and in tag[0] the field it is about, 0 for none.
cdef int dictionary_validate(const dictionary_t* d, const message_t* m, uint32_t checks, uint32_t* tag) noexcept nogil

# Whether the dictionary has this MsgType.
cdef bint dictionary_knows(const dictionary_t* d, const message_t* m) noexcept nogil


cdef class Dictionary:
    cdef dictionary_t tables
    cdef _set_fields(self, list fields)
    cdef _set_listed(self, list pairs)
    cdef _set_scopes(self, list scopes)
    cdef _set_members(self, scope_t* scope, list members)
    cdef _set_messages(self, list messages)
