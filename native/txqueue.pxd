"""What a session has to send, in order: pointers into the journal, and bytes of its own for what is not in the log.

An item waits for the release of its LSN; one with LSN 0 only for those before it. Resends carry the LSN of the record
they repeat, so nothing that the standby may not hold gets out by way of a resend. May depend on: nothing.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef enum:
    TX_ITEMS = 1 << 14              # messages waiting for one counterparty, a power of two
    TX_SCRATCH_BYTES = 1 << 20      # resends, gap fills and repeated Logons that wait


cdef struct tx_item_t:
    const uint8_t* data
    uint64_t lsn
    uint32_t length
    uint32_t scratch                # bytes of scratch to give back


cdef struct tx_queue_t:
    tx_item_t* items
    uint8_t* scratch
    uint32_t head
    uint32_t tail
    uint64_t consumed_lsn           # of the last item with one that is on the socket
    uint32_t written                # bytes of the head item that are on the socket
    uint64_t scratch_head           # positions only grow
    uint64_t scratch_tail


cdef int tx_init(tx_queue_t* q) noexcept nogil      # 0, or -1: out of memory
cdef void tx_free(tx_queue_t* q) noexcept nogil
cdef void tx_clear(tx_queue_t* q) noexcept nogil
cdef uint32_t tx_room(const tx_queue_t* q) noexcept nogil    # items that fit
cdef void tx_push(tx_queue_t* q, const uint8_t* data, uint32_t length, uint64_t lsn) noexcept nogil
# Contiguous scratch of `capacity` bytes, NULL when there is none now; then tx_push_scratch with what was used of it.
cdef uint8_t* tx_scratch(tx_queue_t* q, uint32_t capacity) noexcept nogil
cdef void tx_push_scratch(tx_queue_t* q, const uint8_t* data, uint32_t length, uint64_t lsn) noexcept nogil
cdef size_t tx_peek(const tx_queue_t* q, uint64_t released_lsn, const uint8_t** data) noexcept nogil
# The same with as many whole items behind the first as may go: data is then `place`, at most `capacity` copied bytes.
cdef size_t tx_gather(const tx_queue_t* q, uint64_t released_lsn, uint8_t* place, size_t capacity,
                      const uint8_t** data) noexcept nogil
cdef bint tx_is_resend(const tx_queue_t* q, uint32_t at) noexcept nogil     # or else in scratch; head <= at < tail
cdef uint64_t tx_lsn(const tx_queue_t* q, uint32_t at) noexcept nogil
cdef void tx_drop_unsent(tx_queue_t* q) noexcept nogil              # all of which no byte was written
cdef void tx_consume(tx_queue_t* q, size_t size) noexcept nogil     # `size` bytes at the head were written
