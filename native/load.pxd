"""Many orders at once through a pair, and the counterparties that count them, in one thread. Not part of a node.

Of what a counterparty gets, every message is checked: its MsgSeqNum follows the one before, and its ClOrdID is the one
that was handed in at that place. So nothing was lost, sent twice or sent in another order when a run returns. May
depend on: session, clientwire. Makes system calls on the sockets that it is given.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .bytequeue cimport byte_queue_t
from .session cimport Session, session_t


cdef enum:
    LOAD_BUFFER_BYTES = 1 << 18
    LOAD_TIMEOUT_NS = 10000000000    # without any progress: the run has failed
    MAX_LANES = 256


cdef struct lane_t:                  # a session, and the counterparty at its end
    session_t* session
    byte_queue_t stream
    uint64_t next_number             # in the ClOrdID of the order that comes next
    bint blocked                     # its socket takes no more answers now


cdef class Load:
    cdef byte_queue_t client
    cdef lane_t lanes[MAX_LANES]
    cdef readonly int lane_count
    cdef list sessions
    cdef int epoll_fd
    cdef uint8_t frame[4096]         # SUBMIT, session and digits of its ClOrdID to be filled in
    cdef uint32_t frame_length
    cdef uint32_t digits_offset
    cdef uint32_t clordid_length
    cdef uint8_t execution[4096]     # fields of the answer to each order, the digits likewise
    cdef uint32_t execution_length
    cdef uint32_t execution_offset
    cdef bint answers
    cdef uint8_t* out                # frames that the client's socket has not taken yet
    cdef uint32_t out_head
    cdef uint32_t out_tail
    cdef uint8_t* run                # answers on their way to a socket
    cdef readonly uint64_t numbered     # orders made so far, over all runs
    cdef uint64_t seen               # by the counterparties
    cdef uint64_t accepted           # told to the client
    cdef uint64_t executed           # told to the client

    cdef int _run(self, uint64_t last, uint32_t window) noexcept nogil
    cdef uint64_t _first_number(self, int index) noexcept nogil
    cdef int _one(self) noexcept nogil
    cdef int _take_again(self, lane_t* lane, uint64_t seq, uint64_t last, uint64_t* resent) noexcept nogil
    cdef int _submit(self, uint64_t last, uint32_t window) noexcept nogil
    cdef int _read_client(self) noexcept nogil
    cdef int _read_lane(self, lane_t* lane) noexcept nogil
    cdef int _take_message(self, lane_t* lane, const uint8_t* data, uint32_t length) noexcept nogil
    cdef int _answer(self, lane_t* lane, const uint8_t* digits) noexcept nogil
    cdef int _flush_lane(self, lane_t* lane) noexcept nogil
    cdef _watch(self, byte_queue_t* s, int fd, uint64_t what, uint32_t events)
