"""What a client hands in: checked, made idempotent, held or numbered, or refused (DESIGN sections 4 and 8).

An order is answered, never sent, when its (client, ClOrdID) is known. It gets its MsgSeqNum only when its session is
ready; before that it waits here without a number, in the order of arrival, or is refused, as configured. May depend on:
replica, session, risk, orders, parser, ring, clientwire. Never does I/O, never reads a clock.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from .instant cimport instant_t
from .parser cimport field_t, message_t
from .replica cimport MAX_INDEXED_FIELDS, MAX_SESSIONS, SESSION_WORDS, replica_t
from .ring cimport ring_t
from .stages cimport stages_t


cdef enum:
    HELD_BYTES = 1 << 20       # orders that wait for one session, frames of at most MAX_FRAME_BYTES
    HELD_HEADER_BYTES = 24     # held_t
    MAX_REJECT_TEXT = 100      # what of a malformed order is wrong, and where
    HOLD_MAX_AGE_NS = 60000000000   # unless configured


cdef enum intake_verdict:
    INTAKE_NUMBERED = 0        # in the log; ACCEPTED follows from the feed
    INTAKE_HELD = 1            # waits without a number, or is in doubt
    INTAKE_REFUSED = 2         # a REJECTED record is in the log; REJECTED follows from the feed
    INTAKE_REPEATED = 3        # `order` tells its present state; the client is answered, nothing is sent
    # the log cannot take a record now; answer REJECTED at once: the ClOrdID may be tried again
    INTAKE_REFUSED_UNLOGGED = 4
    # in doubt, and cannot be taken now: whatever it is told would be a guess, so the client must come again
    INTAKE_COME_AGAIN = 5


# What makes a submission REJECT_MALFORMED; `fault_at` says where.
cdef enum intake_fault:
    FAULT_NONE = 0
    FAULT_FRAME = 1            # a SUBMIT frame without a MsgType
    FAULT_MSG_TYPE = 2         # not 1 to 4 printable characters
    FAULT_NO_FIELDS = 3
    FAULT_BYTE = 4             # fault_at: first byte of the fields that is not of tag=value<SOH>
    FAULT_TOO_MANY_FIELDS = 5
    FAULT_CLORDID = 6          # it has a character that cannot be named to the client
    FAULT_EMPTY = 7            # fault_at, here and below: tag
    FAULT_TWICE = 8
    FAULT_NO_NUMBER = 9        # or one that is too large
    FAULT_BELOW_UNIT = 10


cdef struct intake_session_t:
    bint hold_when_not_ready   # else refuse
    # set by the owner: an earlier primary may have sent what the log does not have
    bint lossy
    uint64_t hold_max_age_ns   # what has waited longer is refused: nothing old goes out when the session is back
    ring_t* held               # frames that wait: held_t, MsgType, fields


cdef struct held_t:            # HELD_HEADER_BYTES
    uint64_t since_mono_ns
    uint64_t origin_lsn
    uint32_t client
    uint32_t msg_type_length


cdef struct submission_t:      # one SUBMIT frame, taken apart
    uint32_t client
    uint16_t session
    bint again                 # SUBMIT_AGAIN
    # Of the IN record of the client's own FIX session that brought it in; 0: it came another way. Whatever its outcome,
    # it goes into the log
    uint64_t origin_lsn
    uint64_t age_ns            # it is in the log for so long already
    bint cut_off               # it has more fields than can be passed on
    const uint8_t* msg_type
    uint32_t msg_type_length
    const uint8_t* body        # fields
    uint32_t body_length
    bint forbidden             # the client may not use this session: to it, there is none
    const uint8_t* clordid     # set by intake_submit; NULL: none
    uint32_t clordid_length
    uint8_t reason             # reject_reason when refused
    uint8_t fault              # intake_fault, and where, when that is REJECT_MALFORMED
    uint32_t fault_at
    uint8_t order_state        # when repeated
    bint order_in_doubt
    uint64_t order_seq
    uint64_t order_lsn
    uint32_t order_generation


cdef struct intake_t:
    replica_t* replica
    intake_session_t sessions[MAX_SESSIONS]
    uint64_t holding[SESSION_WORDS]     # bit mask: sessions for which something may be held
    uint64_t window_records    # most records that may be unacknowledged before orders are held
    uint64_t acked_lsn         # set by the owner
    bint gated                 # set by the owner: an acknowledgement is required at present
    bint open                  # set by the owner: this node may number orders
    uint32_t epoch
    uint64_t accepted
    uint64_t held
    uint64_t refused
    uint64_t repeated
    uint64_t doubted           # handed in again after a lossy takeover, unknown to the log
    stages_t* stages           # set by the owner; NULL: none
    field_t index[MAX_INDEXED_FIELDS]
    message_t fields           # index of the submission in hand


cdef void intake_init(intake_t* t, replica_t* replica, uint64_t window_records) noexcept nogil
# 0, or -1: out of memory.
cdef int intake_add_session(intake_t* t, uint16_t session, bint hold_when_not_ready) noexcept nogil
cdef void intake_free(intake_t* t) noexcept nogil
cdef intake_verdict intake_submit(intake_t* t, submission_t* s, const instant_t* now) noexcept nogil
# Refuses a message of a client's own FIX session, also while the intake is closed; s.clordid is the caller's to set.
# 0, or -1: no space.
cdef int intake_refuse(intake_t* t, submission_t* s, uint8_t reason, const instant_t* now) noexcept nogil
# What is wrong with a malformed submission, and where: at most MAX_REJECT_TEXT bytes of ASCII at `text`; the length. 0:
# the reason says it all.
cdef uint32_t intake_fault_text(const submission_t* s, uint8_t* text) noexcept nogil
# Numbers what was held and may go now; the number of orders that left.
cdef uint32_t intake_drain(intake_t* t, uint16_t session, const instant_t* now) noexcept nogil
# Numbers, or refuses, the orders in doubt that the counterparty says it does not have.
cdef void intake_settle(intake_t* t, uint16_t session, const instant_t* now) noexcept nogil
cdef void intake_forget_held(intake_t* t) noexcept nogil   # no longer primary: clients hand them in again elsewhere
cdef bint intake_holds(const intake_t* t, uint16_t session) noexcept nogil
