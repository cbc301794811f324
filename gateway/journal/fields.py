"""A FIX message's fields for people to read, secrets masked. For tools: slow, forgiving of what is no proper FIX."""

from __future__ import annotations

SOH = b"\x01"
MASK = "***"

# RawData (96), Password (554), NewPassword (925), EncryptedPassword (1402), EncryptedNewPassword (1404).
SECRET_TAGS = frozenset({96, 554, 925, 1402, 1404})

# Length field: the data field that follows it, which may hold SOH (FIX 5.0 SP2, data type 'data').
DATA_TAGS = {
    90: 91,
    93: 89,
    95: 96,
    212: 213,
    348: 349,
    350: 351,
    352: 353,
    354: 355,
    356: 357,
    358: 359,
    360: 361,
    362: 363,
    364: 365,
    445: 446,
    618: 619,
    621: 622,
    1184: 1185,
    1401: 1402,
    1403: 1404,
}
DATA_FIELDS = frozenset(DATA_TAGS.values())


def masked_fields(message: bytes) -> list[tuple[int | None, str]]:
    """The fields of `message` as (tag, value); secrets read `***`, and so does all that follows one of unclear length.

    What is no `tag=value` has the tag None. Values are text in ISO 8859-1, so that every byte shows.
    """
    fields: list[tuple[int | None, str]] = []
    lengths: dict[int | None, int | None] = {}
    at = 0
    while at < len(message):
        tag, start = _tag(message, at)
        end, certain = (
            _end(message, start, lengths.pop(tag, None)) if tag in DATA_FIELDS else _plain_end(message, start)
        )
        value = message[start:end]
        if tag in SECRET_TAGS:
            fields.append((tag, MASK))
            if not certain:
                fields.append((None, MASK))
                break
        else:
            fields.append((tag, value.decode("iso-8859-1")))
        if tag in DATA_TAGS:
            lengths[DATA_TAGS[tag]] = int(value) if value.isdigit() and len(value) < 10 else None
        at = end + 1
    return fields


def _tag(message: bytes, at: int) -> tuple[int | None, int]:
    """(tag, offset of its value) of the field at `at`; (None, at) where there is no tag."""
    stop = message.find(SOH, at)
    equals = message.find(b"=", at, len(message) if stop < 0 else stop)
    digits = message[at:equals] if equals > at else b""
    return (int(digits), equals + 1) if digits.isdigit() and len(digits) < 10 else (None, at)


def _plain_end(message: bytes, start: int) -> tuple[int, bool]:
    """End of a value that cannot hold SOH. True: for certain."""
    stop = message.find(SOH, start)
    return (len(message) if stop < 0 else stop), True


def _end(message: bytes, start: int, length: int | None) -> tuple[int, bool]:
    """(end of a data field's value, whether that is certain). `length` by its length field; None: that is missing."""
    if length is not None and message[start + length : start + length + 1] == SOH:
        return start + length, True
    return _plain_end(message, start)[0], False
