"""The log record: sealing and checking. May depend on: crc32c. Never allocates."""

from libc.stdint cimport uint8_t, uint32_t

from .crc32c cimport crc32c


cdef uint32_t record_crc(const record_header_t* record) noexcept nogil:
    cdef const uint8_t* raw = <const uint8_t*>record
    # length (4 bytes), then everything behind the crc field.
    return crc32c(crc32c(0, raw, 4), raw + 8, record.length - 8)


cdef void record_seal(record_header_t* record) noexcept nogil:
    record.crc = record_crc(record)


cdef bint record_intact(const record_header_t* record) noexcept nogil:
    return record.length >= RECORD_HEADER_BYTES and record.crc == record_crc(record)


# --- Python face ----------------------------------------------------------------------------------------------------

OUT = RECORD_OUT
IN = RECORD_IN
REJECTED = RECORD_REJECTED
STATE = RECORD_STATE
EPOCH = RECORD_EPOCH
CHECKPOINT = RECORD_CHECKPOINT
DOUBT = RECORD_DOUBT

APPLICATION = FLAG_APPLICATION
ORDER = FLAG_ORDER
POSS_DUP = FLAG_POSS_DUP
RESET = FLAG_RESET

KIND_NAMES = {RECORD_OUT: "OUT", RECORD_IN: "IN", RECORD_REJECTED: "REJECTED", RECORD_STATE: "STATE",
              RECORD_EPOCH: "EPOCH", RECORD_CHECKPOINT: "CHECKPOINT", RECORD_DOUBT: "DOUBT"}
FLAG_NAMES = {FLAG_APPLICATION: "APPLICATION", FLAG_ORDER: "ORDER", FLAG_POSS_DUP: "POSS_DUP", FLAG_RESET: "RESET"}
STATE_NAMES = {STATE_RESET: "RESET", STATE_SET_SEQ: "SET_SEQ", STATE_KILL: "KILL", STATE_LIMITS: "LIMITS",
               STATE_DOUBTS: "DOUBTS", STATE_RESEND: "RESEND"}


def intact(bytes raw not None) -> bool:
    """Whether `raw` is one whole record: its length within `raw`, its CRC right."""
    cdef const record_header_t* record = <const record_header_t*><const char*>raw
    return len(raw) >= RECORD_HEADER_BYTES and record.length <= <size_t>len(raw) and record_intact(record)
