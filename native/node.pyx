"""One node, without I/O: the composition of log, sessions, replication, role, intake and feeds.

May depend on every native module but reactor. Never does I/O, never reads a clock, never allocates after node_init.
"""

from typing import NamedTuple

from gateway.native.orders import STATE_NAMES
from gateway.native.role import Cause, RegisterValue, Release, Request, RequestKind, State

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset, strlen

from .bridge cimport (MAX_PENDING, bridge_fields, bridge_has_room, bridge_init, bridge_promote, bridge_refusal,
                      bridge_sweep, bridge_t, new_clordid, refusal_text, whole_clordid)
from .clientwire cimport (CLIENT_PROTOCOL_VERSION, ERROR_FENCED, ERROR_LOGIN, ERROR_PROTOCOL, ERROR_TOO_SLOW,
                          ERROR_VERSION, FRAME_CHECKPOINT, FRAME_CHECKPOINT_VALUE, FRAME_ERROR, FRAME_FETCH,
                          FRAME_HEADER_BYTES, FRAME_HELD, FRAME_LOGIN, FRAME_ORDER_STATE, FRAME_PING, FRAME_PONG,
                          FRAME_POSITIONS, FRAME_REJECTED, FRAME_STANDBY, FRAME_SUBMIT, FRAME_WELCOME,
                          MAX_CLORDID_BYTES, MAX_FRAME_BYTES, REJECT_BACK_PRESSURE, REJECT_CLORDID_TAKEN,
                          REJECT_MALFORMED, REJECT_NOT_READY, REJECT_NO_CLORDID, SUBMIT_AGAIN, frame_available,
                          frame_header_t, login_body_t, position_t, session_body_t)
from .crc32c cimport crc32c
from .datagram cimport (DATAGRAM_ACK, DATAGRAM_DATA, DATAGRAM_HANDOVER, DATAGRAM_HEADER_BYTES, DATAGRAM_HEARTBEAT,
                        DATAGRAM_HELLO, DATAGRAM_JOIN, DATAGRAM_LOG_IN_DOUBT, DATAGRAM_VERSION, OPEN_DUPLICATE,
                        OPEN_OK, OPEN_STALE, OPEN_WRONG_VERSION, channel_init, channel_open, channel_seal,
                        channel_seal_hello, datagram_header_t, open_status)
from .dictionary cimport Dictionary
from .doubt cimport MAX_QUESTION_BYTES, doubt_question
from .encoder cimport (TIMESTAMP_BYTES, write_utc_timestamp)
from .feed cimport (CLIENT_CONNECTED, CLIENT_FED, CLIENT_FREE, CLIENT_WAITING, FEED_BURST_RECORDS, client_free,
                    client_init, client_open, client_room, client_t, client_write, feed_pump, feed_start)
from .fixbody cimport (body_t)
from .instant cimport (instant_t)
from .intake cimport (FAULT_CLORDID, FAULT_FRAME, FAULT_NONE, FAULT_TOO_MANY_FIELDS, INTAKE_COME_AGAIN, INTAKE_HELD,
                      INTAKE_NUMBERED, INTAKE_REFUSED_UNLOGGED, INTAKE_REPEATED, MAX_REJECT_TEXT, intake_add_session,
                      intake_drain, intake_fault_text, intake_forget_held, intake_free, intake_holds, intake_init,
                      intake_refuse, intake_settle, intake_submit, intake_verdict, submission_t)
from .journal cimport (DIRECTION_OUT, Journal, journal_at, journal_commit, journal_find_in, journal_prefetch,
                       journal_reserve, journal_t)
from .orders cimport (ORDER_IN_DOUBT, ORDER_REFUSED, order_t, orders_by_client, orders_clordid, orders_original)
from .parser cimport (PARSE_GARBLED, PARSE_OK, PARSE_TOO_MANY_FIELDS, field_is, field_t, field_uint, find_field,
                      message_t, parse_message, parse_status)
from .receiver cimport (RECEIVER_DIVERGED, RECEIVER_FOLLOWING, RECEIVER_IDLE, receiver_deadline, receiver_follow,
                        receiver_free, receiver_init, receiver_on_datagram, receiver_poll, receiver_stop,
                        receiver_truncated)
from .record cimport (FLAG_APPLICATION, FLAG_ORDER, FLAG_POSS_DUP, RECORD_CHECKPOINT, RECORD_EPOCH, RECORD_IN,
                      RECORD_REJECTED, RECORD_STATE, STATE_DOUBTS, STATE_KILL, record_header_t, record_payload,
                      record_payload_length)
