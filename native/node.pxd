"""One node, without I/O: the composition of log, sessions, replication, role, intake and feeds (DESIGN section 6).

The owner (the reactor in production, the simulator in tests) hands in bytes, datagrams, connection events, answers of
the register, commands and time, and takes out bytes, datagrams, connection requests and notes. May depend on every
native module but reactor. Never does I/O, never reads a clock, never allocates after node_init.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from .datagram cimport DATAGRAM_HEADER_BYTES, DATAGRAM_MAC_BYTES, channel_t
from .feed cimport client_t
from .instant cimport instant_t
from .intake cimport intake_t
from .journal cimport Journal, journal_t
from .parser cimport field_t
from .receiver cimport receiver_config_t, receiver_t
from .replica cimport MAX_SESSIONS, SESSION_WORDS, replica_t
from .ring cimport ring_t
from .role cimport (command_status, register_outcome, register_request_t, register_value_t, role_command,
                    role_config_t, role_t)
from .sender cimport sender_config_t, sender_t
from .session cimport session_config_t
from .stages cimport stages_t


cdef enum:
    MAX_CLIENT_CONNECTIONS = 32
    MAX_CLIENT_NAMES = 256
    CREDENTIAL_BYTES = 128
    NOTE_TEXT_BYTES = 128
    MAX_PASSED_FIELDS = 2048    # of one message from a client's own session, or to it
    MAX_FILL_BYTES = 768        # fields that the control thread adds to a Logon
    NOTE_RING_BYTES = 1 << 20
    GREETING_BYTES = DATAGRAM_HEADER_BYTES + DATAGRAM_MAC_BYTES


# What happened, for logs, metrics and incident reports; read by the control thread from `node_t.notes`.
cdef enum note_code:
    NOTE_ROLE = 1               # a: role_state, b: epoch, c: release_rule << 8 | cause
    # session; a: session_event, b, c: its arguments (READY: messages resent, gap-filled); text
    NOTE_SESSION = 2
    NOTE_SUSPECTED = 3          # b: mono_ns when the peer was suspected
    NOTE_REGISTER_WON = 4
    NOTE_PROMOTED = 5           # EPOCH record written; b: its LSN, c: epoch
    NOTE_CONNECTING = 6         # session; a: endpoint, b: attempt
    NOTE_CONNECTED = 7          # session; a: endpoint
    NOTE_DISCONNECTED = 8       # session
    NOTE_FIRST_ORDER = 9        # session; first order numbered after a promotion; b: MsgSeqNum
    NOTE_FOLLOWING = 11         # standby follows; b: its last LSN, c: epoch
    NOTE_CLIENT = 12            # a: 1 logged in, 0 gone, 2 refused; b: client id
    NOTE_JOURNAL_FULL = 13
    NOTE_PEER = 14              # a: 1 met, 0 lost; b: its incarnation
    NOTE_TRIPWIRE = 15          # a: 1 connected, 0 closed
    NOTE_SKIPPED_AHEAD = 16     # session; b: first number skipped, c: next_out
    NOTE_REGISTER = 17          # a: register_outcome; b: version; c: epoch<<32 | primary << 8 | in_sync
    NOTE_REPLICATION_STALLED = 18   # orders are held: b: last LSN, c: acknowledged LSN
    NOTE_REGISTER_REQUEST = 19  # text: a register_request_t for the control thread to carry out
    NOTE_COMMAND_DONE = 20      # a: status of the command with id b
    # the journal is cut after LSN b, to follow the primary; a: 1 it could not be, text: why. It is tried again
    NOTE_TRUNCATION = 21
    NOTE_STOPPED = 22           # the reactor has left its loop
    NOTE_IN_DOUBT = 23          # session; the counterparty is asked about orders handed in again: a: how many
    NOTE_RECONCILED = 24        # no order is in doubt any more; b: doubts settled since the start
    NOTE_FLUSH_WANTED = 25      # nothing is sent before LSN b is on disk: the control thread must flush
    NOTE_UNFIT = 27             # the log is not of this configuration: the node stands still; a: roster_fit, b: index
    NOTE_QUESTION_REFUSED = 28  # the counterparty rejects our OrderStatusRequests; b: how many so far
    # of another pair, node or key, damaged or replayed; a: open_status of the latest, b: how many; c: for one of
    # another version, that << 8 | ours
    NOTE_DATAGRAMS_DROPPED = 29
    NOTE_TURNED_AWAY = 32       # session; a counterparty that has connected may not log on now
    # what an operator has commanded is not done: this node goes on as primary of epoch b; a: 1 if the register did not
    # answer, and may have the standby as primary all the same
    NOTE_SWITCHOVER_GIVEN_UP = 33
    NOTE_NOT_PASSED_ON = 31     # session; record b is too large or odd for the client's session: c bytes
    NOTE_FILL_LOGON = 30        # session; a: attempt, b: MsgSeqNum, c: SendingTime (ns); node_fill_logon answers
    # a lost tail is made good, a new log filled: the journal's marks of it may go once LSN b is on disk
    NOTE_TAIL_SETTLED = 26


cdef struct note_t:
    uint16_t code
    uint16_t session
    uint32_t a
    uint64_t b
    uint64_t c
    uint64_t mono_ns
    uint64_t wall_ns
    uint8_t text[NOTE_TEXT_BYTES]


cdef enum session_command:
    SESSION_COMMAND_LOGOUT = 1      # log out and stay out
    SESSION_COMMAND_RESUME = 2      # after LOGOUT or STOPPED: connect again
    SESSION_COMMAND_RESET = 3       # day change: log out, start both MsgSeqNums at 1, log on again
    SESSION_COMMAND_SET_SEQ = 4     # only while disconnected
    SESSION_COMMAND_SEND_DOUBTED = 5      # the operator knows: the counterparty has none of the orders in doubt
    SESSION_COMMAND_GIVE_UP_DOUBTED = 6   # they are not sent; their clients are told UNKNOWN
    # The schedule's: each node is told, whatever its role, so that it knows when it becomes primary.
    SESSION_COMMAND_OPEN = 7        # a window has begun: connect, also what an operator had logged out
    SESSION_COMMAND_CLOSE = 8       # it has ended: log out, and stay out until OPEN or an operator's RESUME
    SESSION_COMMAND_START_OVER = 9  # MsgSeqNums in use since before next_out (wall clock, ns) start at 1 again


cdef struct client_name_t:
    uint8_t name[CREDENTIAL_BYTES]
    uint8_t token[CREDENTIAL_BYTES]     # zero-padded; all zero: none
    bint sessions[MAX_SESSIONS]         # it may use this one
    bint unrouted
    bint over_fix                       # comes over a FIX session of its own, not by LOGIN


# A session's connection to its counterparty.
cdef enum link_phase:
    LINK_IDLE = 0
    LINK_CONNECTING = 1
    LINK_UP = 2
    LINK_FILLING = 3            # the transport is up; the control thread fills or signs the Logon


cdef struct link_t:
    link_phase phase
    bint reset                    # fenced: the owner closes with SO_LINGER 0, then calls node_on_session_disconnected
    uint8_t endpoint              # index in the configured order
    uint8_t endpoints             # how many there are
    bint round_robin              # after a connection is lost: the next endpoint, not the first
    uint32_t jitter_permille      # part of each back-off that is left to chance
    uint64_t next_connect_mono_ns
    uint64_t backoff_ns
    uint64_t min_backoff_ns
    uint64_t max_backoff_ns
    bint sync                     # release waits for the acknowledgement
    uint32_t skip_ahead
    uint64_t skip_to              # the number to skip ahead to; not 0: the journal had no space for it yet
    uint32_t skip_generation
    uint64_t skip_span            # by how much this primary had to skip ahead; 0: not at all, or that is made good
    bint enabled                  # an operator's logout keeps it down
    bint reset_wanted             # an operator's: reset both MsgSeqNums as soon as it is disconnected
    bint closed                   # outside the windows of its schedule
    uint64_t starts_over_ns       # wall clock: numbers in use since before it are of an earlier day or window; 0: any
    bint was_ready                # of the present connection: the next back-off starts small
    uint64_t resent               # application messages sent again on the present connection
    uint64_t gap_filled           # application messages that became gap fill on it
    uint64_t asked_lsn            # DOUBT records up to here were asked about on it
    bint accepting                # the counterparty connects to us
    uint32_t attempts             # connections so far: what the control thread answers about an older one is ignored
    bint fills_logon              # each Logon waits for the control thread's fields
    uint64_t fill_until_mono_ns
    uint64_t fill_wall_ns         # SendingTime of that Logon
    uint32_t fill_length
    uint8_t fill[MAX_FILL_BYTES]  # may hold secrets


# Where the orders of a client's own session go.
cdef struct bridge_route_t:
    uint16_t session              # unless the message says another: DeliverToCompID (128), or the original's


cdef struct node_config_t:
    role_config_t role
    sender_config_t sender
    receiver_config_t receiver
    uint8_t key[16]
    uint32_t pair_id
    uint64_t incarnation
    uint64_t heartbeat_interval_ns
    uint64_t window_records
    uint64_t order_capacity
    uint64_t login_timeout_ns
    bint touch_buffers               # at node_init, so that no connection takes page faults later
    bint flush_before_release     # durability `every`: release waits for the disk of both nodes


cdef struct node_t:
    node_config_t config
    # Sessions that there is something to see to, bit masks, so that a turn takes as long with a hundred as with one.
    uint64_t sending[SESSION_WORDS]   # may have bytes to send, or a connection to close
    uint64_t touched[SESSION_WORDS]   # had an input, or sent something, since the last turn ended
    uint64_t sessions_due_mono_ns     # the first timer of the others
    uint64_t next_look_mono_ns        # at all of them
    uint64_t connected                # bit mask: clients' slots that are taken
    uint8_t states[MAX_SESSIONS]      # of the sessions, as far as counted in replica.state_changes
    uint16_t bridged[MAX_SESSIONS]    # the sessions that are a client's own
    uint16_t bridged_count
    journal_t* journal
    channel_t channel
    sender_t sender
    receiver_t receiver
    role_t role
    replica_t replica
    intake_t intake
    client_t clients[MAX_CLIENT_CONNECTIONS]
    client_name_t names[MAX_CLIENT_NAMES]
    uint8_t session_names[MAX_SESSIONS][CREDENTIAL_BYTES]
    uint32_t name_count
    link_t links[MAX_SESSIONS]
    bridge_route_t routes[MAX_SESSIONS]
    uint8_t* passed               # MAX_FRAME_BYTES: fields of a message on its way from one session to another
    field_t passed_fields[MAX_PASSED_FIELDS]
    ring_t* notes
    uint64_t notes_lost
    stages_t stages               # measures when the owner has given it a clock

    uint64_t released_lsn         # everything up to here may leave (sync sessions, ACCEPTED, REJECTED)
    uint64_t seen_transitions     # of role
    uint64_t seen_handovers_given_up   # of role
    uint64_t next_heartbeat_mono_ns
    uint64_t next_hello_mono_ns
    uint64_t hello_to             # incarnation that the next HELLO names: what the peer claimed to be
    bint heartbeat_due
    bint hello_due
    bint handover_due
    bint truncation_due           # the owner must cut the journal after receiver.truncate_lsn, then call node_truncated
    bint promotion_due            # primary by role, but the EPOCH record did not fit yet
    uint64_t accepted_at_promotion
    # After skipping ahead: no connection before this is on disk, or a loss of power could make the same numbers be
    # skipped to again. 0: none
    uint64_t flush_first_lsn
    uint64_t promoted_wall_ns
    uint32_t skips_due           # sessions whose skip_to waits
    bint tail_told
    uint64_t drops_told_mono_ns   # when NOTE_DATAGRAMS_DROPPED was written last
    uint64_t repeats_since_mono_ns   # since when repeats are compared with what was new:
    uint64_t repeats_before          # of channel.dropped: stale and duplicate
    uint64_t opened_before           # of channel.opened
    uint64_t register_told[3]     # the latest NOTE_REGISTER: the same answer again is not news
    uint64_t doubts_refused       # of replica.doubts.refused, told
    uint64_t doubts_settled       # of replica.doubts.settled, told
    bint first_order_noted
    bint feeds_behind             # some feed stopped at its budget: call node_settle again at once
    bint stopping
    bint stalled
    bint unfit                    # the log is not of this configuration: nothing is sent or acknowledged any more
    instant_t now                 # of the input in hand, for the sessions' hooks


cdef int node_init(node_t* n, const node_config_t* config, journal_t* journal) noexcept nogil  # 0, or -1: out of memory
cdef void node_free(node_t* n) noexcept nogil
cdef int node_add_session(node_t* n, const session_config_t* config, const uint8_t* name, bint sync,
                          bint hold_when_not_ready, uint32_t skip_ahead, uint8_t endpoints,
                          uint64_t min_backoff_ns, uint64_t max_backoff_ns) noexcept nogil
# The acceptor session `session` is how `client` (id) comes; its orders go to `route`. 0, or -1: out of memory
cdef int node_bridge(node_t* n, uint16_t session, uint32_t client, uint16_t route) noexcept nogil
cdef void node_start(node_t* n, const instant_t* now) noexcept nogil    # replays the journal, starts the role machine

# --- inputs -----------------------------------------------------------------------------------------------------------
cdef void node_on_datagram(node_t* n, const uint8_t* data, size_t size, const instant_t* now) noexcept nogil
cdef void node_on_tripwire(node_t* n, bint connected, const instant_t* now) noexcept nogil
# The tripwire's greeting: a sealed HELLO of GREETING_BYTES over TCP, good only if it names our present incarnation.
cdef size_t node_seal_greeting(node_t* n, uint8_t* buffer, const instant_t* now) noexcept nogil
cdef bint node_greeting_is_fresh(node_t* n, const uint8_t* data, size_t size, const instant_t* now) noexcept nogil
cdef void node_on_register(node_t* n, uint64_t request_id, register_outcome outcome, const register_value_t* value,
                           const instant_t* now) noexcept nogil
cdef command_status node_on_command(node_t* n, role_command command, const instant_t* now) noexcept nogil
# 0, -1: not primary or no such session, -2: connected. A schedule's commands are taken in any role.
cdef int node_on_session_command(node_t* n, uint16_t session, session_command command, uint64_t next_out,
                                 uint64_t next_in, const instant_t* now) noexcept nogil
# 0, -1: not primary
cdef int node_set_kill(node_t* n, uint32_t client, bint killed, const instant_t* now) noexcept nogil
cdef void node_on_session_connected(node_t* n, uint16_t session, const instant_t* now) noexcept nogil
# A counterparty has connected and named this session: is it welcome? Then: node_on_session_connected.
cdef bint node_take_accept(node_t* n, uint16_t session, const instant_t* now) noexcept nogil
# Fields of the Logon that NOTE_FILL_LOGON asked for; NULL: there are none, and the connection is given up.
cdef void node_fill_logon(node_t* n, uint16_t session, uint32_t attempt, const uint8_t* fields, uint32_t length,
                          const instant_t* now) noexcept nogil
# or: could not connect
cdef void node_on_session_disconnected(node_t* n, uint16_t session, const instant_t* now) noexcept nogil
cdef size_t node_on_session_bytes(node_t* n, uint16_t session, const uint8_t* data, size_t size,
                                  const instant_t* now) noexcept nogil
# Slot, or -1: no room. A slot that is still in use was taken from a connection without a login: the owner closes that.
# `local`: it is on this host.
cdef int32_t node_on_client_connected(node_t* n, bint local, const instant_t* now) noexcept nogil
cdef void node_on_client_disconnected(node_t* n, int32_t slot, const instant_t* now) noexcept nogil
# Whole frames in data are used up; fewer when the client must read first (back-pressure).
cdef size_t node_on_client_bytes(node_t* n, int32_t slot, const uint8_t* data, size_t size,
                                 const instant_t* now) noexcept nogil
cdef void node_on_timer(node_t* n, const instant_t* now) noexcept nogil
cdef void node_truncated(node_t* n, const instant_t* now) noexcept nogil
cdef void node_stop(node_t* n, const instant_t* now) noexcept nogil      # logs out of every session; no new orders
cdef bint node_stopped(const node_t* n) noexcept nogil                   # every session is disconnected

# After each batch of inputs, in this order: sessions' bytes, datagrams, node_settle, clients' bytes.
# moves role and release watermark; before outputs
cdef void node_advance(node_t* n, const instant_t* now) noexcept nogil
# derived state and feeds; off the way of an order
cdef void node_settle(node_t* n, const instant_t* now) noexcept nogil

# --- outputs ----------------------------------------------------------------------------------------------------------
# The next session in a mask (sending, touched) from `at` on; MAX_SESSIONS: none.
cdef uint16_t node_next_session(const uint64_t* mask, uint16_t at) noexcept nogil
# It has no connection, or one that takes no more now and will be told of: it is left out until something touches it.
cdef void node_session_rests(node_t* n, uint16_t session) noexcept nogil
# After node_deadline was asked: what was touched so far has been seen to.
cdef void node_end_turn(node_t* n) noexcept nogil
# Bytes that may go on the session's socket now: of one message, or a run of them copied to `place`.
cdef size_t node_session_tx_gather(node_t* n, uint16_t session, uint8_t* place, size_t capacity,
                                   const uint8_t** data) noexcept nogil
cdef void node_session_tx_consume(node_t* n, uint16_t session, size_t size, const instant_t* now) noexcept nogil
cdef bint node_session_closing(node_t* n, uint16_t session) noexcept nogil
# Its bytes were written, as far as they go now: for the stages alone.
cdef void node_session_sent(node_t* n, uint16_t session) noexcept nogil
# connect to links[session].endpoint now
cdef bint node_take_connect(node_t* n, uint16_t session, const instant_t* now) noexcept nogil
# How many datagrams may be polled before other work gets its turn.
cdef uint32_t node_datagrams_per_turn(const node_t* n) noexcept nogil
cdef size_t node_poll_datagram(node_t* n, const instant_t* now, uint8_t* buffer, uint8_t* to_node) noexcept nogil
# The datagrams that there were, and the bytes for client `slot`, were written: for the stages alone.
cdef void node_datagrams_sent(node_t* n) noexcept nogil
cdef void node_client_written(node_t* n, int32_t slot) noexcept nogil
cdef bint node_take_register_request(node_t* n, register_request_t* request) noexcept nogil
cdef uint64_t node_deadline(node_t* n) noexcept nogil               # mono_ns


# The Python face: built from plain values by gateway.node, driven by gateway.native.reactor or by a simulator.
cdef class Node:
    cdef node_t* handle
    cdef readonly Journal journal
    cdef list dictionaries      # that sessions point to
    cdef public object feeder   # a Feeder that reads the journal beside the reactor, or None
