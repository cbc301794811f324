"""One FIX session: the state machine, for both roles (FIX 4.2/4.4 volume 2, FIXT 1.1).

Bytes and time come in, records and bytes to send and one deadline go out. What survives a crash (the MsgSeqNums, the
generation, an unanswered Logon) is derived from log records by `session_apply` alone, on the primary right after the
append and on the standby on receipt; the rest belongs to the connection and is forgotten with it. May depend on:
journal, parser, encoder, dictionary, version, tags. Never does I/O, never reads a clock, never allocates after
session_init.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .dictionary cimport dictionary_t
from .encoder cimport header_template_t
from .instant cimport instant_t
from .journal cimport Journal, journal_t
from .parser cimport message_t
from .record cimport record_header_t
from .version cimport fix_version_t


cdef enum:
    APPL_VER_IDS = 10    # ApplVerID (1128): "0" to "9"


cdef enum session_role:
    SESSION_INITIATOR = 0
    SESSION_ACCEPTOR = 1


# All transitions are in session.pyx, in one function.
cdef enum session_state:
    SESSION_DISCONNECTED = 0
    SESSION_LOGON_AWAITED = 1   # acceptor, transport up: the counterparty's Logon must be the first message
    SESSION_LOGON_SENT = 2      # initiator, transport up
    SESSION_RECOVERING = 3      # logged on; a gap on either side or the Logon barrier (TestRequest) is still open
    SESSION_READY = 4           # logged on and synchronised: orders get their MsgSeqNum
    SESSION_LOGOUT_SENT = 5
    # needs an operator: state was lost or the counterparty refuses us; never reconnects by itself
    SESSION_STOPPED = 6


cdef enum session_event:
    EVENT_LOGGED_ON = 1         # a: 1 if we initiated
    EVENT_READY = 2             # synchronised in both directions
    EVENT_GAP = 3               # inbound gap: a first missing, b the number that showed it
    # by the counterparty: a BeginSeqNo, b EndSeqNo (0 as infinity resolved to the last sent)
    EVENT_RESEND_REQUESTED = 4
    EVENT_RESENT = 5            # OUT application message a went again, PossDupFlag=Y
    # OUT application message a was too old or not to be resent: the counterparty gets a gap fill
    EVENT_GAP_FILLED = 6
    EVENT_REJECT_SENT = 7       # session-level Reject (35=3): a SessionRejectReason (373), b RefSeqNum (45)
    EVENT_REJECT_RECEIVED = 8   # 35=3 about our message a (RefSeqNum); text in session_t.text
    EVENT_GARBLED = 9           # a garbled_reason, b bytes dropped
    EVENT_LOGGED_OUT = 10       # a: 1 if the counterparty asked; text in session_t.text
    EVENT_DISCONNECTED = 11     # transport gone, or session_closing() became true; a: disconnect_reason
    EVENT_STOPPED = 12          # a: stop_reason; b: the number the counterparty says it expects, 0 if it names none
    EVENT_RESET = 13            # sequence numbers start over; a: new generation


cdef enum disconnect_reason:
    DISCONNECT_TRANSPORT = 1      # the owner told us
    DISCONNECT_LOGON_TIMEOUT = 2
    DISCONNECT_HEARTBEAT_TIMEOUT = 3
    DISCONNECT_LOGOUT = 4
    DISCONNECT_LOGOUT_TIMEOUT = 5
    DISCONNECT_LOGON_REFUSED = 6
    DISCONNECT_PROTOCOL = 7       # what the specification answers with a disconnect


cdef enum stop_reason:
    STOP_OUR_SEQ_TOO_LOW = 1      # counterparty: our MsgSeqNum is lower than it expects: our state was lost
    # counterparty's MsgSeqNum is lower than we expect without PossDupFlag: its state was lost
    STOP_THEIR_SEQ_TOO_LOW = 2
    STOP_BY_OPERATOR = 3


cdef enum send_status:
    SEND_OK = 0
    SEND_NOT_READY = -1      # not logged on and synchronised: the caller holds or refuses
    SEND_NO_SPACE = -2       # journal cannot take it now
    SEND_TOO_LARGE = -3
    SEND_TX_FULL = -4        # transmit queue full: the counterparty reads too slowly


# Called while the session handles input, on the caller's thread. The session calls them; they must not call the session
# back (session_send_application from on_message is the one exception).
cdef struct session_hooks_t:
    void* context
    # Client id that an inbound application message belongs to; it goes into the IN record. NULL: 0.
    uint32_t (*route)(void* context, session_t* session, const message_t* message) noexcept nogil
    # A message of ours is encoded, its record not complete yet. NULL: none.
    void (*on_encoded)(void* context) noexcept nogil
    # Whether this order must not go again though the counterparty asks for it. NULL: every order may.
    bint (*withholds)(void* context, const record_header_t* record) noexcept nogil
    # An application message was accepted in sequence and logged; message points into the record's payload or an equal
    # copy.
    void (*on_message)(void* context, session_t* session, const message_t* message,
                       const record_header_t* record) noexcept nogil
    # A record was appended to the log by this session (OUT, IN or STATE), already applied to the session itself.
    void (*on_record)(void* context, session_t* session, const record_header_t* record) noexcept nogil
    void (*on_event)(void* context, session_t* session, session_event event, uint64_t a, uint64_t b) noexcept nogil
    # Writes further fields of the Logon with this MsgSeqNum and SendingTime, a signature for example, each with its
    # SOH; their length, or -1: no Logon goes out and the connection is closed. NULL: none. Not on the path of an order.
    int (*fill_logon)(void* context, session_t* session, uint64_t seq, const uint8_t* sending_time,
                      uint32_t sending_time_length, uint8_t* place, uint32_t capacity) noexcept nogil


cdef struct session_config_t:
    uint16_t index                   # of the session in the pair's configuration; goes into every record
    session_role role
    uint8_t begin_string[16]         # "FIX.4.4", NUL-terminated
    uint8_t sender_comp_id[64]
    uint8_t target_comp_id[64]
    uint8_t extra_ids[256]           # further fixed header fields, "50=..\x0157=..\x01", SOH-terminated each
    # further fields of our Logon ("553=..\x01554=..\x01"); may hold secrets: never logged in clear
    uint8_t logon_fields[512]
    uint8_t timestamp_digits         # 0, 3, 6, 9
    uint32_t heartbeat_s             # HeartBtInt (108); an acceptor takes the initiator's
    uint64_t logon_timeout_ns
    uint64_t logout_timeout_ns
    uint64_t test_request_after_ns   # silence before our TestRequest; 0: 1.2 x HeartBtInt
    uint64_t disconnect_after_ns     # silence before we disconnect; 0: 2.4 x HeartBtInt
    uint64_t sending_time_tolerance_ns   # 0: no check (SendingTime accuracy problem)
    uint64_t resend_max_age_ns       # OUT application messages older than this become gap fill
    uint32_t resend_chunk            # our ResendRequest asks for at most so many at once; 0: all (EndSeqNo=0)
    uint32_t max_message_bytes
    bint reset_on_logon              # ResetSeqNumFlag=Y in our Logon
    bint reset_on_logout
    bint reset_on_disconnect
    bint logon_barrier               # TestRequest after Logon, READY on its Heartbeat (FIX 4.4 vol. 2, 'Logon')
    bint send_next_expected          # NextExpectedMsgSeqNum (789) in Logon
    bint cancels_before_ready        # 35=F and 35=q may go while RECOVERING
    uint8_t default_appl_ver_id[8]   # FIXT: DefaultApplVerID (1137) in Logon; "9" (FIX50SP2) if empty
    uint32_t heartbeat_min_s         # acceptor: the HeartBtInt that it takes; 0: any
    uint32_t heartbeat_max_s
    bint test_session                # TestMessageIndicator (464) in Logon, and wanted in the counterparty's
    bint send_last_processed         # LastMsgSeqNumProcessed (369) in every header
    bint orig_sending_time_optional  # PossDupFlag=Y is taken without OrigSendingTime (122)
    uint32_t checks                  # dictionary_check bits; 0: header, trailer and numbers alone
    const dictionary_t* dictionary   # the owner keeps it; NULL: as checks 0
    const dictionary_t* session_dictionary   # FIXT: of session messages; NULL: `dictionary` has them
    const dictionary_t* appl_dictionaries[APPL_VER_IDS]   # FIXT: of messages with an ApplVerID (1128) of their own


cdef struct session_t:
    session_config_t config
    session_hooks_t hooks
    journal_t* journal
    header_template_t header
    const fix_version_t* version
    uint32_t epoch                   # goes into every record; set by the owner
    uint64_t passes_on_lsn           # set by the owner: the record that the next application message passes on; 0: none

    # Derived from the log by session_apply.
    uint64_t next_out                # MsgSeqNum of our next message
    uint64_t next_in                 # MsgSeqNum we expect
    uint32_t generation              # grows at each reset: (generation, MsgSeqNum) is unique for ever
    uint64_t pending_logon_seq       # our last Logon, while no Logon from the counterparty followed it; else 0
    uint64_t reset_ns                # wall clock of the last reset; 0: none
    # wall clock of the first use of the numbers since the last reset, not before that reset; 0: both are still 1
    uint64_t used_since_ns

    # Of the present connection.
    session_state state
    # LSN of the latest record of orders that a gap fill passes over; it goes nowhere before that is released, whatever
    # the session's mode
    uint64_t gap_fill_lsn
    uint8_t text[256]                # Text (58) of the last Logout or Reject, NUL-terminated, for events
    void* private                    # transmit queue, resend cursor, timers, queued messages: see session.pyx


# 0, or -1: out of memory, an unknown BeginString or identifiers that are too long
cdef int session_init(session_t* s, const session_config_t* config, journal_t* journal) noexcept nogil
cdef void session_free(session_t* s) noexcept nogil

cdef void session_apply(session_t* s, const record_header_t* record) noexcept nogil   # derives durable state
# Whether the message in an OUT or IN record has this MsgType (35) of one character: the third field of every message.
cdef bint session_is_of_type(const record_header_t* record, uint8_t msg_type) noexcept nogil
cdef void session_forget(session_t* s) noexcept nogil   # back to an empty log (before a replay from the start)

cdef void session_on_connected(session_t* s, const instant_t* now) noexcept nogil      # transport up: initiator logs on
# MsgSeqNum of the Logon that an initiator sends next, as session_on_connected will.
cdef uint64_t session_logon_seq(const session_t* s) noexcept nogil
cdef void session_on_disconnected(session_t* s, const instant_t* now) noexcept nogil   # transport gone
# Handles every whole message in data[0:size]; returns the bytes used up. The rest comes again with more behind it.
cdef size_t session_on_bytes(session_t* s, const uint8_t* data, size_t size, const instant_t* now) noexcept nogil
cdef void session_on_timer(session_t* s, const instant_t* now) noexcept nogil          # cheap when nothing is due
# mono_ns of the next timer; UINT64_MAX: none
cdef uint64_t session_deadline(const session_t* s) noexcept nogil

# Numbers, encodes and logs one application message and queues it for release. `clordid_offset` of the ClOrdID's value
# in `body` (clordid_length 0: none). On SEND_OK record[0] is the OUT record.
cdef send_status session_send_application(session_t* s, const uint8_t* msg_type, uint32_t msg_type_length,
                                          const uint8_t* body, uint32_t body_length, uint32_t clordid_offset,
                                          uint32_t clordid_length, uint32_t client, uint8_t flags, const instant_t* now,
                                          const record_header_t** record) noexcept nogil
cdef void session_logout(session_t* s, const char* text, const instant_t* now) noexcept nogil   # starts the handshake
# fenced: no Logout, nothing more to send, closing
cdef void session_drop(session_t* s, const instant_t* now) noexcept nogil
# In mid-session: both sides start at 1 again with a Logon with ResetSeqNumFlag=Y. 0, or -1: not logged on and idle
cdef int session_reset_online(session_t* s, const instant_t* now) noexcept nogil
# STATE_RESET; only while disconnected; 0 or -1
cdef int session_reset(session_t* s, const instant_t* now) noexcept nogil
# Whether a reset is due before the next connection: the one before may have ended unseen, with the node that had it.
cdef bint session_starts_over(const session_t* s) noexcept nogil
# while disconnected
cdef int session_set_seq(session_t* s, uint64_t next_out, uint64_t next_in, const instant_t* now) noexcept nogil
# operator: STOPPED -> DISCONNECTED
cdef void session_resume(session_t* s) noexcept nogil

# What may go on the socket now: the longest contiguous run at the head of the transmit queue whose LSNs are at most
# `released_lsn` (resends and the like have none and wait only for what is before them). 0: nothing.
cdef size_t session_tx_peek(session_t* s, uint64_t released_lsn, const uint8_t** data) noexcept nogil
# The same, and behind it what else may go: then data is `place`, and at most `capacity` bytes were copied to it.
cdef size_t session_tx_gather(session_t* s, uint64_t released_lsn, uint8_t* place, size_t capacity,
                              const uint8_t** data) noexcept nogil
cdef bint session_tx_empty(const session_t* s) noexcept nogil
# so many bytes were written
cdef void session_tx_consume(session_t* s, size_t size, const instant_t* now) noexcept nogil
# close the transport once session_tx_peek gives nothing more
# LSN up to which what was released is on the socket: for measuring alone.
cdef uint64_t session_sent_lsn(const session_t* s) noexcept nogil
cdef bint session_closing(const session_t* s) noexcept nogil
# would session_send_application number it now?
cdef bint session_ready_for(const session_t* s, uint32_t msg_type) noexcept nogil


# The Python face: one session with a Journal, for the broker simulator and the tests.
cdef class Session:
    cdef session_t state
    cdef readonly Journal journal
    cdef list events
    cdef list dictionaries
    cdef object logon_hook
    cdef readonly object logon_error
