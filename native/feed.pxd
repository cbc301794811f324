"""What one connected client is told: a filter over the log with two cursors (docs/architecture.md).

`in_lsn` walks the IN records as soon as they are in the log; `out_lsn` walks OUT, REJECTED and CHECKPOINT records up to
the release watermark, because what it tells are promises. A client that reads slowly keeps its cursors back; the
journal is its queue. May depend on: replica, journal, clientwire. Never does I/O, never reads a clock, never allocates
after client_init.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .clientwire cimport frame_header_t
from .replica cimport MAX_SESSIONS, replica_t


cdef enum:
    CLIENT_BUFFER_BYTES = 1 << 18     # outgoing bytes of one connection: MAX_FRAME_BYTES must fit several times
    FEED_BURST_RECORDS = 4096         # records looked at in one pump, so that a long replay does not hold up orders


cdef enum client_phase:
    CLIENT_FREE = 0
    CLIENT_CONNECTED = 1      # LOGIN not seen yet
    CLIENT_WAITING = 2        # logged in, this node is not primary
    CLIENT_FED = 3            # logged in, feed running


cdef struct client_t:
    client_phase phase
    uint32_t client                       # id; index in the configuration + 1
    bint unrouted                         # also gets application messages that belong to no client
    bint local                            # on this host: its clock is ours
    bint closing                          # close the connection once everything is written
    bint waits                            # feed_pump found no room for what is next
    uint64_t in_lsn
    uint64_t out_lsn
    uint32_t fate_cursor                  # entry of the replica's fates that is told next ...
    uint64_t fate_seq                     # ... from this MsgSeqNum on
    uint32_t fate_sweeps                  # of the table that the cursor is in
    uint64_t position_seq[MAX_SESSIONS]   # read up to here ...
    uint32_t position_generation[MAX_SESSIONS]   # ... of this generation
    bint position_known[MAX_SESSIONS]
    uint8_t told_state[MAX_SESSIONS]
    uint64_t told_changes                 # of replica_t.state_changes: so far told_state is right
    uint8_t* buffer                       # outgoing bytes: [buffer_head, buffer_tail)
    uint32_t buffer_head
    uint32_t buffer_tail
    uint64_t connected_mono_ns


# 0, or -1: out of memory. `touch`: its pages are there from now on
cdef int client_init(client_t* c, bint touch) noexcept nogil
cdef void client_free(client_t* c) noexcept nogil
cdef void client_open(client_t* c, bint local, uint64_t mono_ns) noexcept nogil   # a connection was accepted
# Sets the cursors from the positions that the client named. Before: phase WAITING; after: FED.
cdef void feed_start(client_t* c, replica_t* r, uint64_t released_lsn) noexcept nogil
# Writes what is new, as far as there is room and FEED_BURST_RECORDS go. True: more would follow at once.
cdef bint feed_pump(client_t* c, replica_t* r, uint64_t released_lsn) noexcept nogil
# Appends one frame; 0 when there is no room. `header.length` is set here. Two parts of a body may be given.
cdef bint client_write(client_t* c, frame_header_t* header, const void* body, uint32_t body_length, const void* more,
                       uint32_t more_length) noexcept nogil
cdef uint32_t client_room(client_t* c) noexcept nogil
cdef uint32_t client_tx_peek(const client_t* c, const uint8_t** data) noexcept nogil
cdef void client_tx_consume(client_t* c, uint32_t size) noexcept nogil
