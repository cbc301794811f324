"""Order table: every ClOrdID that was ever numbered or refused, and what is known of it.

Derived from the log alone, so the standby's table is the primary's. May depend on: journal, record, parser, tags.
Never does I/O, never reads a clock, never allocates after orders_init.
"""

from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy, memset

from .journal cimport DIRECTION_OUT, Journal, journal_at, journal_find_in, journal_t
from .memory cimport table_alloc
from .parser cimport (PARSE_OK, field_decimal_e8, field_t, field_uint, find_field, message_t, parse_fields)
from .record cimport (FLAG_ORDER, RECORD_DOUBT, RECORD_HEADER_BYTES, RECORD_OUT, RECORD_REJECTED,
                      record_header_t)
from .tags cimport names_new_order

cdef enum:
    TAG_CLORDID = 11
    TAG_ORDER_QTY = 38
    TAG_ORDSTATUS = 39
    TAG_ORIGCLORDID = 41
    TAG_REFSEQNUM = 45
    TAG_EXECTYPE = 150
    TAG_LEAVESQTY = 151
    TAG_REFMSGTYPE = 372
    TAG_BUSINESSREJECTREFID = 379
    MSGTYPE_REJECT = 0x33              # '3'
    MSGTYPE_EXECUTION_REPORT = 0x38    # '8'
    MSGTYPE_ORDER_CANCEL_REJECT = 0x39  # '9'
    MSGTYPE_BUSINESS_REJECT = 0x6A     # 'j'


cdef int orders_init(order_table_t* t, journal_t* journal, uint64_t capacity) noexcept nogil:
    cdef uint64_t power = 1024
    while power < capacity:
        power *= 2
    t.journal = journal
    t.capacity = power
    t.count = 0
    t.entries = <order_t*>table_alloc(power * sizeof(order_t))
    return 0 if t.entries is not NULL else -1


cdef void orders_free(order_table_t* t) noexcept nogil:
    free(t.entries)
    t.entries = NULL


cdef void orders_forget(order_table_t* t) noexcept nogil:
    t.count = 0
    memset(t.entries, 0, t.capacity * sizeof(order_t))


cdef order_t* orders_by_client(order_table_t* t, uint32_t client, const uint8_t* clordid,
                               uint32_t length) noexcept nogil:
    cdef uint32_t hashed = clordid_hash(clordid, length)
    cdef uint64_t slot = hashed & (t.capacity - 1)
    cdef order_t* order
    while t.entries[slot].lsn != 0:
        order = &t.entries[slot]
        if order.hash == hashed and order.client == client and same_clordid(t, order, clordid, length):
            return order
        slot = (slot + 1) & (t.capacity - 1)
    return NULL


cdef order_t* orders_by_session(order_table_t* t, uint16_t session, const uint8_t* clordid,
                                uint32_t length) noexcept nogil:
    cdef uint32_t hashed = clordid_hash(clordid, length)
    cdef uint64_t slot = hashed & (t.capacity - 1)
    cdef order_t* order
    while t.entries[slot].lsn != 0:
        order = &t.entries[slot]
        # A refused order never reached the counterparty: the ClOrdID is not taken in its eyes.
        if (order.hash == hashed and order.session == session and order.state != ORDER_REFUSED
                and same_clordid(t, order, clordid, length)):
            return order
        slot = (slot + 1) & (t.capacity - 1)
    return NULL


cdef order_t* orders_original(order_table_t* t, uint32_t client, const message_t* message) noexcept nogil:
    cdef const field_t* field = find_field(message, TAG_ORIGCLORDID, 0)
    if field is NULL or field.length == 0:
        return NULL
    return orders_by_client(t, client, message.data + field.offset, field.length)


cdef bint order_in_doubt(const order_t* order) noexcept nogil:
    return order.state == ORDER_IN_DOUBT or order.state == ORDER_NOT_THERE


cdef bint orders_full(const order_table_t* t) noexcept nogil:
    return t.count >= t.capacity // 4 * 3


