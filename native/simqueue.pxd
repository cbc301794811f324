"""What is to happen in the simulated world, by virtual time and, at one moment, in the order of scheduling.

A binary heap of small events; what an event carries is copied. May depend on: nothing.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef struct event_t:
    uint64_t at          # virtual ns
    uint64_t order       # of scheduling
    uint16_t kind
    uint16_t a
    uint32_t b
    uint32_t c
    uint32_t size
    uint32_t number      # of a connection's direction; 0: in no sequence
    uint8_t* data        # NULL, or size bytes: whoever pops the event gives them back with free()


cdef struct queue_t:
    event_t* heap
    uint32_t count
    uint32_t capacity
    uint64_t next_order


cdef int queue_init(queue_t* q) noexcept nogil          # 0, or -1: out of memory
cdef void queue_free(queue_t* q) noexcept nogil
# 0, or -1: out of memory
cdef int queue_push(queue_t* q, uint64_t at, uint16_t kind, uint16_t a, uint32_t b, uint32_t c, const uint8_t* data,
                    uint32_t size) noexcept nogil
cdef int queue_push_numbered(queue_t* q, uint64_t at, uint16_t kind, uint16_t a, uint32_t b, uint32_t c,
                             const uint8_t* data, uint32_t size, uint32_t number) noexcept nogil
cdef void queue_again(queue_t* q, event_t* event, uint64_t at) noexcept nogil   # the same event, later
cdef bint queue_pop(queue_t* q, event_t* event) noexcept nogil
