"""FIX tag numbers and message types that the gateway itself looks at, and which length field precedes which data
field."""

from libc.stdint cimport uint32_t, uint64_t


cdef enum:
    SOH = 1
    TAG_BEGIN_SEQ_NO = 7
    TAG_BEGIN_STRING = 8
    TAG_BODY_LENGTH = 9
    TAG_CHECK_SUM = 10
    TAG_CL_ORD_ID = 11
    TAG_END_SEQ_NO = 16
    TAG_MSG_SEQ_NUM = 34
    TAG_MSG_TYPE = 35
    TAG_NEW_SEQ_NO = 36
    TAG_POSS_DUP_FLAG = 43
    TAG_REF_SEQ_NUM = 45
    TAG_SENDER_COMP_ID = 49
    TAG_SENDING_TIME = 52
    TAG_TARGET_COMP_ID = 56
    TAG_TEXT = 58
    TAG_POSS_RESEND = 97
    TAG_ENCRYPT_METHOD = 98
    TAG_HEART_BT_INT = 108
    TAG_TEST_REQ_ID = 112
    TAG_ON_BEHALF_OF_COMP_ID = 115
    TAG_ON_BEHALF_OF_SUB_ID = 116
    TAG_ORIG_SENDING_TIME = 122
    TAG_GAP_FILL_FLAG = 123
    TAG_DELIVER_TO_COMP_ID = 128
    TAG_DELIVER_TO_SUB_ID = 129
    TAG_RESET_SEQ_NUM_FLAG = 141
    TAG_ON_BEHALF_OF_LOCATION_ID = 144
    TAG_DELIVER_TO_LOCATION_ID = 145
    TAG_LAST_MSG_SEQ_NUM_PROCESSED = 369
    TAG_REF_TAG_ID = 371
    TAG_REF_MSG_TYPE = 372
    TAG_SESSION_REJECT_REASON = 373
    TAG_TEST_MESSAGE_INDICATOR = 464
    TAG_NEXT_EXPECTED_MSG_SEQ_NUM = 789
    TAG_APPL_VER_ID = 1128
    TAG_DEFAULT_APPL_VER_ID = 1137


# MsgType (35) as message_t.msg_type holds it: first character lowest.
cdef enum:
    MSG_HEARTBEAT = 0x30         # 0
    MSG_TEST_REQUEST = 0x31      # 1
    MSG_RESEND_REQUEST = 0x32    # 2
    MSG_REJECT = 0x33            # 3
    MSG_SEQUENCE_RESET = 0x34    # 4
    MSG_LOGOUT = 0x35            # 5
    MSG_EXECUTION_REPORT = 0x38  # 8
    MSG_LOGON = 0x41             # A
    MSG_ORDER_CANCEL_REQUEST = 0x46         # F
    MSG_BUSINESS_REJECT = 0x6A   # j
    MSG_ORDER_MASS_CANCEL_REQUEST = 0x71    # q


cdef inline bint is_session_message(uint32_t msg_type) noexcept nogil:
    """Heartbeat, TestRequest, ResendRequest, Reject, SequenceReset, Logout, Logon."""
    return 0x30 <= msg_type <= 0x35 or msg_type == MSG_LOGON


cdef inline bint names_new_order(uint32_t msg_type) noexcept nogil:
    """Does its ClOrdID (11) name something new? D F G q s t u, AB AC; others may repeat one (H, AF, ...)."""
    return (msg_type == c'D' or msg_type == c'F' or msg_type == c'G' or msg_type == c'q' or msg_type == c's'
            or msg_type == c't' or msg_type == c'u' or msg_type == 0x4241 or msg_type == 0x4341)


cdef inline uint32_t data_tag_after(uint32_t tag) noexcept nogil:
    """Tag of the data field whose length `tag` gives; 0 if `tag` is no such length (FIX 5.0SP2 volume 6, type
    Length)."""
    if tag < 90 or 97 <= tag <= 211:        # nearly all that occur
        return 0
    if tag == 90 or tag == 95 or tag == 212 or tag == 445 or tag == 618 or tag == 621:
        return tag + 1
    if tag == 93:
        return 89
    if 348 <= tag <= 364:
        return tag + 1 if tag % 2 == 0 else 0
    if tag < 1184:
        return 0
    if (tag == 1184 or tag == 1277 or tag == 1280 or tag == 1282 or tag == 1359 or tag == 1397 or tag == 1401
            or tag == 1403 or tag == 1664):
        return tag + 1
    return 1527 if tag == 1525 else 0