cdef order_t* orders_insert(order_table_t* t, const record_header_t* record, uint32_t generation,
                            int64_t quantity_e8) noexcept nogil:
    cdef uint32_t offset
    cdef uint32_t length
    if record.kind == RECORD_OUT:
        offset = RECORD_HEADER_BYTES + (record.aux >> 16)
        length = record.aux & 0xFFFF
    else:
        # The payload of a REJECTED or DOUBT record starts with the ClOrdID's length (u16), then the ClOrdID.
        length = (<const uint16_t*>(<const uint8_t*>record + RECORD_HEADER_BYTES))[0]
        offset = RECORD_HEADER_BYTES + 2
    if length == 0 or t.count >= t.capacity - 1:
        return NULL
    cdef uint32_t hashed = clordid_hash(<const uint8_t*>record + offset, length)
    cdef uint64_t slot = hashed & (t.capacity - 1)
    while t.entries[slot].lsn != 0:
        if (t.entries[slot].hash == hashed and t.entries[slot].client == record.client
                and order_in_doubt(&t.entries[slot])
                and same_clordid(t, &t.entries[slot], <const uint8_t*>record + offset, length)):
            break
        slot = (slot + 1) & (t.capacity - 1)
    cdef order_t* order = &t.entries[slot]
    t.count += order.lsn == 0
    order.lsn = record.lsn
    order.seq = record.seq if record.kind == RECORD_OUT else 0
    order.last_in_seq = 0
    order.open_e8 = quantity_e8 if record.kind == RECORD_OUT else 0
    order.hash = hashed
    order.client = record.client
    order.generation = generation
    order.clordid_offset = offset
    order.clordid_length = <uint16_t>length
    order.session = record.session
    order.state = ORDER_SENT if record.kind == RECORD_OUT else (
        ORDER_IN_DOUBT if record.kind == RECORD_DOUBT else ORDER_REFUSED)
    order.reason = <uint8_t>record.aux if record.kind == RECORD_REJECTED else 0
    order.doubted = order.doubted or record.kind == RECORD_DOUBT
    order.asked = 0
    return order


cdef order_t* orders_route(order_table_t* t, uint16_t session, const message_t* message, uint64_t next_seq,
                           uint64_t after_lsn, uint64_t until_lsn) noexcept nogil:
    cdef order_t* order = order_named_by(t, session, message, TAG_CLORDID)
    if order is NULL:
        order = order_named_by(t, session, message, TAG_ORIGCLORDID)
    if order is NULL and message.msg_type == MSGTYPE_BUSINESS_REJECT:
        order = order_named_by(t, session, message, TAG_BUSINESSREJECTREFID)
    if order is NULL and (message.msg_type == MSGTYPE_BUSINESS_REJECT or message.msg_type == MSGTYPE_REJECT):
        order = order_of_reference(t, session, message, next_seq, after_lsn, until_lsn)
    return order


cdef int64_t orders_update(order_table_t* t, order_t* order, const message_t* message, uint64_t seq) noexcept nogil:
    cdef int64_t before = order.open_e8
    cdef int64_t change = 0
    if rejects_another(t, order, message):
        return 0
    order.last_in_seq = seq
    if message.msg_type == MSGTYPE_EXECUTION_REPORT:
        change += settle_original(t, order, message, seq)
        take_execution_report(order, message)
    elif (message.msg_type == MSGTYPE_ORDER_CANCEL_REJECT or message.msg_type == MSGTYPE_BUSINESS_REJECT
            or message.msg_type == MSGTYPE_REJECT):
        order.state = ORDER_REJECTED
        order.open_e8 = 0
    return change + order.open_e8 - before


cdef const uint8_t* orders_clordid(order_table_t* t, const order_t* order) noexcept nogil:
    return <const uint8_t*>journal_at(t.journal, order.lsn) + order.clordid_offset


# --- helpers --------------------------------------------------------------------------------------------------------

cdef uint32_t clordid_hash(const uint8_t* data, uint32_t length) noexcept nogil:
    """Multiplicative mix of 8 bytes a step (in the manner of wyhash's finaliser); not for hostile input from
    outside."""
    cdef uint64_t state = <uint64_t>0x9E3779B97F4A7C15 ^ length
    cdef uint64_t word
    cdef uint32_t i = 0
    while i + 8 <= length:
        memcpy(&word, data + i, 8)
        state = (state ^ word) * <uint64_t>0xFF51AFD7ED558CCD
        state ^= state >> 32
        i += 8
    word = 0
    memcpy(&word, data + i, length - i)
    state = (state ^ word) * <uint64_t>0xC4CEB9FE1A85EC53
    state ^= state >> 29
    return <uint32_t>state ^ <uint32_t>(state >> 32)


cdef bint same_clordid(order_table_t* t, const order_t* order, const uint8_t* clordid, uint32_t length) noexcept nogil:
    return order.clordid_length == length and memcmp(orders_clordid(t, order), clordid, length) == 0