from .replica cimport (MAX_SESSIONS, replica_catch_up, replica_checkpoint, replica_checkpoints_full, replica_free,
                       replica_generation_at, replica_generation_start, replica_init, replica_next_settled,
                       replica_rebuild, replica_receive, replica_route)
from .ring cimport RING_HEADER_BYTES, ring_init, ring_peek, ring_release, ring_t, ring_write
from .risk cimport risk_limits_t, risk_stops
from .role cimport (CAUSE_SWITCHOVER, COMMAND_NOT_STANDBY, RELEASE_ACKED, RELEASE_ALL, ROLE_PRIMARY, ROLE_STANDBY,
                    command_status, register_outcome, register_request_t, register_value_t, role_command,
                    role_deadline, role_init, role_is_first_start, role_log_in_doubt, role_may_have_handed_over,
                    role_on_command, role_on_handover, role_on_log, role_on_peer, role_on_register, role_on_standby,
                    role_on_timer, role_on_tripwire, role_on_whole_log, role_take_request)
from .roster cimport (MAX_ROSTER_BYTES, ROSTER_FITS, ROSTER_SESSIONS, roster_add_client, roster_add_session,
                      roster_write)
from .sender cimport (receiver_view_t, sender_deadline, sender_init, sender_on_datagram, sender_poll, sender_start,
                      sender_stop)
from .session cimport (DISCONNECT_LOGON_REFUSED, EVENT_DISCONNECTED, EVENT_GAP_FILLED, EVENT_LOGGED_OUT, EVENT_READY,
                       EVENT_REJECT_RECEIVED, EVENT_RESENT, EVENT_STOPPED, SEND_OK, SEND_TOO_LARGE, SESSION_ACCEPTOR,
                       SESSION_INITIATOR, SESSION_READY, SESSION_STOPPED, send_status, session_closing,
                       session_config_t, session_deadline, session_drop, session_event, session_init,
                       session_is_of_type, session_logon_seq, session_logout, session_sent_lsn, session_on_bytes,
                       session_on_connected, session_on_disconnected, session_on_timer, session_ready_for,
                       session_reset, session_resume, session_send_application, session_set_seq, session_starts_over,
                       session_t, session_tx_consume, session_tx_empty, session_tx_gather)
from .stages cimport (stages_answered, stages_delivered, stages_encode, stages_free, stages_histograms, stages_init,
                      stages_journalled, stages_released, stages_replicated, stages_restart, stages_sent)
from .tags cimport (MSG_BUSINESS_REJECT, MSG_EXECUTION_REPORT, MSG_REJECT, SOH, TAG_CL_ORD_ID,
                    TAG_DELIVER_TO_COMP_ID, TAG_POSS_RESEND, TAG_REF_SEQ_NUM, TAG_TEXT, names_new_order)

cdef enum:
    HELLO_INTERVAL_NS = 100000000        # until the peer is met; also the least distance of two answers to a HELLO
    WELCOME_BYTES = 1 + MAX_SESSIONS * 152   # node, then session_body_t and a name of at most CREDENTIAL_BYTES each
    LOOK_EVERY_NS = 100000000            # at all sessions, whatever their timers say: the wall clock may have been set
    FLUSH_POLL_NS = 50000                # how often the flush thread's progress is looked at, if something waits
    DATAGRAMS_PER_TURN = 64
    CATCH_UP_DATAGRAMS = 4               # a turn, to a standby that is
    CATCH_UP_RECORDS = 256               # so many records behind
    DROPS_TOLD_EVERY_NS = 2000000000     # at most so often
    REPEATS_TAKEN = 1000                 # in that time, for what a network may repeat, and
    REPEATS_FOR_EACH = 4                 # for each datagram that is new, on two paths: more is a replay
    CLOCK_READ_LATE_NS = 1000000         # a turn that read the clock at its start may take so long
    QUEUED_AT_MOST_NS = 60000000000      # what is older waited on no socket of this host
    FILL_TIMEOUT_NS = 2000000000         # the control thread's, to fill or sign a Logon
    GATEWAY_SAYS_BYTES = 9               # "gateway: "
    ANSWER_ROOM_BYTES = 512              # room a client's buffer must have before its next frame is handled

