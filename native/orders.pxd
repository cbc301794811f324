"""Order table: every ClOrdID that was ever numbered or refused, and what is known of it. Derived from the log.

Open-addressing hash over flat memory; an entry points at the ClOrdID inside its OUT or REJECTED record, so the table
holds no strings. (client, ClOrdID) makes submission idempotent; (session, ClOrdID) routes what the counterparty sends.
May depend on: journal, record, parser. Never does I/O.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from .journal cimport Journal, journal_t
from .parser cimport message_t
from .record cimport record_header_t


cdef enum order_state:
    ORDER_SENT = 1              # in the log; not answered yet
    ORDER_NEW = 2               # the rest follow OrdStatus (39) of the latest ExecutionReport
    ORDER_PARTIALLY_FILLED = 3
    ORDER_FILLED = 4
    ORDER_CANCELED = 5
    ORDER_REPLACED = 6
    ORDER_PENDING = 7
    ORDER_REJECTED = 8          # by the counterparty
    ORDER_EXPIRED = 9
    ORDER_OTHER = 10            # any other OrdStatus
    ORDER_REFUSED = 11          # by the gateway, never numbered
    ORDER_UNKNOWN = 12          # gap-filled at a takeover: the counterparty must tell
    ORDER_IN_DOUBT = 13         # an earlier primary may have sent it: held, the counterparty is asked
    ORDER_NOT_THERE = 14        # was in doubt, and the counterparty does not know it: held until it is numbered


# 56 bytes.
cdef struct order_t:
    uint64_t lsn                # of the OUT, REJECTED or DOUBT record
    uint64_t seq                # MsgSeqNum out; 0 when refused or in doubt
    uint64_t last_in_seq        # of the latest message about it; 0: none
    int64_t open_e8             # quantity that may still trade, times 10**8
    uint32_t hash
    uint32_t client
    uint32_t generation         # of the session when it was numbered
    uint32_t clordid_offset     # from the start of the record
    uint16_t clordid_length
    uint16_t session
    uint8_t state
    uint8_t reason              # reject_reason when refused; in doubt: 0, or why not to send it if it is not there
    uint8_t doubted             # was in doubt, or is
    uint8_t asked               # in doubt: the present primary has asked the counterparty about it


cdef struct order_table_t:
    journal_t* journal
    order_t* entries
    uint64_t capacity           # power of two
    uint64_t count


# Capacity is rounded up to a power of two; at most three quarters of it are used. 0, or -1: out of memory.
cdef int orders_init(order_table_t* t, journal_t* journal, uint64_t capacity) noexcept nogil
cdef void orders_free(order_table_t* t) noexcept nogil
cdef void orders_forget(order_table_t* t) noexcept nogil         # empty again, before a replay of the log
cdef order_t* orders_by_client(order_table_t* t, uint32_t client, const uint8_t* clordid,
                               uint32_t length) noexcept nogil
cdef order_t* orders_by_session(order_table_t* t, uint16_t session, const uint8_t* clordid,
                                uint32_t length) noexcept nogil
# The order of `client` that a message names in OrigClOrdID (41); NULL if there is none.
cdef order_t* orders_original(order_table_t* t, uint32_t client, const message_t* message) noexcept nogil
cdef bint order_in_doubt(const order_t* order) noexcept nogil
cdef bint orders_full(const order_table_t* t) noexcept nogil     # no further order may be taken
# From a log record (OUT with FLAG_ORDER, REJECTED or DOUBT). The record is in the journal already. What was in doubt
# becomes what the record says. NULL: table full, or no ClOrdID.
cdef order_t* orders_insert(order_table_t* t, const record_header_t* record, uint32_t generation,
                            int64_t quantity_e8) noexcept nogil
# The order that an inbound message is about: by 11, 41, 379, else by RefSeqNum (45) below next_seq among the records
# behind after_lsn (the session's last reset) and up to until_lsn. NULL if it is not ours.
cdef order_t* orders_route(order_table_t* t, uint16_t session, const message_t* message, uint64_t next_seq,
                           uint64_t after_lsn, uint64_t until_lsn) noexcept nogil
# Takes over what an inbound message (MsgSeqNum `seq`) says of `order` and, for a cancel or replace, of its original.
# Returns by how much the open quantity of the order's client changed, times 10**8.
cdef int64_t orders_update(order_table_t* t, order_t* order, const message_t* message, uint64_t seq) noexcept nogil
# its bytes, inside the journal
cdef const uint8_t* orders_clordid(order_table_t* t, const order_t* order) noexcept nogil


# The Python face, over a Journal.
cdef class OrderTable:
    cdef order_table_t table
    cdef readonly Journal journal
    cdef _describe(self, const order_t* order)
