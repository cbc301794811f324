"""The simulated network: links that lose, repeat, reorder, delay, corrupt and are cut, each direction by itself.

Datagrams go over a path; connections carry bytes in order or break. Whoever drives it pops the queue and asks
`net_holds` of each event before it delivers it. May depend on: simqueue, simrandom.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from .simqueue cimport event_t, queue_t
from .simrandom cimport random_t


cdef enum net_link:
    LINK_PATH_A = 0
    LINK_PATH_B = 1
    LINK_TRIPWIRE = 2
    LINK_REGISTER = 3        # + node
    LINK_BROKER = 5          # + node
    LINK_CLIENT = 7          # + node
    LINKS = 9


cdef enum:
    MAX_CONNECTIONS = 256
    CONNECT_TIMEOUT_NS = 100000000


cdef enum connection_kind:
    CONNECTION_SESSION = 0   # side 0: node, side 1: counterparty
    CONNECTION_CLIENT = 1    # side 0: client, side 1: node
    CONNECTION_TRIPWIRE = 2  # side 0: node 1, side 1: node 0


cdef enum net_event:
    EVENT_DATAGRAM = 0         # a: to node; b: path
    EVENT_CONNECT = 1          # to side 1; b: connection, c: its serial
    EVENT_CONNECTED = 2        # to side 0
    EVENT_REFUSED = 3          # to side 0: refused, or timed out
    EVENT_DATA = 4             # a: to side
    EVENT_CLOSE = 5            # a: to side
    NET_EVENTS = 6


cdef struct link_quality_t:
    uint64_t cut_until[2]      # by direction: 0 away from the node (or from node 0), 1 towards it
    uint64_t bad_until         # loss, repeats, corruption and delay as below; else the ordinary ones
    uint32_t loss              # per million
    uint32_t repeat
    uint32_t corrupt
    uint64_t delay_ns          # least
    uint64_t jitter_ns
    uint64_t bad_jitter_ns


cdef struct connection_t:
    bint used
    bint connected
    uint32_t serial
    connection_kind kind
    uint8_t link
    uint8_t node               # of the pair that it belongs to; TRIPWIRE: 1
    uint8_t other              # session or client
    int32_t slot               # the node's slot of a client
    bint open[2]
    bint dead[2]               # that host lost power: nothing was said
    bint reset[2]              # what that side sent and was not delivered is destroyed
    uint64_t hold_until[2]     # by sending side
    uint64_t last_at[2]
    uint32_t sent[2]           # events of that side
    uint32_t taken[2]          # of them, delivered: in order, however long some were held up


cdef struct net_t:
    queue_t queue
    random_t chance
    uint64_t now
    link_quality_t links[LINKS]
    connection_t connections[MAX_CONNECTIONS]
    uint64_t delivered
    uint64_t lost


cdef int net_init(net_t* net, uint64_t seed) noexcept nogil
cdef void net_free(net_t* net) noexcept nogil
cdef void net_datagram(net_t* net, uint8_t path, uint8_t from_node, const uint8_t* data, uint32_t size) noexcept nogil
# One message over a link that keeps no order and may lose: requests to the register and their answers.
cdef void net_message(net_t* net, uint8_t link, uint8_t direction, uint16_t kind, uint16_t a, uint32_t b, uint32_t c,
                      const uint8_t* data, uint32_t size) noexcept nogil
cdef int32_t net_connect(net_t* net, connection_kind kind, uint8_t node, uint8_t other) noexcept nogil    # or -1
cdef void net_accept(net_t* net, int32_t connection) noexcept nogil
cdef void net_refuse(net_t* net, int32_t connection) noexcept nogil
cdef void net_send(net_t* net, int32_t connection, int side, const uint8_t* data, uint32_t size) noexcept nogil
# `reset`: destroys what is on its way from this side
cdef void net_close(net_t* net, int32_t connection, int side, bint reset) noexcept nogil
cdef void net_power_lost(net_t* net, int32_t connection, int side) noexcept nogil
# This event is held up by a cut, or is of a connection that is no more: it was dealt with.
cdef bint net_holds(net_t* net, event_t* event) noexcept nogil
cdef void net_hold_until(net_t* net, event_t* event, uint64_t until) noexcept nogil     # the receiver does not read
cdef bint net_take(net_t* net, event_t* event) noexcept nogil   # it is delivered now; False: it was destroyed
cdef bint net_is_cut(const net_t* net, uint8_t link, uint8_t direction) noexcept nogil
