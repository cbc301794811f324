"""A client and a broker in one thread, for measuring what lies between them. Not part of a node.

May depend on: session, clientwire. Makes system calls on the two sockets that it is given.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .session cimport Session


cdef enum:
    PROBE_BUFFER_BYTES = 1 << 20
    PROBE_TIMEOUT_NS = 5000000000    # an answer that does not come in time ends the measurement


cdef struct probe_stream_t:
    int fd
    uint32_t filled
    uint8_t* bytes


cdef class Probe:
    cdef Session session
    cdef probe_stream_t client
    cdef probe_stream_t broker
    cdef uint8_t frame[4096]         # SUBMIT, the digits of its ClOrdID to be filled in
    cdef uint32_t frame_length
    cdef uint32_t digits_offset
    cdef uint8_t execution[4096]     # fields of the answer
    cdef uint32_t execution_length
    cdef uint32_t orders_seen        # by the broker
    cdef uint64_t number
    cdef uint64_t executions_read    # by the client

    cdef int _exchange(self, uint64_t* times) noexcept nogil
    cdef int _read_broker(self, uint64_t* at_ns) noexcept nogil
    cdef int _read_client(self) noexcept nogil
    cdef void _flush_broker(self) noexcept nogil