cdef uint64_t NEVER = <uint64_t>0xFFFFFFFFFFFFFFFF


# --- life -------------------------------------------------------------------------------------------------------------

cdef int node_init(node_t* n, const node_config_t* config, journal_t* journal) noexcept nogil:
    cdef int i
    memset(n, 0, sizeof(node_t))
    n.config = config[0]
    n.journal = journal
    channel_init(&n.channel, n.config.key, config.pair_id, config.role.node, config.incarnation)
    sender_init(&n.sender, &n.config.sender, journal, &n.channel)
    n.passed = <uint8_t*>malloc(MAX_FRAME_BYTES + CREDENTIAL_BYTES)
    n.notes = <ring_t*>malloc(RING_HEADER_BYTES + NOTE_RING_BYTES)
    if (n.passed is NULL or n.notes is NULL
            or receiver_init(&n.receiver, &n.config.receiver, journal, &n.channel) != 0):
        return -1
    ring_init(n.notes, RING_HEADER_BYTES + NOTE_RING_BYTES)
    for i in range(MAX_CLIENT_CONNECTIONS):
        if client_init(&n.clients[i], n.config.touch_buffers) != 0:
            return -1
    if stages_init(&n.stages) != 0:
        return -1
    intake_init(&n.intake, &n.replica, config.window_records)
    n.intake.stages = &n.stages
    return replica_init(&n.replica, journal, config.order_capacity)


cdef void node_free(node_t* n) noexcept nogil:
    cdef int i
    receiver_free(&n.receiver)
    intake_free(&n.intake)
    stages_free(&n.stages)
    replica_free(&n.replica)
    for i in range(MAX_CLIENT_CONNECTIONS):
        client_free(&n.clients[i])
    free(n.passed)
    free(n.notes)


cdef int node_add_session(node_t* n, const session_config_t* config, const uint8_t* name, bint sync,
                          bint hold_when_not_ready, uint32_t skip_ahead, uint8_t endpoints, uint64_t min_backoff_ns,
                          uint64_t max_backoff_ns) noexcept nogil:
    cdef uint16_t i = n.replica.session_count
    cdef session_t* s = &n.replica.sessions[i]
    cdef link_t* link = &n.links[i]
    if (i == MAX_SESSIONS or config.index != i or intake_add_session(&n.intake, i, hold_when_not_ready) != 0
            or session_init(s, config, n.journal) != 0):
        return -1
    s.hooks.context = n
    s.hooks.route = session_route
    s.hooks.on_message = NULL
    s.hooks.on_encoded = order_encoded
    s.hooks.withholds = order_withheld
    s.hooks.on_record = session_wrote
    s.hooks.on_event = session_told
    link.endpoints = endpoints
    link.min_backoff_ns = min_backoff_ns
    link.max_backoff_ns = max_backoff_ns
    link.sync = sync
    link.skip_ahead = skip_ahead
    link.accepting = config.role == SESSION_ACCEPTOR
    link.enabled = 1
    roster_add_session(&n.replica.roster, identity_of(config), not sync)
    memcpy(n.session_names[i], name, min(strlen(<const char*>name), CREDENTIAL_BYTES - 1))
    n.replica.session_count += 1
    return 0


cdef int node_bridge(node_t* n, uint16_t session, uint32_t client, uint16_t route) noexcept nogil:
    if bridge_init(&n.replica.bridges[session], client) != 0:
        return -1
    n.routes[session].session = route
    n.bridged[n.bridged_count] = session
    n.bridged_count += 1
    n.names[client - 1].over_fix = 1
    n.replica.sessions[session].hooks.on_message = pass_message_on
    return 0


cdef void node_start(node_t* n, const instant_t* now) noexcept nogil:
    n.now = now[0]
    replica_rebuild(&n.replica)
    role_init(&n.role, &n.config.role, n.journal.last_lsn, n.journal.last_epoch, now)
    n.seen_transitions = n.role.transitions - 1
    n.hello_due = 1
    stand_still_if_unfit(n)
    touch_all(n)
    node_advance(n, now)


# --- by topic --------------------------------------------------------------------------------------------------------

include "node_pair.pxi"
include "node_sessions.pxi"
include "node_clients.pxi"
include "node_bridge.pxi"
include "node_progress.pxi"
include "node_touched.pxi"
include "node_role.pxi"
include "node_outputs.pxi"
include "node_records.pxi"
include "node_notes.pxi"
include "node_face.pxi"