cdef order_t* order_named_by(order_table_t* t, uint16_t session, const message_t* message, uint32_t tag) noexcept nogil:
    cdef const field_t* field = find_field(message, tag, 0)
    if field is NULL or field.length == 0:
        return NULL
    return orders_by_session(t, session, message.data + field.offset, field.length)


cdef order_t* order_of_reference(order_table_t* t, uint16_t session, const message_t* message, uint64_t next_seq,
                                 uint64_t after_lsn, uint64_t until_lsn) noexcept nogil:
    """A number that was never given is not looked for: that might read the whole log."""
    cdef const field_t* field = find_field(message, TAG_REFSEQNUM, 0)
    cdef int64_t seq = field_uint(message, field) if field is not NULL else -1
    cdef const record_header_t* record
    if seq <= 0 or <uint64_t>seq >= next_seq:
        return NULL
    record = journal_find_in(t.journal, session, DIRECTION_OUT, <uint64_t>seq, after_lsn, until_lsn)
    if record is NULL or not record.flags & FLAG_ORDER:
        return NULL
    return orders_by_session(t, session, <const uint8_t*>record + RECORD_HEADER_BYTES + (record.aux >> 16),
                             record.aux & 0xFFFF)


cdef bint rejects_another(order_table_t* t, const order_t* order, const message_t* message) noexcept nogil:
    """A Reject or BusinessMessageReject of a message that only speaks of an order, a status request for example; an
    OrderCancelReject that names it as the original: it lives on."""
    cdef const field_t* ref_msg_type
    cdef uint32_t packed = 0
    if message.msg_type == MSGTYPE_ORDER_CANCEL_REJECT:
        return order_named_by(t, order.session, message, TAG_ORIGCLORDID) is order
    if message.msg_type != MSGTYPE_BUSINESS_REJECT and message.msg_type != MSGTYPE_REJECT:
        return 0
    ref_msg_type = find_field(message, TAG_REFMSGTYPE, 0)
    if ref_msg_type is NULL or ref_msg_type.length == 0:
        return 0
    memcpy(&packed, message.data + ref_msg_type.offset, min(ref_msg_type.length, 4))
    return not names_new_order(packed)


cdef void take_execution_report(order_t* order, const message_t* message) noexcept nogil:
    cdef const field_t* status = find_field(message, TAG_ORDSTATUS, 0)
    cdef const field_t* leaves = find_field(message, TAG_LEAVESQTY, 0)
    cdef bint ok = 0
    cdef int64_t open_e8
    if status is not NULL and status.length == 1:
        order.state = state_of_ordstatus(message.data[status.offset])
    if leaves is not NULL:
        open_e8 = field_decimal_e8(message, leaves, &ok)
        if ok:
            order.open_e8 = max(open_e8, 0)
    # Up to FIX 4.2 the order that takes the place of another is 'replaced' itself, and trades on.
    if (order.state == ORDER_FILLED or order.state == ORDER_CANCELED or order.state == ORDER_REJECTED
            or order.state == ORDER_EXPIRED
            or (order.state == ORDER_REPLACED and find_field(message, TAG_ORIGCLORDID, 0) is NULL)):
        order.open_e8 = 0


cdef int64_t settle_original(order_table_t* t, order_t* order, const message_t* message, uint64_t seq) noexcept nogil:
    """A cancel (ExecType 4) or replace (5) that took effect ends the order that it names in OrigClOrdID (41). FIX 4.0
    has no ExecType, but the same codes in OrdStatus."""
    cdef const field_t* exec_type = find_field(message, TAG_EXECTYPE, 0)
    cdef order_t* original
    cdef int64_t before
    cdef uint8_t code
    if exec_type is NULL:
        exec_type = find_field(message, TAG_ORDSTATUS, 0)
    if exec_type is NULL or exec_type.length != 1:
        return 0
    code = message.data[exec_type.offset]
    if code != c'4' and code != c'5':
        return 0
    original = order_named_by(t, order.session, message, TAG_ORIGCLORDID)
    if original is NULL or original is order:
        return 0
    before = original.open_e8
    original.state = ORDER_CANCELED if code == c'4' else ORDER_REPLACED
    original.open_e8 = 0
    original.last_in_seq = seq
    return -before


