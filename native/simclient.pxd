"""A client of the simulated world: the rules of the client library over the real frames.

It keeps its pending orders and its positions across its own crashes, hands in again what has no answer, drops what it
has read before, and tells the truth what it was told. May depend on: clientwire, simtruth. Knows nothing of time.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from .simtruth cimport TRUE_SESSIONS, truth_t


cdef enum:
    SIM_PENDING = 256            # orders without an answer
    SIM_OUT_BYTES = 1 << 16
    SIM_RX_BYTES = 1 << 17


cdef enum sim_phase:
    SIM_DOWN = 0
    SIM_CONNECTING = 1
    SIM_GREETED = 2              # LOGIN sent
    SIM_STANDBY = 3
    SIM_PRIMARY = 4
    SIM_OUTRANKED = 5
    SIM_CLOSING = 6              # the node said an error: to be closed


cdef struct simlink_t:
    sim_phase phase
    int32_t connection           # of the world; -1: none
    uint32_t epoch
    uint64_t heard_at            # kept by the world: virtual ns of the latest bytes
    uint64_t named_seq[TRUE_SESSIONS]          # positions in its LOGIN
    uint32_t named_generation[TRUE_SESSIONS]
    uint32_t filled
    uint32_t out_size
    uint8_t rx[SIM_RX_BYTES]
    uint8_t out[SIM_OUT_BYTES]


cdef struct simclient_t:
    truth_t* truth
    uint8_t index                # its name is "c" and this digit
    bint down                    # crashed
    uint32_t epoch               # highest seen
    int32_t active               # link to the primary; -1: none
    simlink_t links[2]
    uint32_t pending[SIM_PENDING]
    bint handed_in[SIM_PENDING]
    uint32_t pending_count
    uint64_t position[TRUE_SESSIONS]
    uint32_t generation[TRUE_SESSIONS]
    uint64_t skipped             # messages that it had read before


cdef void simclient_init(simclient_t* c, truth_t* truth, uint8_t index) noexcept nogil
cdef void simclient_on_connected(simclient_t* c, int link) noexcept nogil
cdef void simclient_on_disconnected(simclient_t* c, int link) noexcept nogil
cdef void simclient_on_bytes(simclient_t* c, int link, const uint8_t* data, uint32_t size) noexcept nogil
cdef void simclient_new_order(simclient_t* c, uint8_t session) noexcept nogil
# To a standby: what has been read by now.
cdef void simclient_tell_positions(simclient_t* c, int link) noexcept nogil
cdef void simclient_ping(simclient_t* c, int link) noexcept nogil
