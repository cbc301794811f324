"""A client OMS on a FIX session of its own (DESIGN section 8, 'FIX acceptor'): what of it the log does not have yet.

Its orders are IN records of its session; each becomes an OUT or REJECTED record, at once or when the broker's session
is ready. What belongs to it becomes OUT records of its session, with FLAG_PASSED_ON and the distance to the record that
they pass on. Both are derived from the log, so a new primary goes on where the log ends: no order is forgotten or sent
twice, no execution is missing or passed on twice. May depend on: record, journal, orders, parser, fixbody. Never does
I/O, never reads a clock.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .fixbody cimport body_t
from .journal cimport journal_t
from .orders cimport order_table_t
from .parser cimport field_t, message_t
from .record cimport record_header_t


cdef enum:
    MAX_PENDING = 1 << 14        # orders since the oldest one without an outcome
    MAX_SCANNED_FIELDS = 512     # a ClOrdID is among the first of a message, or it is none; as the replica indexes


cdef struct bridge_t:
    uint32_t client              # 0: this session is none of a client
    uint64_t* pending            # LSNs of IN records with a ClOrdID of their own; a ring of MAX_PENDING
    uint64_t first               # pending[first % MAX_PENDING] is the oldest
    uint64_t end
    uint64_t passed_lsn          # the latest record that was passed on
    uint32_t patience            # orders to refuse before it is looked again whether there is room
    # Of the present primary.
    uint64_t next                # the first that was not submitted by this primary
    uint64_t inherited           # those before it may have been sent by a predecessor
    uint64_t cursor              # the first record that was not looked at for the client


cdef int bridge_init(bridge_t* b, uint32_t client) noexcept nogil     # 0, or -1: out of memory
cdef void bridge_free(bridge_t* b) noexcept nogil
cdef void bridge_forget(bridge_t* b) noexcept nogil                   # back to an empty log
cdef void bridge_apply(bridge_t* b, const record_header_t* record, const message_t* message,
                       order_table_t* orders, journal_t* journal) noexcept nogil   # an IN record of the session
cdef void bridge_passed(bridge_t* b, const record_header_t* record) noexcept nogil  # an OUT record of the session
# Is there room for what comes after the latest order? If not, that order needs an outcome at once, or one is forgotten.
cdef bint bridge_has_room(bridge_t* b, order_table_t* orders, journal_t* journal) noexcept nogil
# Takes out of `pending` what has an outcome, oldest first.
cdef void bridge_sweep(bridge_t* b, order_table_t* orders, journal_t* journal) noexcept nogil
cdef void bridge_promote(bridge_t* b) noexcept nogil

# A ClOrdID that the log can hold; NULL: there is none, or it is empty, too long or not printable.
cdef const field_t* whole_clordid(const message_t* message) noexcept nogil
# The ClOrdID by which an order is pending; NULL: it names nothing new, or has none that can be logged.
cdef const field_t* new_clordid(const message_t* message) noexcept nogil
# The message's fields without the standard header and trailer, in their order; their length, 0: they cannot be.
cdef uint32_t bridge_fields(const message_t* message, uint8_t* place, uint32_t capacity) noexcept nogil
# Says no to a message: ExecutionReport (8), OrderCancelReject (9), BusinessMessageReject (j) or Reject (3), by the
# message and the version of FIX. `reason`: a reject_reason; `id`: unique, for ExecID (17). The MsgType.
cdef uint8_t bridge_refusal(const message_t* message, const uint8_t* begin_string, uint8_t reason, const uint8_t* text,
                            uint32_t text_length, uint64_t id, const uint8_t* time, uint32_t time_length,
                            body_t* body) noexcept nogil
cdef const char* refusal_text(uint8_t reason) noexcept nogil
