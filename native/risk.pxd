"""Pre-trade checks, kill switch and throttle per client. All state is derived from the log, so a takeover resets none.

The throttle is the generic cell rate algorithm (ITU-T I.371): one number per client, moved by the times of log records.
May depend on: record, clientwire (reject_reason). Never does I/O, never reads a clock.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .record cimport record_header_t


cdef enum:
    MAX_CLIENTS = 256


# 0 in any limit: not limited.
cdef struct risk_limits_t:
    int64_t max_order_qty_e8
    int64_t max_notional_e8        # quantity x price of one order
    int64_t max_open_qty_e8        # quantity that may still trade, over all the client's orders
    uint64_t order_interval_ns     # 1 s / orders per second
    uint64_t burst_ns              # how far ahead of the rate a burst may run


cdef struct risk_client_t:
    risk_limits_t limits
    int64_t open_qty_e8
    uint64_t theoretical_ns        # GCRA: theoretical arrival time, wall clock of the records
    bint killed


cdef struct risk_t:
    bint killed_all
    risk_client_t clients[MAX_CLIENTS]


cdef void risk_init(risk_t* r) noexcept nogil
cdef void risk_forget(risk_t* r) noexcept nogil   # forgets what the log said, keeps the configured limits
# 0, or the reject_reason. price_e8 0: no price (market order); quantity_e8 0: not an order with a quantity.
cdef uint8_t risk_check(const risk_t* r, uint32_t client, int64_t quantity_e8, int64_t price_e8,
                        uint64_t wall_ns) noexcept nogil
# Whether a kill switch keeps `client` from trading.
cdef bint risk_stops(const risk_t* r, uint32_t client) noexcept nogil
# Whether an order of `client` must say its quantity, for the limits to be checked.
cdef bint risk_limits_quantity(const risk_t* r, uint32_t client) noexcept nogil
# A kill switch stops new orders and replaces; cancels always pass.
# OUT record of an order
cdef void risk_on_order(risk_t* r, const record_header_t* record, int64_t quantity_e8) noexcept nogil
cdef void risk_on_open_change(risk_t* r, uint32_t client, int64_t change_e8) noexcept nogil
cdef void risk_on_state(risk_t* r, const record_header_t* record) noexcept nogil     # STATE_KILL, STATE_LIMITS


# The Python face.
cdef class Risk:
    cdef risk_t state
