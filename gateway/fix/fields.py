"""Ordered fields of a message body, and the tags that order flow uses. Off the hot path: brokers, tools, tests."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

SOH = b"\x01"


class Tag(IntEnum):
    """Tags of order flow (FIX 4.4 volume 6)."""

    ACCOUNT = 1
    AVG_PX = 6
    CL_ORD_ID = 11
    CUM_QTY = 14
    EXEC_ID = 17
    EXEC_TRANS_TYPE = 20
    LAST_PX = 31
    LAST_QTY = 32
    MSG_SEQ_NUM = 34
    MSG_TYPE = 35
    ORDER_ID = 37
    ORDER_QTY = 38
    ORD_STATUS = 39
    ORD_TYPE = 40
    ORIG_CL_ORD_ID = 41
    POSS_DUP_FLAG = 43
    PRICE = 44
    REF_SEQ_NUM = 45
    SIDE = 54
    SYMBOL = 55
    TEXT = 58
    TIME_IN_FORCE = 59
    TRANSACT_TIME = 60
    POSS_RESEND = 97
    CXL_REJ_REASON = 102
    ORD_REJ_REASON = 103
    EXEC_TYPE = 150
    LEAVES_QTY = 151
    REF_MSG_TYPE = 372
    BUSINESS_REJECT_REASON = 380
    CXL_REJ_RESPONSE_TO = 434
    MASS_STATUS_REQ_ID = 584
    TOT_NUM_REPORTS = 911
    LAST_RPT_REQUESTED = 912


Fields = list[tuple[int, str]]


def encode_body(fields: Iterable[tuple[int, object]]) -> bytes:
    """`tag=value<SOH>` one after the other."""
    return b"".join(b"%d=%s\x01" % (tag, str(value).encode("latin-1")) for tag, value in fields)


def decode_fields(message: bytes) -> Fields:
    """Every field of a whole message or body without data fields, in order."""
    pairs = []
    for part in message.split(SOH)[:-1]:
        tag, _, value = part.partition(b"=")
        pairs.append((int(tag), value.decode("latin-1")))
    return pairs
