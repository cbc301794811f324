"""Orders that an earlier primary may have sent without our log knowing it (DESIGN section 3, `async`).

A client hands such an order in again after the takeover. It is put into the log as a DOUBT record, not sent; the
counterparty is asked about it (OrderStatusRequest, 35=H); only when it says that it does not know the ClOrdID is the
order numbered. May depend on: record, journal, parser. Never does I/O, never reads a clock.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .instant cimport instant_t
from .journal cimport journal_t
from .parser cimport message_t
from .record cimport record_header_t


cdef enum:
    MAX_DOUBTS = 1 << 16            # orders in doubt at a time, over all sessions
    MAX_QUESTION_BYTES = 1024       # fields of an OrderStatusRequest


# The orders in doubt, in the order in which they were handed in again; derived from the log.
cdef struct doubts_t:
    uint64_t* lsns                  # of their DOUBT records; MAX_DOUBTS
    uint32_t count                  # those that are settled are taken out by doubts_sweep
    uint32_t not_there              # of them: the counterparty does not know them, so they are to be numbered now
    uint64_t refused                # rejects of our questions: an operator must settle the doubt
    uint64_t settled                # doubts that have ended, either way


cdef int doubts_init(doubts_t* d) noexcept nogil       # 0, or -1: out of memory
cdef void doubts_free(doubts_t* d) noexcept nogil
cdef bint doubts_full(const doubts_t* d) noexcept nogil
cdef void doubts_add(doubts_t* d, uint64_t lsn) noexcept nogil

# Writes the DOUBT record. 0, or -1: the journal cannot take it now.
cdef int doubt_append(journal_t* journal, uint32_t epoch, uint32_t client, uint16_t session, const uint8_t* clordid,
                      uint32_t clordid_length, const uint8_t* msg_type, uint32_t msg_type_length, const uint8_t* body,
                      uint32_t body_length, uint64_t origin_lsn, const instant_t* now) noexcept nogil
# The submission inside a DOUBT record: its MsgType and its fields.
cdef const uint8_t* doubt_msg_type(const record_header_t* record, uint32_t* length) noexcept nogil
cdef const uint8_t* doubt_body(const record_header_t* record, uint32_t* length) noexcept nogil
# Fields of the OrderStatusRequest about it: ClOrdID (11), and of what it names Account (1), the instrument and Side
# (54). Their length in `buffer` of MAX_QUESTION_BYTES.
cdef uint32_t doubt_question(const record_header_t* record, message_t* scratch, uint8_t* buffer) noexcept nogil
# Does this message answer that the counterparty has no such order? An ExecutionReport that tells a status (ExecType
# (150)=I, or ExecTransType (20)=3 up to FIX.4.2) with OrdStatus (39)=8 and OrdRejReason (103)=5, unknown order.
cdef bint says_unknown_order(const message_t* message) noexcept nogil
# Is this message of ours such a question?
cdef bint asks_for_status(const message_t* message) noexcept nogil
# Is it about the question, not about the order: a Reject (35=3) or BusinessMessageReject (35=j)?
cdef bint refuses_question(const message_t* message) noexcept nogil
