"""What is to happen in the simulated world, by virtual time. May depend on: nothing."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

cdef enum:
    FIRST_CAPACITY = 4096


cdef int queue_init(queue_t* q) noexcept nogil:
    memset(q, 0, sizeof(queue_t))
    q.heap = <event_t*>malloc(FIRST_CAPACITY * sizeof(event_t))
    q.capacity = FIRST_CAPACITY
    return -1 if q.heap is NULL else 0


cdef void queue_free(queue_t* q) noexcept nogil:
    cdef uint32_t i
    for i in range(q.count):
        free(q.heap[i].data)
    free(q.heap)
    memset(q, 0, sizeof(queue_t))


cdef int queue_push(queue_t* q, uint64_t at, uint16_t kind, uint16_t a, uint32_t b, uint32_t c, const uint8_t* data,
                    uint32_t size) noexcept nogil:
    return queue_push_numbered(q, at, kind, a, b, c, data, size, 0)


cdef int queue_push_numbered(queue_t* q, uint64_t at, uint16_t kind, uint16_t a, uint32_t b, uint32_t c,
                             const uint8_t* data, uint32_t size, uint32_t number) noexcept nogil:
    cdef event_t event
    event.kind = kind
    event.a = a
    event.b = b
    event.c = c
    event.size = size
    event.number = number
    event.data = NULL
    if size:
        event.data = <uint8_t*>malloc(size)
        if event.data is NULL:
            return -1
        memcpy(event.data, data, size)
    queue_again(q, &event, at)
    return 0


cdef void queue_again(queue_t* q, event_t* event, uint64_t at) noexcept nogil:
    cdef uint32_t i = q.count
    cdef uint32_t parent
    cdef event_t* larger
    if q.count == q.capacity:
        larger = <event_t*>realloc(q.heap, <size_t>q.capacity * 2 * sizeof(event_t))
        if larger is NULL:
            free(event.data)     # lost, as on a network
            return
        q.heap = larger
        q.capacity *= 2
    event.at = at
    event.order = q.next_order
    q.next_order += 1
    q.count += 1
    while i:
        parent = (i - 1) >> 1
        if not earlier(event, &q.heap[parent]):
            break
        q.heap[i] = q.heap[parent]
        i = parent
    q.heap[i] = event[0]


cdef bint queue_pop(queue_t* q, event_t* event) noexcept nogil:
    cdef event_t* last
    cdef uint32_t i = 0
    cdef uint32_t child
    if q.count == 0:
        return 0
    event[0] = q.heap[0]
    q.count -= 1
    last = &q.heap[q.count]
    while True:
        child = 2 * i + 1
        if child >= q.count:
            break
        if child + 1 < q.count and earlier(&q.heap[child + 1], &q.heap[child]):
            child += 1
        if not earlier(&q.heap[child], last):
            break
        q.heap[i] = q.heap[child]
        i = child
    q.heap[i] = last[0]
    return 1


cdef inline bint earlier(const event_t* x, const event_t* y) noexcept nogil:
    return x.at < y.at or (x.at == y.at and x.order < y.order)
