"""What a node derives from its log must not depend on when it does so: compared with a replay of the whole log.

A restarted node replays. If that gave it other states of orders, or other numbers, than it had when it worked the same
records off as they came, a client would be told one thing before a restart and another one after it.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from .crc32c cimport crc32c
from .fates cimport fate_t
from .orders cimport order_t
from .replica cimport replica_rebuild, replica_t
from .risk cimport MAX_CLIENTS


cdef struct derived_t:
    uint64_t orders              # sums, so that the places in a table do not count
    uint64_t order_count
    uint32_t sessions
    uint32_t risk
    uint32_t fates


cdef const char* replay_differs(replica_t* r) noexcept nogil:
    cdef derived_t before
    cdef derived_t after
    if r.applied_lsn != r.journal.last_lsn:
        return NULL              # in the middle of a turn
    derive(r, &before)
    replica_rebuild(r)
    derive(r, &after)
    if before.order_count != after.order_count:
        return "the number of orders"
    if before.orders != after.orders:
        return "what is known of an order"
    if before.sessions != after.sessions:
        return "a session's numbers"
    if before.risk != after.risk:
        return "the open quantity of a client"
    if before.fates != after.fates:
        return "what resends did to orders"
    return NULL


cdef void derive(const replica_t* r, derived_t* d) noexcept nogil:
    cdef uint64_t i
    memset(d, 0, sizeof(derived_t))
    for i in range(r.orders.capacity):
        if r.orders.entries[i].lsn:
            d.orders += digest_of_order(&r.orders.entries[i])
            d.order_count += 1
    for i in range(r.session_count):
        d.sessions = digest(d.sessions, r.sessions[i].next_out)
        d.sessions = digest(d.sessions, r.sessions[i].next_in)
        d.sessions = digest(d.sessions, r.sessions[i].generation)
        d.sessions = digest(d.sessions, r.numbering[i].generation)
    for i in range(MAX_CLIENTS):
        d.risk = digest(d.risk, <uint64_t>r.risk.clients[i].open_qty_e8)
        d.risk = digest(d.risk, r.risk.clients[i].killed)
    for i in range(r.fates.count):
        d.fates = crc32c(d.fates, <const unsigned char*>&r.fates.entries[i], sizeof(fate_t))


cdef uint64_t digest_of_order(const order_t* order) noexcept nogil:
    cdef uint32_t sum = digest(0, order.lsn)
    sum = digest(sum, order.seq)
    sum = digest(sum, order.last_in_seq)
    sum = digest(sum, <uint64_t>order.open_e8)
    sum = digest(sum, <uint64_t>order.generation << 32 | order.client)
    return digest(sum, <uint64_t>order.session << 16 | <uint64_t>order.state << 8 | order.reason)


cdef inline uint32_t digest(uint32_t so_far, uint64_t value) noexcept nogil:
    return crc32c(so_far, <const unsigned char*>&value, sizeof(value))
