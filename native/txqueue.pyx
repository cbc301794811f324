"""What a session has to send, in order. May depend on: nothing. Never allocates after tx_init."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef int tx_init(tx_queue_t* q) noexcept nogil:
    q.items = <tx_item_t*>malloc(TX_ITEMS * sizeof(tx_item_t))
    q.scratch = <uint8_t*>malloc(TX_SCRATCH_BYTES)
    tx_clear(q)
    return -1 if q.items is NULL or q.scratch is NULL else 0


cdef void tx_free(tx_queue_t* q) noexcept nogil:
    free(q.items)
    free(q.scratch)
    q.items = NULL
    q.scratch = NULL


cdef void tx_clear(tx_queue_t* q) noexcept nogil:
    q.head = 0
    q.tail = 0
    q.written = 0
    q.consumed_lsn = 0
    q.scratch_head = 0
    q.scratch_tail = 0


cdef uint32_t tx_room(const tx_queue_t* q) noexcept nogil:
    return TX_ITEMS - (q.tail - q.head)


cdef void tx_push(tx_queue_t* q, const uint8_t* data, uint32_t length, uint64_t lsn) noexcept nogil:
    cdef tx_item_t* item = &q.items[q.tail & (TX_ITEMS - 1)]
    item.data = data
    item.length = length
    item.lsn = lsn
    item.scratch = 0
    q.tail += 1


cdef uint8_t* tx_scratch(tx_queue_t* q, uint32_t capacity) noexcept nogil:
    cdef uint64_t at = q.scratch_tail & (TX_SCRATCH_BYTES - 1)
    cdef uint64_t skip = TX_SCRATCH_BYTES - at if at + capacity > TX_SCRATCH_BYTES else 0
    if q.scratch_tail - q.scratch_head + skip + capacity > TX_SCRATCH_BYTES:
        return NULL
    return q.scratch + ((q.scratch_tail + skip) & (TX_SCRATCH_BYTES - 1))


cdef void tx_push_scratch(tx_queue_t* q, const uint8_t* data, uint32_t length, uint64_t lsn) noexcept nogil:
    cdef uint64_t at = q.scratch_tail & (TX_SCRATCH_BYTES - 1)
    cdef uint64_t start = <uint64_t>(data - q.scratch)
    cdef uint32_t skipped = <uint32_t>(TX_SCRATCH_BYTES - at) if start < at else 0
    tx_push(q, data, length, lsn)
    q.items[(q.tail - 1) & (TX_ITEMS - 1)].scratch = skipped + length
    q.scratch_tail += skipped + length


cdef size_t tx_peek(const tx_queue_t* q, uint64_t released_lsn, const uint8_t** data) noexcept nogil:
    cdef const tx_item_t* item = &q.items[q.head & (TX_ITEMS - 1)]
    if q.head == q.tail or item.lsn > released_lsn:
        return 0
    data[0] = item.data + q.written
    return item.length - q.written


cdef size_t tx_gather(const tx_queue_t* q, uint64_t released_lsn, uint8_t* place, size_t capacity,
                      const uint8_t** data) noexcept nogil:
    cdef size_t size = tx_peek(q, released_lsn, data)
    cdef const tx_item_t* item
    cdef uint32_t at = q.head + 1
    if size == 0 or at == q.tail or size > capacity:
        return size
    item = &q.items[at & (TX_ITEMS - 1)]
    if item.lsn > released_lsn or size + item.length > capacity:
        return size
    memcpy(place, data[0], size)
    data[0] = place
    while at != q.tail:
        item = &q.items[at & (TX_ITEMS - 1)]
        if item.lsn > released_lsn or size + item.length > capacity:
            break
        memcpy(place + size, item.data, item.length)
        size += item.length
        at += 1
    return size


cdef bint tx_is_resend(const tx_queue_t* q, uint32_t at) noexcept nogil:
    return q.items[at & (TX_ITEMS - 1)].scratch != 0


cdef uint64_t tx_lsn(const tx_queue_t* q, uint32_t at) noexcept nogil:
    return q.items[at & (TX_ITEMS - 1)].lsn


cdef void tx_drop_unsent(tx_queue_t* q) noexcept nogil:
    cdef uint32_t kept = q.head + (q.written != 0)
    while q.tail != kept:
        q.tail -= 1
        q.scratch_tail -= q.items[q.tail & (TX_ITEMS - 1)].scratch


cdef void tx_consume(tx_queue_t* q, size_t size) noexcept nogil:
    cdef tx_item_t* item
    cdef uint32_t left
    while size > 0 and q.head != q.tail:
        item = &q.items[q.head & (TX_ITEMS - 1)]
        left = item.length - q.written
        if size < left:
            q.written += <uint32_t>size
            return
        size -= left
        q.written = 0
        q.scratch_head += item.scratch
        q.consumed_lsn = max(q.consumed_lsn, item.lsn)
        q.head += 1
