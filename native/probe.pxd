"""A client and a broker in one thread, for measuring what lies between them. Not part of a node.

The client's way in is either frames of the client protocol or a FIX session of its own. May depend on: session,
clientwire, hops.h. Makes system calls on the two sockets that it is given.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .bytequeue cimport byte_queue_t
from .session cimport Session, session_t
from .sharedstream cimport SharedStream


cdef enum:
    PROBE_BUFFER_BYTES = 1 << 20


cdef struct probe_run_t:             # of one measurement
    uint64_t rows
    uint64_t sent                    # orders handed in
    uint64_t out                     # orders that the broker has read and answered
    uint64_t taken                   # executions that the client has read
    uint64_t due_ns
    uint64_t interval_ns
    uint64_t pause_ns
    uint64_t* times


cdef class Probe:
    cdef Session session             # the broker's
    cdef Session client_session      # None: the client speaks frames
    cdef SharedStream shared         # where it speaks them; None: on the socket
    cdef bint asleep                 # it is woken by the socket
    cdef byte_queue_t client
    cdef byte_queue_t broker
    cdef uint8_t frame[4096]         # SUBMIT, the digits of its ClOrdID (11) to be filled in
    cdef uint32_t frame_length
    cdef uint32_t frame_sent         # of the order that is on its way; frame_length: none is
    cdef uint32_t digits_offset
    cdef uint32_t body_offset
    cdef uint32_t clordid_length
    cdef uint8_t execution[4096]     # fields of the answer
    cdef uint32_t execution_length
    cdef uint32_t execution_digits   # where the digits of the order's ClOrdID (11) are in it; 0: nowhere
    cdef uint64_t base               # number of the last order before this measurement
    cdef uint64_t orders_seen        # by the broker
    cdef uint64_t executions_read    # by the client
    cdef uint64_t number

    cdef int _run(self, probe_run_t* run, int wait) noexcept nogil
    cdef int _hand_in(self, probe_run_t* run) noexcept nogil
    cdef int _answer(self, probe_run_t* run) noexcept nogil
    cdef int _take(self, probe_run_t* run) noexcept nogil
    cdef int _submit(self) noexcept nogil
    cdef int _push_frame(self) noexcept nogil
    cdef int _read_session(self, byte_queue_t* s, session_t* session, uint64_t* at_ns) noexcept nogil
    cdef ssize_t _read_client(self, uint8_t* place, size_t room) noexcept nogil
    cdef int _read_frames(self, uint64_t* at_ns) noexcept nogil
