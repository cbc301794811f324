"""Pre-trade checks, kill switch and throttle per client, derived from the log.

May depend on: record, clientwire (reject_reason). Never does I/O, never reads a clock, never allocates.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from .clientwire cimport (REJECT_KILLED, REJECT_MAX_NOTIONAL, REJECT_MAX_OPEN_QTY, REJECT_MAX_ORDER_QTY,
                          REJECT_PRICE_REQUIRED, REJECT_THROTTLE)
from .record cimport (RECORD_HEADER_BYTES, STATE_KILL, STATE_LIMITS, record_header_t, record_payload,
                      record_payload_length)

cdef enum:
    E8 = 100000000


cdef extern from *:
    """
    static inline int product_exceeds(long long a_e8, long long b_e8, long long limit_e8) {
        return (__int128)a_e8 * b_e8 > (__int128)limit_e8 * 100000000;
    }
    """
    bint product_exceeds(int64_t a_e8, int64_t b_e8, int64_t limit_e8) noexcept nogil


cdef void risk_init(risk_t* r) noexcept nogil:
    memset(r, 0, sizeof(risk_t))


cdef void risk_forget(risk_t* r) noexcept nogil:
    cdef uint32_t i
    r.killed_all = 0
    for i in range(MAX_CLIENTS):
        r.clients[i].open_qty_e8 = 0
        r.clients[i].theoretical_ns = 0
        r.clients[i].killed = 0


cdef bint risk_stops(const risk_t* r, uint32_t client) noexcept nogil:
    return r.killed_all or r.clients[client % MAX_CLIENTS].killed


cdef uint8_t risk_check(const risk_t* r, uint32_t client, int64_t quantity_e8, int64_t price_e8,
                        uint64_t wall_ns) noexcept nogil:
    cdef const risk_client_t* c = &r.clients[client % MAX_CLIENTS]
    cdef const risk_limits_t* limits = &c.limits
    if risk_stops(r, client):
        return REJECT_KILLED
    if limits.max_order_qty_e8 and quantity_e8 > limits.max_order_qty_e8:
        return REJECT_MAX_ORDER_QTY
    if limits.max_notional_e8 and quantity_e8:
        if price_e8 <= 0:
            return REJECT_PRICE_REQUIRED
        if product_exceeds(quantity_e8, price_e8, limits.max_notional_e8):
            return REJECT_MAX_NOTIONAL
    if limits.max_open_qty_e8 and c.open_qty_e8 > limits.max_open_qty_e8 - quantity_e8:
        return REJECT_MAX_OPEN_QTY
    if limits.order_interval_ns and c.theoretical_ns > wall_ns + limits.burst_ns:
        return REJECT_THROTTLE
    return 0


cdef bint risk_limits_quantity(const risk_t* r, uint32_t client) noexcept nogil:
    cdef const risk_limits_t* limits = &r.clients[client % MAX_CLIENTS].limits
    return limits.max_order_qty_e8 != 0 or limits.max_notional_e8 != 0 or limits.max_open_qty_e8 != 0


cdef void risk_on_order(risk_t* r, const record_header_t* record, int64_t quantity_e8) noexcept nogil:
    cdef risk_client_t* c = &r.clients[record.client % MAX_CLIENTS]
    cdef uint64_t latest
    c.open_qty_e8 += quantity_e8
    if c.limits.order_interval_ns == 0:
        return
    # A wall clock that was set back must not throttle the client until it has caught up again.
    latest = record.time_ns + c.limits.burst_ns + c.limits.order_interval_ns
    if c.theoretical_ns < record.time_ns:
        c.theoretical_ns = record.time_ns
    elif c.theoretical_ns > latest:
        c.theoretical_ns = latest
    c.theoretical_ns += c.limits.order_interval_ns


cdef void risk_on_open_change(risk_t* r, uint32_t client, int64_t change_e8) noexcept nogil:
    r.clients[client % MAX_CLIENTS].open_qty_e8 += change_e8


cdef void risk_on_state(risk_t* r, const record_header_t* record) noexcept nogil:
    cdef risk_client_t* c = &r.clients[record.client % MAX_CLIENTS]
    if record.aux == STATE_KILL and record_payload_length(record) >= 1:
        if record.client == 0:
            r.killed_all = record_payload(record)[0] != 0
        else:
            c.killed = record_payload(record)[0] != 0
    elif record.aux == STATE_LIMITS and record_payload_length(record) >= sizeof(risk_limits_t):
        memcpy(&c.limits, record_payload(record), sizeof(risk_limits_t))


# --- Python face ----------------------------------------------------------------------------------------------------

cdef class Risk:
    """Risk state of all clients, for node start-up (limits) and tests. Quantities and prices are x 10**8."""

    def __cinit__(self):
        risk_init(&self.state)

    def set_limits(self, uint32_t client, *, int64_t max_order_qty_e8=0, int64_t max_notional_e8=0,
                   int64_t max_open_qty_e8=0, double orders_per_second=0, uint32_t burst=1) -> None:
        """Limits of one client; 0: not limited. `burst` orders may come at once. Raises ValueError for a bad client
        id."""
        if client >= MAX_CLIENTS:
            raise ValueError(f"client id {client}: at most {MAX_CLIENTS - 1}")
        cdef risk_limits_t* limits = &self.state.clients[client].limits
        limits.max_order_qty_e8 = max_order_qty_e8
        limits.max_notional_e8 = max_notional_e8
        limits.max_open_qty_e8 = max_open_qty_e8
        limits.order_interval_ns = <uint64_t>(1e9 / orders_per_second) if orders_per_second > 0 else 0
        limits.burst_ns = limits.order_interval_ns * (burst - 1 if burst > 0 else 0)

    def check(self, uint32_t client, int64_t quantity_e8, int64_t price_e8, uint64_t wall_ns) -> int:
        """0, or the reject_reason of an order that would be sent now."""
        return risk_check(&self.state, client, quantity_e8, price_e8, wall_ns)

    def on_order(self, uint32_t client, int64_t quantity_e8, uint64_t time_ns) -> None:
        """An order of `client` was logged at `time_ns`."""
        cdef record_header_t record
        memset(&record, 0, sizeof(record))
        record.client = client
        record.time_ns = time_ns
        risk_on_order(&self.state, &record, quantity_e8)

    def on_open_change(self, uint32_t client, int64_t change_e8) -> None:
        """The open quantity of `client` changed by so much."""
        risk_on_open_change(&self.state, client, change_e8)

    def kill(self, uint32_t client, bint killed) -> None:
        """Sets or clears the kill switch of a client (0: of all)."""
        cdef uint8_t raw[RECORD_HEADER_BYTES + 8]
        cdef record_header_t* record = <record_header_t*>raw
        memset(raw, 0, sizeof(raw))
        record.client = client
        record.aux = STATE_KILL
        record.length = RECORD_HEADER_BYTES + 1
        raw[RECORD_HEADER_BYTES] = killed
        risk_on_state(&self.state, record)

    def open_qty_e8(self, uint32_t client) -> int:
        """Open quantity of `client`."""
        return self.state.clients[client % MAX_CLIENTS].open_qty_e8

    def forget(self) -> None:
        """Forgets what the log said; configured limits stay."""
        risk_forget(&self.state)
