"""A counterparty of the simulated world: our own session as acceptor over a journal of its own, with a ledger.

Each new order is entered into the truth and answered by two ExecutionReports (new, filled), each status request by one.
Answers are numbered as soon as its session is ready. May depend on: session, simtruth. Knows nothing of time.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t

from .instant cimport instant_t
from .session cimport session_t
from .simtruth cimport truth_t


cdef enum:
    BROKER_PENDING = 1 << 13     # answers that wait for the session
    BROKER_RX_BYTES = 1 << 16


cdef enum broker_answer:
    ANSWER_NEW = 0
    ANSWER_FILLED = 1
    ANSWER_STATUS = 2
    ANSWER_NOT_THERE = 3


cdef struct pending_answer_t:
    uint32_t order
    uint8_t answer
    uint8_t clordid[8]


cdef struct broker_t:
    session_t* session
    truth_t* truth
    uint8_t index
    bint refuses_second          # a second connection while one lives is closed; else it replaces the old one
    int32_t connection           # of the world; -1: none
    uint32_t filled
    uint8_t rx[BROKER_RX_BYTES]
    pending_answer_t pending[BROKER_PENDING]
    uint32_t head
    uint32_t tail


cdef void broker_init(broker_t* b, session_t* session, truth_t* truth, uint8_t index) noexcept nogil
cdef void broker_on_connected(broker_t* b, const instant_t* now) noexcept nogil
cdef void broker_on_disconnected(broker_t* b, const instant_t* now) noexcept nogil
cdef void broker_on_bytes(broker_t* b, const uint8_t* data, uint32_t size, const instant_t* now) noexcept nogil
# Numbers the answers that wait; called after each input.
cdef void broker_drain(broker_t* b, const instant_t* now) noexcept nogil
cdef bint broker_idle(const broker_t* b) noexcept nogil
# A ResendRequest for everything, out of the blue. False: not ready.
cdef bint broker_ask_for_all(broker_t* b, const instant_t* now) noexcept nogil
# SequenceReset-Reset: its next number is `jump` higher than it would be. False: not ready.
cdef bint broker_reset(broker_t* b, uint32_t jump, const instant_t* now) noexcept nogil