cdef uint8_t state_of_ordstatus(uint8_t status) noexcept nogil:
    """OrdStatus (39) to order_state."""
    if status == c'0':
        return ORDER_NEW
    if status == c'1':
        return ORDER_PARTIALLY_FILLED
    if status == c'2':
        return ORDER_FILLED
    if status == c'4':
        return ORDER_CANCELED
    if status == c'5':
        return ORDER_REPLACED
    if status == c'6' or status == c'A' or status == c'E':
        return ORDER_PENDING
    if status == c'8':
        return ORDER_REJECTED
    if status == c'C':
        return ORDER_EXPIRED
    return ORDER_OTHER


# --- Python face ----------------------------------------------------------------------------------------------------

STATE_NAMES = {
    ORDER_SENT: "SENT",
    ORDER_NEW: "NEW",
    ORDER_PARTIALLY_FILLED: "PARTIALLY_FILLED",
    ORDER_FILLED: "FILLED",
    ORDER_CANCELED: "CANCELED",
    ORDER_REPLACED: "REPLACED",
    ORDER_PENDING: "PENDING",
    ORDER_REJECTED: "REJECTED",
    ORDER_EXPIRED: "EXPIRED",
    ORDER_OTHER: "OTHER",
    ORDER_REFUSED: "REFUSED",
    ORDER_UNKNOWN: "UNKNOWN",
    ORDER_IN_DOUBT: "IN_DOUBT",
    ORDER_NOT_THERE: "NOT_THERE",
}


cdef class OrderTable:
    """The order table over a Journal, for tests and tools.

    Raises MemoryError when `capacity` entries of 56 bytes cannot be had.
    """

    def __cinit__(self, Journal journal not None, uint64_t capacity=1024):
        self.journal = journal
        if orders_init(&self.table, journal.handle, capacity) != 0:
            raise MemoryError(f"order table of {capacity} entries")

    def __dealloc__(self):
        orders_free(&self.table)

    def __len__(self):
        return self.table.count

    @property
    def full(self) -> bool:
        """Whether no further order may be taken."""
        return orders_full(&self.table)

    def insert(self, uint64_t lsn, uint32_t generation=0, int64_t quantity_e8=0) -> bool:
        """Takes the OUT, REJECTED or DOUBT record at `lsn`; False when it has no ClOrdID or the table is full."""
        cdef const record_header_t* record = journal_at(self.journal.handle, lsn)
        if record is NULL:
            raise KeyError(f"LSN {lsn} is not in the journal")
        return orders_insert(&self.table, record, generation, quantity_e8) is not NULL

    def by_client(self, uint32_t client, bytes clordid not None):
        """The order of `client` with this ClOrdID (11) as a dict, or None."""
        return self._describe(orders_by_client(&self.table, client, clordid, <uint32_t>len(clordid)))

    def by_session(self, uint16_t session, bytes clordid not None):
        """The order on `session` with this ClOrdID (11) as a dict, or None; refused orders are not among them."""
        return self._describe(orders_by_session(&self.table, session, clordid, <uint32_t>len(clordid)))

    def receive(self, uint16_t session, bytes fields not None, uint64_t seq):
        """Applies an inbound message given as fields ("35=8<SOH>11=..<SOH>..."); change of open quantity x 10**8, or
        None."""
        cdef field_t index[256]
        cdef message_t message
        cdef order_t* order
        cdef const field_t* kind
        memset(&message, 0, sizeof(message))
        message.fields = index
        message.field_capacity = 256
        if parse_fields(fields, len(fields), &message) != PARSE_OK:
            raise ValueError(f"malformed fields at offset {message.consumed}")
        kind = find_field(&message, 35, 0)
        if kind is not NULL:
            memcpy(&message.msg_type, message.data + kind.offset, min(kind.length, 4))
        order = orders_route(&self.table, session, &message, UINT64_MAX, 0, self.table.journal.last_lsn)
        return None if order is NULL else orders_update(&self.table, order, &message, seq)

    def forget(self) -> None:
        """Empties the table."""
        orders_forget(&self.table)

    cdef _describe(self, const order_t* order):
        if order is NULL:
            return None
        return {
            "lsn": order.lsn, "seq": order.seq, "last_in_seq": order.last_in_seq, "client": order.client,
            "session": order.session, "generation": order.generation, "state": STATE_NAMES[order.state],
            "reason": order.reason, "open_e8": order.open_e8,
            "clordid": orders_clordid(&self.table, order)[:order.clordid_length],
        }
