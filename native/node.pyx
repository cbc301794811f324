"""One node, without I/O: the composition of log, sessions, replication, role, intake and feeds.

May depend on every native module but reactor. Never does I/O, never reads a clock, never allocates after node_init.
"""

from typing import NamedTuple

from gateway.native.orders import STATE_NAMES
from gateway.native.role import Cause, RegisterValue, Release, Request, RequestKind, State

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strlen

from .clientwire cimport (CLIENT_PROTOCOL_VERSION, ERROR_FENCED, ERROR_LOGIN, ERROR_PROTOCOL, ERROR_TOO_SLOW,
                          ERROR_VERSION, FATE_GAP_FILLED, FATE_RESENT, FRAME_CHECKPOINT, FRAME_CHECKPOINT_VALUE,
                          FRAME_ERROR, FRAME_FETCH, FRAME_HEADER_BYTES, FRAME_HELD, FRAME_LOGIN, FRAME_ORDER_STATE,
                          FRAME_PING, FRAME_PONG, FRAME_POSITIONS, FRAME_REJECTED, FRAME_STANDBY, FRAME_SUBMIT,
                          FRAME_WELCOME, REJECT_MALFORMED, SUBMIT_AGAIN, frame_available, frame_header_t, login_body_t,
                          position_t, session_body_t)
from .crc32c cimport crc32c
from .datagram cimport (DATAGRAM_ACK, DATAGRAM_HANDOVER, DATAGRAM_HEADER_BYTES, DATAGRAM_HEARTBEAT, DATAGRAM_HELLO,
                        DATAGRAM_JOIN, OPEN_DUPLICATE, OPEN_OK, OPEN_STALE, channel_init, channel_open, channel_seal,
                        channel_seal_hello, datagram_header_t, open_status)
from .dictionary cimport Dictionary
from .doubt cimport MAX_QUESTION_BYTES, doubt_question
from .feed cimport (CLIENT_CONNECTED, CLIENT_FED, CLIENT_FREE, CLIENT_WAITING, MAX_FATES, client_free, client_init,
                    client_open, client_room, client_t, client_write, fate_t, feed_pump, feed_start)
from .instant cimport instant_t
from .intake cimport (INTAKE_COME_AGAIN, INTAKE_HELD, INTAKE_REFUSED_UNLOGGED, INTAKE_REPEATED,
                      intake_add_session, intake_drain, intake_forget_held, intake_free, intake_holds, intake_init,
                      intake_settle, intake_submit, intake_verdict, submission_t)
from .journal cimport DIRECTION_OUT, Journal, journal_at, journal_commit, journal_find, journal_reserve, journal_t
from .orders cimport (ORDER_IN_DOUBT, ORDER_REFUSED, ORDER_UNKNOWN, order_t, orders_by_client, orders_by_session,
                      orders_clordid)
from .parser cimport message_t
from .receiver cimport (RECEIVER_DIVERGED, RECEIVER_FOLLOWING, RECEIVER_IDLE, receiver_deadline, receiver_follow,
                        receiver_free, receiver_init, receiver_on_datagram, receiver_poll, receiver_stop,
                        receiver_truncated)
from .record cimport (FLAG_APPLICATION, FLAG_ORDER, RECORD_CHECKPOINT, RECORD_EPOCH, RECORD_STATE, STATE_DOUBTS,
                      STATE_KILL, record_header_t, record_payload, record_payload_length)
from .replica cimport (MAX_SESSIONS, replica_apply, replica_catch_up, replica_checkpoint, replica_checkpoints_full,
                       replica_free, replica_init, replica_next_settled, replica_rebuild, replica_route)
from .ring cimport RING_HEADER_BYTES, ring_init, ring_peek, ring_release, ring_t, ring_write
from .risk cimport risk_limits_t
from .role cimport (CAUSE_SWITCHOVER, COMMAND_NOT_STANDBY, RELEASE_ACKED, RELEASE_ALL, ROLE_PRIMARY, ROLE_STANDBY,
                    command_status, register_outcome, register_request_t, register_value_t, role_command,
                    role_deadline, role_init,
                    role_may_have_handed_over, role_on_command, role_on_handover, role_on_log, role_on_peer,
                    role_on_register, role_on_standby, role_on_timer, role_on_tripwire, role_take_request)
from .roster cimport MAX_ROSTER_BYTES, ROSTER_FITS, roster_add_client, roster_add_session, roster_write
from .sender cimport (receiver_view_t, sender_deadline, sender_init, sender_on_datagram, sender_poll, sender_start,
                      sender_stop)
from .session cimport (DISCONNECT_LOGON_REFUSED, EVENT_DISCONNECTED, EVENT_GAP_FILLED, EVENT_LOGGED_OUT, EVENT_READY,
                       EVENT_REJECT_RECEIVED, EVENT_RESENT, EVENT_STOPPED, SEND_OK, SESSION_INITIATOR, SESSION_READY,
                       SESSION_STOPPED, session_closing, session_config_t, session_deadline, session_drop,
                       session_event, session_init, session_logout, session_on_bytes, session_on_connected,
                       session_on_disconnected, session_on_timer, session_reset, session_resume,
                       session_send_application, session_set_seq, session_t, session_tx_consume, session_tx_peek)

cdef enum:
    HELLO_INTERVAL_NS = 100000000        # until the peer is met; also the least distance of two answers to a HELLO
    WELCOME_BYTES = 1 + MAX_SESSIONS * 152   # node, then session_body_t and a name of at most CREDENTIAL_BYTES each
    FLUSH_POLL_NS = 50000                # how often the flush thread's progress is looked at, if something waits
    DROPS_TOLD_EVERY_NS = 2000000000     # at most so often
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
    n.fates.entries = <fate_t*>calloc(MAX_FATES, sizeof(fate_t))
    n.notes = <ring_t*>malloc(RING_HEADER_BYTES + NOTE_RING_BYTES)
    if n.fates.entries is NULL or n.notes is NULL or receiver_init(&n.receiver, &n.config.receiver, journal,
                                                                   &n.channel) != 0:
        return -1
    ring_init(n.notes, RING_HEADER_BYTES + NOTE_RING_BYTES)
    for i in range(MAX_CLIENT_CONNECTIONS):
        if client_init(&n.clients[i]) != 0:
            return -1
    intake_init(&n.intake, &n.replica, config.window_records)
    return replica_init(&n.replica, journal, config.order_capacity)


cdef void node_free(node_t* n) noexcept nogil:
    cdef int i
    receiver_free(&n.receiver)
    intake_free(&n.intake)
    replica_free(&n.replica)
    for i in range(MAX_CLIENT_CONNECTIONS):
        client_free(&n.clients[i])
    free(n.fates.entries)
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
    s.hooks.on_record = NULL
    s.hooks.on_event = session_told
    link.endpoints = endpoints
    link.min_backoff_ns = min_backoff_ns
    link.max_backoff_ns = max_backoff_ns
    link.sync = sync
    link.skip_ahead = skip_ahead
    link.enabled = 1
    roster_add_session(&n.replica.roster, identity_of(config), not sync)
    memcpy(n.session_names[i], name, min(strlen(<const char*>name), CREDENTIAL_BYTES - 1))
    n.replica.session_count += 1
    return 0


cdef void node_start(node_t* n, const instant_t* now) noexcept nogil:
    n.now = now[0]
    replica_rebuild(&n.replica)
    role_init(&n.role, &n.config.role, n.journal.last_lsn, n.journal.last_epoch, now)
    n.seen_transitions = n.role.transitions - 1
    n.hello_due = 1
    stand_still_if_unfit(n)
    node_advance(n, now)


# --- inputs from the pair ---------------------------------------------------------------------------------------------

cdef void node_on_datagram(node_t* n, const uint8_t* data, size_t size, const instant_t* now) noexcept nogil:
    cdef const datagram_header_t* header = NULL
    cdef uint8_t peer = n.config.role.peer
    cdef uint64_t known = n.channel.peer_incarnation[peer]
    cdef open_status status
    if n.unfit:
        return
    n.now = now[0]
    status = channel_open(&n.channel, data, size, &header)
    if status != OPEN_OK:
        note_drop(n, status)
        return
    if header.kind == DATAGRAM_HELLO:
        if header.from_node == peer:
            answer_hello(n, header, now)
        if header.to_incarnation != n.channel.incarnation:
            return                     # says nothing that is known to be fresh
    if header.from_node == peer:
        if n.channel.peer_incarnation[peer] != known:
            meet_new_life(n, now)
        role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
        role_on_peer(&n.role, header.role, header.epoch, header.last_epoch, header.last_lsn, now)
        if header.kind == DATAGRAM_HANDOVER:
            role_on_handover(&n.role, header.epoch, now)
        follow_role(n, now)
    if header.kind == DATAGRAM_ACK or header.kind == DATAGRAM_JOIN:
        if n.sender.epoch != 0:
            sender_on_datagram(&n.sender, header, now)
    elif n.receiver.state != RECEIVER_IDLE:
        take_from_primary(n, header, now)


cdef void meet_new_life(node_t* n, const instant_t* now) noexcept nogil:
    """Another life of the peer: what the former one acknowledged says nothing of this one."""
    cdef uint8_t peer = n.config.role.peer
    n.sender.views[peer].joined = 0
    role_on_standby(&n.role, 0, 0, now)
    note(n, NOTE_PEER, 0, 1, n.channel.peer_incarnation[peer], 0)


cdef void take_from_primary(node_t* n, const datagram_header_t* header, const instant_t* now) noexcept nogil:
    cdef int before = n.receiver.state
    receiver_on_datagram(&n.receiver, header, now, record_arrived, n)
    if stand_still_if_unfit(n):
        return
    if n.receiver.state == RECEIVER_DIVERGED:
        n.truncation_due = 1
    elif n.receiver.state == RECEIVER_FOLLOWING and before != RECEIVER_FOLLOWING:
        note(n, NOTE_FOLLOWING, 0, 0, n.journal.last_lsn, n.receiver.epoch)


cdef void record_arrived(void* context, const record_header_t* record) noexcept nogil:
    replica_apply(&(<node_t*>context).replica, record, 0)


cdef bint stand_still_if_unfit(node_t* n) noexcept nogil:
    """A log of other sessions or clients: whatever this node did with it would be done to the wrong one."""
    if n.replica.roster.fit == ROSTER_FITS:
        return 0
    if not n.unfit:
        n.unfit = 1
        receiver_stop(&n.receiver)
        n.truncation_due = 0
        note(n, NOTE_UNFIT, 0, n.replica.roster.fit, n.replica.roster.index, 0)
    return 1


cdef void node_truncated(node_t* n, const instant_t* now) noexcept nogil:
    n.now = now[0]
    n.truncation_due = 0
    replica_rebuild(&n.replica)
    receiver_truncated(&n.receiver, now)


cdef void node_on_tripwire(node_t* n, bint connected, const instant_t* now) noexcept nogil:
    n.now = now[0]
    if n.unfit:
        return
    note(n, NOTE_TRIPWIRE, 0, connected, 0, 0)
    role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
    role_on_tripwire(&n.role, connected, now)
    follow_role(n, now)


cdef void node_on_register(node_t* n, uint64_t request_id, register_outcome outcome, const register_value_t* value,
                           const instant_t* now) noexcept nogil:
    n.now = now[0]
    if n.unfit:
        return
    note_register(n, outcome, value.version,
                  (<uint64_t>value.epoch << 32) | (<uint64_t>value.primary << 8) | value.in_sync)
    role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
    role_on_register(&n.role, request_id, outcome, value, now)
    follow_role(n, now)


cdef command_status node_on_command(node_t* n, role_command command, const instant_t* now) noexcept nogil:
    cdef command_status status
    n.now = now[0]
    if n.unfit:
        return COMMAND_NOT_STANDBY
    role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
    status = role_on_command(&n.role, command, now)
    follow_role(n, now)
    return status


cdef size_t node_seal_greeting(node_t* n, uint8_t* buffer, const instant_t* now) noexcept nogil:
    return channel_seal_hello(&n.channel, fill_header(n, buffer, DATAGRAM_HELLO), n.config.role.peer,
                              n.channel.peer_incarnation[n.config.role.peer], now.wall_ns)


cdef bint node_greeting_is_fresh(node_t* n, const uint8_t* data, size_t size, const instant_t* now) noexcept nogil:
    cdef const datagram_header_t* header = NULL
    cdef uint8_t peer = n.config.role.peer
    cdef uint64_t known = n.channel.peer_incarnation[peer]
    if (channel_open(&n.channel, data, size, &header) != OPEN_OK or header.kind != DATAGRAM_HELLO
            or header.from_node != peer or header.to_incarnation != n.channel.incarnation):
        return 0
    n.now = now[0]
    if n.channel.peer_incarnation[peer] != known:      # the greeting may be the first that is heard of it
        meet_new_life(n, now)
        follow_role(n, now)
    return 1


# --- inputs from counterparties ---------------------------------------------------------------------------------------

cdef void node_on_session_connected(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    n.now = now[0]
    link.phase = LINK_UP
    link.was_ready = 0
    link.resent = 0
    link.gap_filled = 0
    link.asked_lsn = 0
    note(n, NOTE_CONNECTED, session, link.endpoint, 0, 0)
    if n.sender.epoch == 0 or link.closed or not link.enabled or outdated(n, session):
        link.reset = 1          # fenced, logged out or of an earlier window while it was connecting
        return
    if link.reset_wanted:
        link.reset = 1          # a day change came while it was connecting: no logon under the old numbers
        return
    session_on_connected(&n.replica.sessions[session], now)


cdef void node_on_session_disconnected(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    cdef session_t* s = &n.replica.sessions[session]
    n.now = now[0]
    if link.phase == LINK_UP:
        note(n, NOTE_DISCONNECTED, session, link.endpoint, 0, 0)
        session_on_disconnected(s, now)
    link.phase = LINK_IDLE
    link.reset = 0
    if link.was_ready:
        link.backoff_ns = link.min_backoff_ns
    elif link.endpoints:
        link.endpoint = (link.endpoint + 1) % link.endpoints
    link.next_connect_mono_ns = now.mono_ns + link.backoff_ns
    link.backoff_ns = min(link.backoff_ns * 2, link.max_backoff_ns)
    reset_when_wanted(n, session, now)
    start_over_when_due(n, session, now)


cdef size_t node_on_session_bytes(node_t* n, uint16_t session, const uint8_t* data, size_t size,
                                  const instant_t* now) noexcept nogil:
    n.now = now[0]
    replica_catch_up(&n.replica)     # an answer finds its order
    return session_on_bytes(&n.replica.sessions[session], data, size, now)


cdef int node_on_session_command(node_t* n, uint16_t session, session_command command, uint64_t next_out,
                                 uint64_t next_in, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    cdef session_t* s
    cdef uint8_t not_there
    n.now = now[0]
    if session >= n.replica.session_count:
        return -1
    if command >= SESSION_COMMAND_OPEN:
        take_schedule(n, session, command, next_out, now)
        return 0
    if n.sender.epoch == 0:
        return -1
    s = &n.replica.sessions[session]
    if command == SESSION_COMMAND_LOGOUT:
        link.enabled = 0
        session_logout(s, "logout by operator", now)
    elif command == SESSION_COMMAND_RESUME:
        link.enabled = 1
        link.closed = 0
        link.next_connect_mono_ns = now.mono_ns
        session_resume(s)
    elif command == SESSION_COMMAND_RESET:
        link.reset_wanted = 1
        if link.phase == LINK_UP:
            session_logout(s, "end of day", now)
        reset_when_wanted(n, session, now)
    elif command == SESSION_COMMAND_SEND_DOUBTED or command == SESSION_COMMAND_GIVE_UP_DOUBTED:
        not_there = command == SESSION_COMMAND_SEND_DOUBTED
        return 0 if append_plain(n, RECORD_STATE, session, 0, STATE_DOUBTS, &not_there, 1, now) else -6
    elif link.phase != LINK_IDLE or session_set_seq(s, next_out, next_in, now) != 0:
        return -2
    return 0


cdef void take_schedule(node_t* n, uint16_t session, session_command command, uint64_t starts_over_ns,
                        const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    cdef session_t* s = &n.replica.sessions[session]
    if command == SESSION_COMMAND_START_OVER:
        link.starts_over_ns = starts_over_ns
        start_over_when_due(n, session, now)
    elif command == SESSION_COMMAND_CLOSE:
        link.closed = 1
        if n.sender.epoch != 0 and link.phase == LINK_UP:
            session_logout(s, "end of session", now)
    else:
        link.closed = 0
        link.enabled = not n.stopping
        link.next_connect_mono_ns = now.mono_ns
        link.backoff_ns = link.min_backoff_ns
        if n.sender.epoch != 0:
            session_resume(s)


cdef inline bint outdated(const node_t* n, uint16_t session) noexcept nogil:
    """Its numbers are of an earlier window: nothing goes out under them. The log alone decides, so that a start-over is
    made up for by a node that was down, and made by one node only."""
    cdef uint64_t since = n.replica.sessions[session].used_since_ns
    return since != 0 and since < n.links[session].starts_over_ns


cdef void start_over_when_due(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    if n.sender.epoch == 0 or not outdated(n, session) or now.wall_ns < link.starts_over_ns:
        return
    if link.phase == LINK_UP:
        session_logout(&n.replica.sessions[session], "session starts over", now)
    elif link.phase == LINK_IDLE and session_reset(&n.replica.sessions[session], now) == 0:
        link.next_connect_mono_ns = now.mono_ns
        link.backoff_ns = link.min_backoff_ns


cdef void reset_when_wanted(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    if not link.reset_wanted or link.phase != LINK_IDLE or n.sender.epoch == 0:
        return
    if session_reset(&n.replica.sessions[session], now) == 0:
        link.reset_wanted = 0
        link.next_connect_mono_ns = now.mono_ns
        link.backoff_ns = link.min_backoff_ns


cdef int node_set_kill(node_t* n, uint32_t client, bint killed, const instant_t* now) noexcept nogil:
    cdef uint8_t set_to = killed
    n.now = now[0]
    if n.sender.epoch == 0:
        return -1
    return 0 if append_plain(n, RECORD_STATE, 0, client, STATE_KILL, &set_to, 1, now) else -1


# --- inputs from clients ----------------------------------------------------------------------------------------------

cdef int32_t node_on_client_connected(node_t* n, const instant_t* now) noexcept nogil:
    cdef int32_t slot
    cdef int32_t taken = -1
    cdef client_t* c
    for slot in range(MAX_CLIENT_CONNECTIONS):
        c = &n.clients[slot]
        if c.phase == CLIENT_FREE:
            taken = slot
            break
        # Connections that say nothing, or do not even read why they are closed, must not keep clients out.
        if (c.phase == CLIENT_CONNECTED or c.closing) and (
                taken < 0 or c.connected_mono_ns < n.clients[taken].connected_mono_ns):
            taken = slot
    if taken >= 0:
        if n.clients[taken].phase != CLIENT_FREE:
            node_on_client_disconnected(n, taken, now)
        client_open(&n.clients[taken], now.mono_ns)
    return taken


cdef void node_on_client_disconnected(node_t* n, int32_t slot, const instant_t* now) noexcept nogil:
    n.now = now[0]
    if n.clients[slot].phase == CLIENT_FED or n.clients[slot].phase == CLIENT_WAITING:
        note(n, NOTE_CLIENT, 0, 0, n.clients[slot].client, 0)
    n.clients[slot].phase = CLIENT_FREE


cdef size_t node_on_client_bytes(node_t* n, int32_t slot, const uint8_t* data, size_t size,
                                 const instant_t* now) noexcept nogil:
    cdef client_t* c = &n.clients[slot]
    cdef size_t used = 0
    cdef int64_t length
    n.now = now[0]
    while used < size:
        if c.closing:
            return size
        if client_room(c) < ANSWER_ROOM_BYTES:
            return used
        length = frame_available(data + used, size - used)
        if length == 0:
            return used
        if length < 0:
            fail_client(n, c, ERROR_PROTOCOL, "frame length out of bounds")
            return size
        if not take_frame(n, c, data + used, now):
            return used
        used += length
    return used


cdef bint take_frame(node_t* n, client_t* c, const uint8_t* data, const instant_t* now) noexcept nogil:
    """One whole frame. False: it cannot be handled before the client has read more."""
    cdef frame_header_t header
    cdef const uint8_t* body = data + FRAME_HEADER_BYTES
    cdef uint32_t length
    memcpy(&header, data, FRAME_HEADER_BYTES)
    length = header.length - FRAME_HEADER_BYTES
    if header.type == FRAME_LOGIN and c.phase == CLIENT_CONNECTED:
        log_client_in(n, c, body, length)
    elif header.type == FRAME_PING:
        header.type = FRAME_PONG
        client_write(c, &header, NULL, 0, NULL, 0)
    elif c.phase == CLIENT_CONNECTED:
        fail_client(n, c, ERROR_PROTOCOL, "the first frame must be LOGIN")
    elif c.phase == CLIENT_WAITING and header.type == FRAME_POSITIONS:
        if not take_positions(n, c, body, length):
            fail_client(n, c, ERROR_PROTOCOL, "malformed POSITIONS")
    elif c.phase == CLIENT_WAITING or header.type == FRAME_POSITIONS:
        pass       # not primary: the client was told, and will hand everything in again when it is told otherwise
    elif header.type == FRAME_SUBMIT:
        take_submission(n, c, &header, body, length, now)
    elif header.type == FRAME_CHECKPOINT:
        take_checkpoint(n, c, body, length, now)
    elif header.type == FRAME_FETCH:
        return tell_checkpoint(n, c, body, length)
    else:
        fail_client(n, c, ERROR_PROTOCOL, "unexpected frame type")
    return 1


cdef void log_client_in(node_t* n, client_t* c, const uint8_t* body, uint32_t length) noexcept nogil:
    cdef login_body_t login
    cdef int32_t found
    memset(&login, 0, sizeof(login))
    if length >= sizeof(login):
        memcpy(&login, body, sizeof(login))
    if length < sizeof(login) or length != (sizeof(login) + login.name_length + login.token_length
                                            + login.position_count * sizeof(position_t)):
        fail_client(n, c, ERROR_PROTOCOL, "malformed LOGIN")
        return
    if login.version != CLIENT_PROTOCOL_VERSION:
        fail_client(n, c, ERROR_VERSION, "this node speaks client protocol version 1")
        return
    found = find_name(n, body + sizeof(login), login.name_length, login.token_length)
    if found < 0 or n.stopping:
        note(n, NOTE_CLIENT, 0, 2, 0, 0)
        fail_client(n, c, ERROR_LOGIN if found < 0 else ERROR_FENCED,
                    "unknown client or wrong token" if found < 0 else "this node is stopping")
        return
    c.client = <uint32_t>found + 1
    c.unrouted = n.names[found].unrouted
    take_positions(n, c, body + sizeof(login) + login.name_length + login.token_length,
                   login.position_count * sizeof(position_t))
    c.phase = CLIENT_WAITING
    note(n, NOTE_CLIENT, 0, 1, c.client, 0)
    greet(n, c)


cdef bint take_positions(node_t* n, client_t* c, const uint8_t* body, uint32_t length) noexcept nogil:
    cdef position_t position
    cdef uint32_t i
    if length % sizeof(position_t):
        return 0
    for i in range(<uint32_t>(length // sizeof(position_t))):
        memcpy(&position, body + i * sizeof(position), sizeof(position))
        if position.session < n.replica.session_count:
            c.position_known[position.session] = 1
            c.position_seq[position.session] = position.seq
            c.position_generation[position.session] = position.generation
    return 1


cdef int32_t find_name(node_t* n, const uint8_t* credentials, uint32_t name_length,
                       uint32_t token_length) noexcept nogil:
    """Index of the client with this name and token, -1 if none. Takes the same time whatever part of a token is
    right."""
    cdef uint8_t name[CREDENTIAL_BYTES]
    cdef uint8_t token[CREDENTIAL_BYTES]
    cdef uint32_t i
    cdef uint32_t k
    cdef uint32_t name_differs
    cdef uint32_t token_differs
    cdef int32_t found = -1
    if name_length == 0 or name_length >= CREDENTIAL_BYTES or token_length >= CREDENTIAL_BYTES:
        return -1
    memset(name, 0, sizeof(name))
    memset(token, 0, sizeof(token))
    memcpy(name, credentials, name_length)
    memcpy(token, credentials + name_length, token_length)
    for i in range(n.name_count):
        name_differs = 0
        token_differs = 0
        for k in range(CREDENTIAL_BYTES):
            name_differs |= name[k] ^ n.names[i].name[k]
            token_differs |= token[k] ^ n.names[i].token[k]
        if name_differs == 0 and token_differs == 0:
            found = <int32_t>i
    return found


cdef void greet(node_t* n, client_t* c) noexcept nogil:
    """WELCOME and the feed from the primary, STANDBY from any other node."""
    cdef frame_header_t header
    cdef uint8_t body[WELCOME_BYTES]
    cdef session_body_t described
    cdef uint32_t length = 1
    cdef uint16_t i
    memset(&header, 0, sizeof(header))
    body[0] = n.config.role.node
    if n.sender.epoch == 0 or n.promotion_due:
        header.type = FRAME_STANDBY
        if not client_write(c, &header, body, 1, NULL, 0):
            c.closing = 1       # it reads too slowly to be told: it must not go on as if this node were primary
        return
    for i in range(n.replica.session_count):
        if not n.names[c.client - 1].sessions & (<uint64_t>1 << i):
            continue
        memset(&described, 0, sizeof(described))
        described.next_out = n.replica.sessions[i].next_out
        described.next_in = n.replica.sessions[i].next_in
        described.generation = n.replica.sessions[i].generation
        described.session = i
        described.state = <uint8_t>n.replica.sessions[i].state
        described.name_length = <uint8_t>strlen(<const char*>n.session_names[i])
        memcpy(body + length, &described, sizeof(described))
        memcpy(body + length + sizeof(described), n.session_names[i], described.name_length)
        length += sizeof(described) + described.name_length
        header.session += 1
    header.type = FRAME_WELCOME
    header.seq = n.role.epoch
    if not client_write(c, &header, body, length, NULL, 0):
        c.closing = 1
    feed_start(c, &n.replica, n.released_lsn)


cdef void take_submission(node_t* n, client_t* c, frame_header_t* header, const uint8_t* body, uint32_t length,
                          const instant_t* now) noexcept nogil:
    cdef submission_t s
    cdef intake_verdict verdict
    memset(&s, 0, sizeof(s))
    s.client = c.client
    s.session = header.session
    s.again = header.flags & SUBMIT_AGAIN
    s.reason = REJECT_MALFORMED
    if length >= 1 and 1 + <uint32_t>body[0] <= length:
        s.msg_type = body + 1
        s.msg_type_length = body[0]
        s.body = body + 1 + body[0]
        s.body_length = length - 1 - body[0]
        s.forbidden = s.session >= MAX_SESSIONS or not n.names[c.client - 1].sessions & (<uint64_t>1 << s.session)
        verdict = intake_submit(&n.intake, &s, now)
    else:
        verdict = INTAKE_REFUSED_UNLOGGED
    answer_submission(n, c, &s, verdict)


cdef void answer_submission(node_t* n, client_t* c, submission_t* s, intake_verdict verdict) noexcept nogil:
    """What the feed does not tell by itself. client_room was checked before the frame was taken."""
    cdef frame_header_t header
    cdef uint8_t length = <uint8_t>min(s.clordid_length, 255)
    memset(&header, 0, sizeof(header))
    header.session = s.session
    if verdict == INTAKE_COME_AGAIN:
        fail_client(n, c, ERROR_TOO_SLOW, "an order in doubt cannot be taken now: connect again later")
    elif verdict == INTAKE_REFUSED_UNLOGGED or (verdict == INTAKE_REPEATED and s.order_state == ORDER_REFUSED
                                                and s.order_lsn <= n.released_lsn):
        header.type = FRAME_REJECTED
        header.flags = s.reason
        client_write(c, &header, &length, 1, s.clordid, length)
    elif verdict == INTAKE_HELD:
        header.type = FRAME_HELD
        client_write(c, &header, s.clordid, length, NULL, 0)
    elif verdict == INTAKE_REPEATED and s.order_lsn <= n.released_lsn:     # else the feed will tell ACCEPTED
        header.type = FRAME_ORDER_STATE
        header.flags = s.order_state
        header.seq = s.order_seq
        header.generation = s.order_generation
        header.aux = s.reason
        client_write(c, &header, s.clordid, length, NULL, 0)


cdef void take_checkpoint(node_t* n, client_t* c, const uint8_t* body, uint32_t length,
                          const instant_t* now) noexcept nogil:
    cdef uint32_t key_length = (<uint32_t>body[0] | <uint32_t>body[1] << 8) if length >= 2 else 0
    replica_catch_up(&n.replica)      # or many new keys at once would not be counted
    if key_length == 0 or key_length + 2 > length:
        fail_client(n, c, ERROR_PROTOCOL, "malformed CHECKPOINT")
    elif (replica_checkpoint(&n.replica, c.client, body + 2, key_length) is NULL
            and replica_checkpoints_full(&n.replica)):
        fail_client(n, c, ERROR_PROTOCOL, "too many checkpoint keys in this pair: use fewer")
    elif not append_plain(n, RECORD_CHECKPOINT, 0, c.client, 0, body, length, now):
        fail_client(n, c, ERROR_TOO_SLOW, "the journal has no space now: connect again later")


cdef bint tell_checkpoint(node_t* n, client_t* c, const uint8_t* key, uint32_t length) noexcept nogil:
    cdef frame_header_t header
    cdef const record_header_t* record
    cdef uint16_t key_length = <uint16_t>length
    memset(&header, 0, sizeof(header))
    header.type = FRAME_CHECKPOINT_VALUE
    replica_catch_up(&n.replica)
    record = replica_checkpoint(&n.replica, c.client, key, length) if length else NULL
    if record is not NULL:
        return client_write(c, &header, record_payload(record), record_payload_length(record), NULL, 0)
    header.flags = 1
    return client_write(c, &header, &key_length, 2, key, length)


cdef void fail_client(node_t* n, client_t* c, uint8_t code, const char* text) noexcept nogil:
    cdef frame_header_t header
    memset(&header, 0, sizeof(header))
    header.type = FRAME_ERROR
    header.flags = code
    client_write(c, &header, text, <uint32_t>strlen(text), NULL, 0)
    c.closing = 1


# --- time and stop ----------------------------------------------------------------------------------------------------

cdef void node_on_timer(node_t* n, const instant_t* now) noexcept nogil:
    cdef int i
    n.now = now[0]
    if n.unfit:
        n.next_heartbeat_mono_ns = now.mono_ns + n.config.heartbeat_interval_ns
        return
    role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
    role_on_timer(&n.role, now)
    follow_role(n, now)
    if now.mono_ns >= n.next_heartbeat_mono_ns:
        n.heartbeat_due = 1
        n.next_heartbeat_mono_ns = now.mono_ns + n.config.heartbeat_interval_ns
        n.handover_due = n.sender.epoch == 0 and n.role.state == ROLE_STANDBY and n.role.cause == CAUSE_SWITCHOVER
    if n.channel.peer_incarnation[n.config.role.peer] == 0 or not n.role.peer.alive:
        if now.mono_ns >= n.next_hello_mono_ns:
            n.hello_due = 1
    if n.sender.epoch != 0:
        for i in range(n.replica.session_count):
            session_on_timer(&n.replica.sessions[i], now)
            start_over_when_due(n, i, now)
    for i in range(MAX_CLIENT_CONNECTIONS):
        if (n.clients[i].phase == CLIENT_CONNECTED and not n.clients[i].closing
                and now.mono_ns - n.clients[i].connected_mono_ns >= n.config.login_timeout_ns):
            fail_client(n, &n.clients[i], ERROR_PROTOCOL, "no LOGIN in time")


cdef void node_stop(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint16_t i
    n.now = now[0]
    n.stopping = 1
    n.intake.open = 0
    for i in range(n.replica.session_count):
        n.links[i].enabled = 0
        if n.sender.epoch != 0 and n.links[i].phase == LINK_UP:
            session_logout(&n.replica.sessions[i], "gateway stops", now)


cdef bint node_stopped(const node_t* n) noexcept nogil:
    cdef uint16_t i
    for i in range(n.replica.session_count):
        if n.links[i].phase != LINK_IDLE:
            return 0
    return 1


# --- progress ---------------------------------------------------------------------------------------------------------

cdef void node_advance(node_t* n, const instant_t* now) noexcept nogil:
    cdef receiver_view_t* view = &n.sender.views[n.config.role.peer]
    n.now = now[0]
    if n.unfit:
        return
    if n.role.state == ROLE_PRIMARY and n.sender.epoch != 0:
        role_on_log(&n.role, n.journal.last_lsn, n.journal.last_epoch)
        role_on_standby(&n.role, view.joined,
                        view.flushed_lsn if n.config.flush_before_release else view.received_lsn, now)
    if n.role.transitions != n.seen_transitions or n.promotion_due:
        follow_role(n, now)
    await_flush(n)
    move_release(n, view)


cdef void await_flush(node_t* n) noexcept nogil:
    if n.flush_first_lsn != 0 and n.journal.flushed_lsn >= n.flush_first_lsn:
        n.flush_first_lsn = 0
    if n.config.role.lost_tail and not n.role.tail_suspect and not n.tail_told and n.flush_first_lsn == 0:
        n.tail_told = 1
        note(n, NOTE_TAIL_SETTLED, 0, 0, n.journal.last_lsn, 0)


cdef void move_release(node_t* n, const receiver_view_t* view) noexcept nogil:
    cdef uint64_t limit
    if n.sender.epoch == 0 or n.promotion_due:
        return
    if n.role.release == RELEASE_ALL:
        limit = n.journal.last_lsn
    elif n.role.release == RELEASE_ACKED and view.joined:
        limit = view.flushed_lsn if n.config.flush_before_release else view.received_lsn
    else:
        limit = n.released_lsn
    if n.config.flush_before_release and limit > n.journal.flushed_lsn:
        limit = n.journal.flushed_lsn
    if limit > n.released_lsn:
        n.released_lsn = limit
    n.intake.acked_lsn = view.received_lsn if view.joined else n.released_lsn
    n.intake.gated = n.role.release == RELEASE_ACKED


cdef void node_settle(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint16_t i
    cdef int slot
    n.now = now[0]
    if n.sender.epoch == 0 or n.promotion_due:
        return
    replica_catch_up(&n.replica)
    for i in range(n.replica.session_count):
        if intake_holds(&n.intake, i) and n.intake.open:
            intake_drain(&n.intake, i, now)
    reconcile(n, now)
    replica_catch_up(&n.replica)
    if not n.first_order_noted and n.intake.accepted > n.accepted_at_promotion:
        n.first_order_noted = 1
        note(n, NOTE_FIRST_ORDER, 0, 0, n.journal.last_lsn, 0)
    n.feeds_behind = 0
    for slot in range(MAX_CLIENT_CONNECTIONS):
        if n.clients[slot].phase == CLIENT_FED:
            n.feeds_behind |= feed_pump(&n.clients[slot], &n.replica, &n.fates, n.released_lsn)
    tell_stall(n)


cdef void reconcile(node_t* n, const instant_t* now) noexcept nogil:
    """Asks about the orders in doubt, numbers those that the counterparty does not have, tells of the others."""
    cdef order_t* order
    cdef uint32_t at = 0
    cdef uint16_t i
    if n.replica.doubts.count == 0:
        return
    for i in range(n.replica.session_count):
        if n.replica.sessions[i].state == SESSION_READY:
            ask(n, i, now)
            if n.replica.doubts.not_there and n.intake.open:
                intake_settle(&n.intake, i, now)
    if n.replica.doubts.refused != n.doubts_refused:
        n.doubts_refused = n.replica.doubts.refused
        note(n, NOTE_QUESTION_REFUSED, 0, 0, n.doubts_refused, 0)
    if n.replica.doubts.settled == n.doubts_settled:
        return
    n.doubts_settled = n.replica.doubts.settled
    while True:
        order = replica_next_settled(&n.replica, &at)
        if order is NULL:
            break
        tell_settled(n, order)
    if n.replica.doubts.count == 0:
        note(n, NOTE_RECONCILED, 0, 0, n.doubts_settled, 0)


cdef void ask(node_t* n, uint16_t i, const instant_t* now) noexcept nogil:
    cdef uint8_t question[MAX_QUESTION_BYTES]
    cdef const record_header_t* record
    cdef const record_header_t* written = NULL
    cdef order_t* order
    cdef uint32_t asked = 0
    cdef uint32_t length
    cdef uint32_t at
    if n.replica.doubts.lsns[n.replica.doubts.count - 1] <= n.links[i].asked_lsn:
        return
    for at in range(n.replica.doubts.count):
        record = journal_at(n.journal, n.replica.doubts.lsns[at])
        if record is NULL or record.lsn <= n.links[i].asked_lsn or record.session != i:
            continue
        order = orders_by_client(&n.replica.orders, record.client, record_payload(record) + 2,
                                 (<const uint16_t*>record_payload(record))[0])
        if order is not NULL and order.state == ORDER_IN_DOUBT:
            length = doubt_question(record, &n.intake.fields, question)
            if session_send_application(&n.replica.sessions[i], b"H", 1, question, length, 0, 0, 0, FLAG_APPLICATION,
                                        now, &written) != SEND_OK:
                break                          # goes on at the next turn
            asked += 1
        n.links[i].asked_lsn = record.lsn
    if asked:
        note(n, NOTE_IN_DOUBT, i, asked, n.links[i].asked_lsn, 0)


cdef void tell_settled(node_t* n, const order_t* order) noexcept nogil:
    """To its client if that is connected; one that comes later hands it in again and is told then."""
    cdef frame_header_t header
    cdef int slot
    memset(&header, 0, sizeof(header))
    header.type = FRAME_ORDER_STATE
    header.flags = order.state
    header.session = order.session
    header.generation = order.generation
    for slot in range(MAX_CLIENT_CONNECTIONS):
        if n.clients[slot].phase == CLIENT_FED and n.clients[slot].client == order.client:
            if not client_write(&n.clients[slot], &header, orders_clordid(&n.replica.orders, order),
                                order.clordid_length, NULL, 0):
                fail_client(n, &n.clients[slot], ERROR_TOO_SLOW, "answers are not read: connect again later")


cdef void tell_stall(node_t* n) noexcept nogil:
    cdef bint stalled = (n.intake.gated
                         and n.journal.last_lsn - n.intake.acked_lsn > n.config.window_records)
    if stalled and not n.stalled:
        note(n, NOTE_REPLICATION_STALLED, 0, 0, n.journal.last_lsn, n.intake.acked_lsn)
    n.stalled = stalled


# --- role -------------------------------------------------------------------------------------------------------------

cdef void follow_role(node_t* n, const instant_t* now) noexcept nogil:
    """Makes the node what the role machine says it is."""
    if n.role.transitions == n.seen_transitions and not n.promotion_due:
        return
    if n.role.transitions != n.seen_transitions:
        note(n, NOTE_ROLE, 0, n.role.state, n.role.epoch, (<uint64_t>n.role.release << 8) | n.role.cause)
    n.seen_transitions = n.role.transitions
    if n.role.state == ROLE_PRIMARY:
        if n.sender.epoch != n.role.epoch:
            promote(n, now)
    elif n.sender.epoch != 0 or n.promotion_due:
        demote(n, now)
    if n.role.state == ROLE_STANDBY:
        if (n.receiver.state == RECEIVER_IDLE or n.receiver.epoch != n.role.epoch
                or n.receiver.primary != n.role.primary):
            receiver_follow(&n.receiver, n.role.primary, n.role.epoch, now)
            n.truncation_due = 0
    elif n.receiver.state != RECEIVER_IDLE:
        receiver_stop(&n.receiver)
        n.truncation_due = 0
    n.intake.open = n.role.state == ROLE_PRIMARY and n.role.intake and not n.stopping and not n.promotion_due


cdef void promote(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint16_t i
    cdef int slot
    cdef uint64_t inherited = n.journal.last_lsn
    cdef uint64_t early
    cdef uint32_t unknown_epochs = n.role.epoch - n.journal.last_epoch
    receiver_stop(&n.receiver)
    n.truncation_due = 0
    if not n.promotion_due:
        note_at(n, NOTE_SUSPECTED, n.role.detected_mono_ns)
        note_at(n, NOTE_REGISTER_WON, n.role.won_mono_ns)
    n.promotion_due = 1
    replica_catch_up(&n.replica)
    n.intake.epoch = n.role.epoch
    early = n.replica.roster.early
    if not append_epoch(n, now):
        note(n, NOTE_JOURNAL_FULL, 0, 0, n.journal.last_lsn, 0)
        return                                # tried again at each advance
    n.promotion_due = 0
    # Everything inherited is this node's truth now; what must still wait for an acknowledgement is new.
    n.released_lsn = min(inherited, n.journal.flushed_lsn) if n.config.flush_before_release else inherited
    n.fates.count = 0
    sender_start(&n.sender, n.role.epoch)
    n.flush_first_lsn = 0
    for i in range(n.replica.session_count):
        start_session(n, i, not n.links[i].sync or (early >> i) & 1, unknown_epochs, now)
    if n.flush_first_lsn != 0:
        note(n, NOTE_FLUSH_WANTED, 0, 0, n.flush_first_lsn, 0)
    note(n, NOTE_PROMOTED, 0, 0, inherited + 1, n.role.epoch)
    n.first_order_noted = 0
    n.accepted_at_promotion = n.intake.accepted
    move_release(n, &n.sender.views[n.config.role.peer])
    for slot in range(MAX_CLIENT_CONNECTIONS):
        if n.clients[slot].phase == CLIENT_WAITING:
            greet(n, &n.clients[slot])


cdef void start_session(node_t* n, uint16_t i, bint early, uint32_t unknown_epochs,
                        const instant_t* now) noexcept nogil:
    """`early`: an earlier primary may have released what it had not replicated, whatever the configuration says now."""
    cdef link_t* link = &n.links[i]
    cdef session_t* s = &n.replica.sessions[i]
    cdef uint64_t first = s.next_out
    s.epoch = n.role.epoch
    n.intake.sessions[i].lossy = n.replica.skipped[i] or (early and n.role.epoch > 1)
    # What an async primary released may be missing here: no number of that window may be used for something else.
    # Of a suspect log even number 1: it may have lost all.
    if (link.skip_ahead and n.role.cause != CAUSE_SWITCHOVER
            and (n.role.skip_ahead or (early and (first > 1 or n.role.epoch > 1)))):
        # A primary of an epoch between, of which nothing is here, has skipped ahead too.
        if session_set_seq(s, first + <uint64_t>link.skip_ahead * unknown_epochs, s.next_in, now) == 0:
            note(n, NOTE_SKIPPED_AHEAD, i, 0, first, s.next_out)
            n.intake.sessions[i].lossy = 1
            n.flush_first_lsn = n.journal.last_lsn
    link.next_connect_mono_ns = now.mono_ns
    link.backoff_ns = link.min_backoff_ns
    link.endpoint = 0
    link.enabled = not n.stopping


cdef void demote(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint16_t i
    cdef int slot
    sender_stop(&n.sender)
    n.promotion_due = 0
    for i in range(n.replica.session_count):
        session_drop(&n.replica.sessions[i], now)
        n.links[i].reset = n.links[i].phase != LINK_IDLE
        n.links[i].reset_wanted = 0      # if it is primary again one day, that day has changed long since
    intake_forget_held(&n.intake)
    replica_catch_up(&n.replica)
    for slot in range(MAX_CLIENT_CONNECTIONS):
        if n.clients[slot].phase == CLIENT_FED:
            n.clients[slot].phase = CLIENT_WAITING
            greet(n, &n.clients[slot])


# --- outputs ----------------------------------------------------------------------------------------------------------

cdef size_t node_session_tx_peek(node_t* n, uint16_t session, const uint8_t** data) noexcept nogil:
    if n.sender.epoch == 0:
        return 0
    if n.links[session].sync or role_may_have_handed_over(&n.role):
        return session_tx_peek(&n.replica.sessions[session], n.released_lsn, data)
    return session_tx_peek(&n.replica.sessions[session], NEVER, data)


cdef void node_session_tx_consume(node_t* n, uint16_t session, size_t size, const instant_t* now) noexcept nogil:
    n.now = now[0]
    session_tx_consume(&n.replica.sessions[session], size, now)


cdef bint node_session_closing(node_t* n, uint16_t session) noexcept nogil:
    return session_closing(&n.replica.sessions[session])


cdef bint node_take_connect(node_t* n, uint16_t session, const instant_t* now) noexcept nogil:
    cdef link_t* link = &n.links[session]
    if (n.sender.epoch == 0 or link.phase != LINK_IDLE or not link.enabled or link.endpoints == 0
            or n.flush_first_lsn != 0 or n.replica.sessions[session].state == SESSION_STOPPED
            or now.mono_ns < link.next_connect_mono_ns or link.closed or outdated(n, session)
            or now.wall_ns < link.starts_over_ns):       # or what is used now would be of the earlier window
        return 0
    n.now = now[0]
    reset_when_wanted(n, session, now)
    if link.reset_wanted:
        return 0                # the journal has no space for it now
    link.phase = LINK_CONNECTING
    note(n, NOTE_CONNECTING, session, link.endpoint, 0, 0)
    return 1


cdef size_t node_poll_datagram(node_t* n, const instant_t* now, uint8_t* buffer, uint8_t* to_node) noexcept nogil:
    cdef size_t size
    cdef uint8_t peer = n.config.role.peer
    if n.unfit:
        return 0                  # silent, so that the primary goes on alone
    n.channel.role = <uint8_t>n.role.state
    if n.sender.epoch != 0:
        size = sender_poll(&n.sender, now, buffer, to_node)
        if size:
            return size
    to_node[0] = peer
    if n.receiver.state != RECEIVER_IDLE:
        size = receiver_poll(&n.receiver, now, buffer)
        if size:
            to_node[0] = n.receiver.primary
            return size
    if n.hello_due:
        n.hello_due = 0
        n.next_hello_mono_ns = now.mono_ns + HELLO_INTERVAL_NS
        return channel_seal_hello(&n.channel, fill_header(n, buffer, DATAGRAM_HELLO), peer, n.hello_to, now.wall_ns)
    if n.channel.peer_incarnation[peer] == 0:
        return 0
    if n.handover_due:
        n.handover_due = 0
        return channel_seal(&n.channel, fill_header(n, buffer, DATAGRAM_HANDOVER), peer, 0, now.wall_ns)
    if n.heartbeat_due:
        n.heartbeat_due = 0
        return channel_seal(&n.channel, fill_header(n, buffer, DATAGRAM_HEARTBEAT), peer, 0, now.wall_ns)
    return 0


cdef bint node_take_register_request(node_t* n, register_request_t* request) noexcept nogil:
    return not n.unfit and role_take_request(&n.role, request)


cdef uint64_t node_deadline(const node_t* n) noexcept nogil:
    cdef uint64_t due = min(n.next_heartbeat_mono_ns, role_deadline(&n.role))
    cdef uint16_t i
    cdef const link_t* link
    if n.sender.epoch != 0:
        due = min(due, sender_deadline(&n.sender))
        for i in range(n.replica.session_count):
            due = min(due, session_deadline(&n.replica.sessions[i]))
            link = &n.links[i]
            if (link.phase == LINK_IDLE and link.enabled and n.replica.sessions[i].state != SESSION_STOPPED
                    and not link.closed and not outdated(n, i)):
                due = min(due, max(link.next_connect_mono_ns, starts_over_mono_ns(n, i)))
    if n.receiver.state != RECEIVER_IDLE:
        due = min(due, receiver_deadline(&n.receiver))
    if n.flush_first_lsn != 0 or (n.config.flush_before_release and n.journal.flushed_lsn < n.journal.last_lsn):
        due = min(due, n.now.mono_ns + FLUSH_POLL_NS)
    return due


cdef uint64_t starts_over_mono_ns(const node_t* n, uint16_t session) noexcept nogil:
    cdef uint64_t at = n.links[session].starts_over_ns
    return n.now.mono_ns + (at - n.now.wall_ns) if n.now.wall_ns < at else 0


# --- helpers ----------------------------------------------------------------------------------------------------------

cdef uint8_t* fill_header(node_t* n, uint8_t* buffer, uint8_t kind) noexcept nogil:
    cdef datagram_header_t* header = <datagram_header_t*>buffer
    memset(buffer, 0, DATAGRAM_HEADER_BYTES)
    header.kind = kind
    header.epoch = n.role.epoch
    header.last_lsn = n.journal.last_lsn
    header.last_epoch = n.journal.last_epoch
    header.released_lsn = n.released_lsn
    return buffer


cdef void answer_hello(node_t* n, const datagram_header_t* header, const instant_t* now) noexcept nogil:
    """A HELLO that names our present incarnation needs no answer once we know its sender's."""
    if (header.to_incarnation == n.channel.incarnation
            and n.channel.peer_incarnation[header.from_node] == header.from_incarnation):
        return
    if now.mono_ns >= n.next_hello_mono_ns or header.from_incarnation != n.hello_to:
        n.hello_to = header.from_incarnation
        n.hello_due = 1


cdef bint append_plain(node_t* n, uint8_t kind, uint16_t session, uint32_t client, uint32_t aux,
                       const uint8_t* payload, uint32_t length, const instant_t* now) noexcept nogil:
    cdef record_header_t* record = journal_reserve(n.journal, length)
    if record is NULL:
        return 0
    record.seq = 0
    record.time_ns = now.wall_ns
    record.epoch = n.role.epoch
    record.client = client
    record.aux = aux
    record.session = session
    record.kind = kind
    record.flags = 0
    memcpy(<uint8_t*>record_payload(record), payload, length)
    journal_commit(n.journal, record, length)
    return 1


cdef bint append_epoch(node_t* n, const instant_t* now) noexcept nogil:
    cdef uint8_t payload[8 + MAX_ROSTER_BYTES]
    memcpy(payload, &n.config.incarnation, 8)
    return append_plain(n, RECORD_EPOCH, 0, 0, n.config.role.node, payload,
                        8 + roster_write(&n.replica.roster, payload + 8), now)


cdef uint32_t identity_of(const session_config_t* config) noexcept nogil:
    cdef uint32_t hashed = crc32c(0, config.begin_string, strlen(<const char*>config.begin_string) + 1)
    hashed = crc32c(hashed, config.sender_comp_id, strlen(<const char*>config.sender_comp_id) + 1)
    hashed = crc32c(hashed, config.target_comp_id, strlen(<const char*>config.target_comp_id) + 1)
    return crc32c(hashed, config.extra_ids, strlen(<const char*>config.extra_ids))


cdef void note(node_t* n, uint16_t code, uint16_t session, uint32_t a, uint64_t b, uint64_t c) noexcept nogil:
    note_with_text(n, code, session, a, b, c, NULL)


cdef void note_register(node_t* n, register_outcome outcome, uint64_t version, uint64_t value) noexcept nogil:
    if n.register_told[0] == outcome and n.register_told[1] == version and n.register_told[2] == value:
        return                        # a node that waits asks several times a second
    n.register_told[0] = outcome
    n.register_told[1] = version
    n.register_told[2] = value
    note(n, NOTE_REGISTER, 0, outcome, version, value)


cdef void note_drop(node_t* n, open_status status) noexcept nogil:
    """Another key or pair id on the other side would else show in a counter only. A flood is one note now and then."""
    if status == OPEN_STALE or status == OPEN_DUPLICATE:
        return
    if n.drops_told_mono_ns and n.now.mono_ns - n.drops_told_mono_ns < DROPS_TOLD_EVERY_NS:
        return
    n.drops_told_mono_ns = n.now.mono_ns
    note(n, NOTE_DATAGRAMS_DROPPED, 0, status, n.channel.dropped[<int>status], 0)


cdef void note_at(node_t* n, uint16_t code, uint64_t mono_ns) noexcept nogil:
    """A note about a moment that has passed: its wall time follows from how long ago it was."""
    cdef instant_t now = n.now
    if mono_ns == 0 or mono_ns > now.mono_ns:
        return
    n.now.mono_ns = mono_ns
    n.now.wall_ns = now.wall_ns - (now.mono_ns - mono_ns)
    note(n, code, 0, 0, mono_ns, 0)
    n.now = now


cdef void note_with_text(node_t* n, uint16_t code, uint16_t session, uint32_t a, uint64_t b, uint64_t c,
                         const uint8_t* text) noexcept nogil:
    cdef note_t entry
    memset(&entry, 0, sizeof(entry))
    entry.code = code
    entry.session = session
    entry.a = a
    entry.b = b
    entry.c = c
    entry.mono_ns = n.now.mono_ns
    entry.wall_ns = n.now.wall_ns
    if text is not NULL:
        memcpy(entry.text, text, min(strlen(<const char*>text), NOTE_TEXT_BYTES - 1))
    if not ring_write(n.notes, &entry, sizeof(entry)):
        n.notes_lost += 1


# --- hooks of the sessions --------------------------------------------------------------------------------------------

cdef uint32_t session_route(void* context, session_t* session, const message_t* message) noexcept nogil:
    return replica_route(&(<node_t*>context).replica, session.config.index, message)


cdef void session_told(void* context, session_t* session, session_event event, uint64_t a, uint64_t b) noexcept nogil:
    cdef node_t* n = <node_t*>context
    cdef uint16_t i = session.config.index
    if event == EVENT_RESENT or event == EVENT_GAP_FILLED:
        if event == EVENT_RESENT:
            n.links[i].resent += 1
        else:
            n.links[i].gap_filled += 1
        remember_fate(n, session, a, FATE_RESENT if event == EVENT_RESENT else FATE_GAP_FILLED)
        return
    if event == EVENT_READY:
        a = n.links[i].resent
        b = n.links[i].gap_filled
        n.links[i].was_ready = 1
        n.links[i].backoff_ns = n.links[i].min_backoff_ns
    note_with_text(n, NOTE_SESSION, i, event, a, b, session.text if event == EVENT_LOGGED_OUT
                   or event == EVENT_STOPPED or event == EVENT_REJECT_RECEIVED
                   or (event == EVENT_DISCONNECTED and a == DISCONNECT_LOGON_REFUSED) else NULL)


cdef void remember_fate(node_t* n, session_t* session, uint64_t seq, uint8_t kind) noexcept nogil:
    cdef const record_header_t* record = journal_find(n.journal, session.config.index, DIRECTION_OUT, seq)
    cdef order_t* order
    cdef fate_t* fate
    if record is NULL or not record.flags & FLAG_ORDER:
        return
    order = orders_by_session(&n.replica.orders, session.config.index, record_payload(record) + (record.aux >> 16),
                              record.aux & 0xFFFF)
    # A counterparty may ask again for what it has answered: that order's fate is known.
    if order is not NULL and order.last_in_seq != 0:
        return
    if order is not NULL and kind == FATE_GAP_FILLED:
        order.state = ORDER_UNKNOWN
    if n.fates.count == MAX_FATES:
        n.fates.overflowed += 1
        return
    fate = &n.fates.entries[n.fates.count]
    fate.seq = seq
    fate.client = record.client
    fate.generation = session.generation
    fate.session = session.config.index
    fate.kind = kind
    n.fates.count += 1


# --- Python face ------------------------------------------------------------------------------------------------------

SESSION_STATE_NAMES = ("DISCONNECTED", "LOGON_AWAITED", "LOGON_SENT", "RECOVERING", "READY", "LOGOUT_SENT", "STOPPED")
SESSION_EVENT_NAMES = ("", "LOGGED_ON", "READY", "GAP", "RESEND_REQUESTED", "RESENT", "GAP_FILLED", "REJECT_SENT",
                       "REJECT_RECEIVED", "GARBLED", "LOGGED_OUT", "DISCONNECTED", "STOPPED", "RESET")
NOTE_NAMES = {
    NOTE_ROLE: "role", NOTE_SESSION: "session", NOTE_SUSPECTED: "suspected", NOTE_REGISTER_WON: "register_won",
    NOTE_PROMOTED: "promoted", NOTE_CONNECTING: "connecting", NOTE_CONNECTED: "connected",
    NOTE_DISCONNECTED: "disconnected", NOTE_FIRST_ORDER: "first_order", NOTE_DIVERGED: "diverged",
    NOTE_FOLLOWING: "following", NOTE_CLIENT: "client", NOTE_JOURNAL_FULL: "journal_full", NOTE_PEER: "peer",
    NOTE_TRIPWIRE: "tripwire", NOTE_SKIPPED_AHEAD: "skipped_ahead", NOTE_REGISTER: "register",
    NOTE_REPLICATION_STALLED: "replication_stalled", NOTE_REGISTER_REQUEST: "register_request",
    NOTE_COMMAND_DONE: "command_done", NOTE_TRUNCATION: "truncation", NOTE_STOPPED: "stopped",
    NOTE_IN_DOUBT: "in_doubt", NOTE_RECONCILED: "reconciled", NOTE_FLUSH_WANTED: "flush_wanted",
    NOTE_TAIL_SETTLED: "tail_settled", NOTE_UNFIT: "unfit",
    NOTE_QUESTION_REFUSED: "question_refused", NOTE_DATAGRAMS_DROPPED: "datagrams_dropped",
}


class Note(NamedTuple):
    """What happened in the node; the meaning of a, b, c follows from `code` (see NOTE_* in node.pxd)."""

    code: str
    session: int
    a: int
    b: int
    c: int
    mono_ns: int
    wall_ns: int
    text: bytes


cdef class Node:
    """One node over a Journal. Built by gateway.node; a Reactor or a simulator drives it.

    Raises ValueError for a key of the wrong length or a session that does not fit, MemoryError.
    """

    def __cinit__(self, Journal journal not None, *, uint8_t node, uint32_t pair_id, bytes key not None,
                  uint64_t incarnation, uint64_t heartbeat_interval_ns=10_000_000, uint64_t suspect_after_ns=50_000_000,
                  uint64_t fence_timeout_ns=2_000_000_000, uint64_t register_timeout_ns=500_000_000,
                  uint64_t register_retry_ns=100_000_000, uint64_t startup_wait_ns=1_000_000_000, bint preferred=False,
                  bint lost_tail=False, uint32_t datagram_bytes=1400, uint32_t catch_up_window_bytes=262144,
                  uint64_t retransmit_after_ns=2_000_000, uint64_t nak_after_ns=1_000_000,
                  uint64_t join_retry_ns=20_000_000, uint32_t reorder_slots=4096, uint64_t window_records=8192,
                  uint64_t order_capacity=1 << 20, uint64_t login_timeout_ns=5_000_000_000,
                  bint flush_before_release=False):
        cdef node_config_t config
        cdef uint8_t peer = 1 - node
        if len(key) != 16:
            raise ValueError(f"replication key: 16 bytes, found {len(key)}")
        memset(&config, 0, sizeof(config))
        config.role.node = node
        config.role.peer = peer
        config.role.suspect_after_ns = suspect_after_ns
        config.role.fence_timeout_ns = fence_timeout_ns
        config.role.register_timeout_ns = register_timeout_ns
        config.role.register_retry_ns = register_retry_ns
        config.role.startup_wait_ns = startup_wait_ns
        config.role.preferred = preferred
        config.role.lost_tail = lost_tail
        config.sender.datagram_bytes = datagram_bytes
        config.sender.catch_up_window_bytes = catch_up_window_bytes
        config.sender.retransmit_after_ns = retransmit_after_ns
        config.sender.receivers = 1 << peer
        config.receiver.datagram_bytes = datagram_bytes
        config.receiver.nak_after_ns = nak_after_ns
        config.receiver.join_retry_ns = join_retry_ns
        config.receiver.reorder_slots = reorder_slots
        config.receiver.flush_acks = flush_before_release
        memcpy(config.key, <const char*>key, 16)
        config.pair_id = pair_id
        config.incarnation = incarnation
        config.heartbeat_interval_ns = heartbeat_interval_ns
        config.window_records = window_records
        config.order_capacity = order_capacity
        config.login_timeout_ns = login_timeout_ns
        config.flush_before_release = flush_before_release
        self.dictionaries = []
        self.journal = journal
        self.handle = <node_t*>calloc(1, sizeof(node_t))
        if self.handle is NULL or node_init(self.handle, &config, journal.handle) != 0:
            raise MemoryError("node")

    def __dealloc__(self):
        if self.handle is not NULL:
            node_free(self.handle)
            free(self.handle)

    # --- set-up -------------------------------------------------------------------------------------------------------

    def add_session(self, str name, *, str begin_string, str sender_comp_id, str target_comp_id, bytes extra_ids=b"",
                    bytes logon_fields=b"", uint8_t timestamp_digits=3, uint32_t heartbeat_s=30,
                    uint64_t logon_timeout_ns=10_000_000_000, uint64_t logout_timeout_ns=2_000_000_000,
                    uint64_t test_request_after_ns=0, uint64_t disconnect_after_ns=0,
                    uint64_t sending_time_tolerance_ns=120_000_000_000, uint64_t resend_max_age_ns=60_000_000_000,
                    uint32_t resend_chunk=0, uint32_t max_message_bytes=65536, bint reset_on_logon=False,
                    bint reset_on_logout=False, bint reset_on_disconnect=False, bint logon_barrier=True,
                    bint send_next_expected=False, bint cancels_before_ready=False, bint sync=True,
                    bint hold_when_not_ready=True, uint64_t hold_max_age_ns=60_000_000_000,
                    uint32_t skip_ahead=0, uint8_t endpoints=1,
                    uint64_t min_backoff_ns=10_000_000, uint64_t max_backoff_ns=1_000_000_000,
                    str default_appl_ver_id="", bint test_session=False, bint send_last_processed=False,
                    bint orig_sending_time_optional=False, Dictionary dictionary=None,
                    Dictionary session_dictionary=None, uint32_t checks=0) -> int:
        """Adds an initiator session; its index. ValueError names what is too long. Call it in the configuration's
        order."""
        cdef session_config_t config
        memset(&config, 0, sizeof(config))
        config.index = self.handle.replica.session_count
        config.role = SESSION_INITIATOR
        copy_text(config.begin_string, 16, begin_string.encode("ascii"), "begin_string")
        copy_text(config.sender_comp_id, 64, sender_comp_id.encode("ascii"), "sender_comp_id")
        copy_text(config.target_comp_id, 64, target_comp_id.encode("ascii"), "target_comp_id")
        copy_text(config.extra_ids, 256, extra_ids, "extra_ids")
        copy_text(config.logon_fields, 512, logon_fields, "logon_fields")
        config.timestamp_digits = timestamp_digits
        config.heartbeat_s = heartbeat_s
        config.logon_timeout_ns = logon_timeout_ns
        config.logout_timeout_ns = logout_timeout_ns
        config.test_request_after_ns = test_request_after_ns
        config.disconnect_after_ns = disconnect_after_ns
        config.sending_time_tolerance_ns = sending_time_tolerance_ns
        config.resend_max_age_ns = resend_max_age_ns
        config.resend_chunk = resend_chunk
        config.max_message_bytes = max_message_bytes
        config.reset_on_logon = reset_on_logon
        config.reset_on_logout = reset_on_logout
        config.reset_on_disconnect = reset_on_disconnect
        config.logon_barrier = logon_barrier
        config.send_next_expected = send_next_expected
        config.cancels_before_ready = cancels_before_ready
        copy_text(config.default_appl_ver_id, 8, default_appl_ver_id.encode("ascii"), "default_appl_ver_id")
        config.test_session = test_session
        config.send_last_processed = send_last_processed
        config.orig_sending_time_optional = orig_sending_time_optional
        config.checks = checks
        if dictionary is not None:
            config.dictionary = &dictionary.tables
        if session_dictionary is not None:
            config.session_dictionary = &session_dictionary.tables
        self.dictionaries += [dictionary, session_dictionary]
        cdef bytes encoded = name.encode("ascii")
        if not 0 < len(encoded) < CREDENTIAL_BYTES:
            raise ValueError(f"session name {name!r}: 1 to {CREDENTIAL_BYTES - 1} characters")
        if node_add_session(self.handle, &config, encoded, sync, hold_when_not_ready, skip_ahead, endpoints,
                            min_backoff_ns, max_backoff_ns) != 0:
            raise ValueError(f"session {name!r} does not fit: at most {MAX_SESSIONS} sessions")
        self.handle.intake.sessions[config.index].hold_max_age_ns = hold_max_age_ns
        return config.index

    def add_client(self, str name, bytes token=b"", *, uint64_t sessions=0xFFFFFFFFFFFFFFFF, bint unrouted=False,
                   int64_t max_order_qty_e8=0, int64_t max_notional_e8=0, int64_t max_open_qty_e8=0,
                   double orders_per_second=0, uint32_t burst=1) -> int:
        """Adds a client; its id. `sessions`: bit mask of the sessions it may use."""
        cdef node_t* n = self.handle
        cdef client_name_t* entry
        if n.name_count == MAX_CLIENT_NAMES - 1:
            raise ValueError(f"at most {MAX_CLIENT_NAMES - 1} clients")
        entry = &n.names[n.name_count]
        memset(entry, 0, sizeof(client_name_t))
        copy_text(entry.name, CREDENTIAL_BYTES, name.encode("ascii"), "client name")
        copy_text(entry.token, CREDENTIAL_BYTES, token, "client token")
        entry.sessions = sessions
        entry.unrouted = unrouted
        n.name_count += 1
        roster_add_client(&n.replica.roster, crc32c(0, entry.name, strlen(<const char*>entry.name)))
        cdef risk_limits_t* limits = &n.replica.risk.clients[n.name_count].limits
        limits.max_order_qty_e8 = max_order_qty_e8
        limits.max_notional_e8 = max_notional_e8
        limits.max_open_qty_e8 = max_open_qty_e8
        limits.order_interval_ns = <uint64_t>(1e9 / orders_per_second) if orders_per_second > 0 else 0
        limits.burst_ns = limits.order_interval_ns * (burst - 1 if burst > 0 else 0)
        return n.name_count

    def rebuild(self) -> None:
        """Derives everything from the journal, as the start does. Not while a reactor drives the node."""
        replica_rebuild(&self.handle.replica)

    def roster(self) -> bytes:
        """What this node writes into its EPOCH record about its sessions and clients (roster.pxd)."""
        cdef uint8_t data[MAX_ROSTER_BYTES]
        return data[:roster_write(&self.handle.replica.roster, data)]

    def fit(self) -> tuple:
        """How the roster of the log's latest primary compares with ours: (roster_fit, index); (0, 0): it fits."""
        return <int>self.handle.replica.roster.fit, self.handle.replica.roster.index

    def order(self, uint32_t client, bytes clordid not None):
        """What is known of the order of `client` with this ClOrdID (11), as a dict, or None. Not while a reactor drives
        the node."""
        cdef order_t* order = orders_by_client(&self.handle.replica.orders, client, clordid, <uint32_t>len(clordid))
        if order is NULL:
            return None
        return {"lsn": order.lsn, "seq": order.seq, "client": order.client, "session": order.session,
                "state": STATE_NAMES[order.state], "reason": order.reason}

    # --- what the control thread reads; values of one moment, not of one instant --------------------------------------

    def status(self) -> dict:
        """State of the node as plain values. Read beside the running reactor: each value is whole, the set need not
        be."""
        cdef node_t* n = self.handle
        cdef receiver_view_t* view = &n.sender.views[n.config.role.peer]
        cdef uint32_t i
        return {
            "node": "ab"[n.config.role.node],
            "role": State(n.role.state).name,
            "release": Release(n.role.release).name,
            "cause": Cause(n.role.cause).name,
            "epoch": n.role.epoch,
            "primary": "ab"[n.role.primary] if n.role.epoch else None,
            "pauses": {"count": n.role.pauses, "longest_ns": n.role.longest_pause_ns},
            "register": {"version": n.role.cell.version, "epoch": n.role.cell.epoch,
                         "primary": "ab"[n.role.cell.primary & 1] if n.role.cell.version else None,
                         "in_sync": [name for k, name in enumerate("ab") if n.role.cell.in_sync & (1 << k)]},
            "log": {"first_lsn": n.journal.first_lsn, "last_lsn": n.journal.last_lsn,
                    "last_epoch": n.journal.last_epoch, "flushed_lsn": n.journal.flushed_lsn,
                    "released_lsn": n.released_lsn},
            "peer": {"alive": bool(n.role.peer.alive), "tripwire": bool(n.role.peer.tripwire),
                     "role": State(min(n.role.peer.role, 4)).name, "epoch": n.role.peer.epoch,
                     "last_lsn": n.role.peer.last_lsn, "joined": bool(view.joined),
                     "received_lsn": view.received_lsn, "flushed_lsn": view.flushed_lsn},
            "following": n.receiver.state == RECEIVER_FOLLOWING,
            "replication": {"datagrams_sent": n.sender.datagrams_sent, "records_sent": n.sender.records_sent,
                            "retransmitted": n.sender.retransmitted, "gaps": n.receiver.gaps,
                            "naks_sent": n.receiver.naks_sent, "duplicates": n.receiver.duplicates,
                            "bad_records": n.receiver.bad_records, "opened": n.channel.opened,
                            "dropped": {name: n.channel.dropped[k] for k, name in enumerate(DROP_NAMES) if name}},
            "orders": {"known": n.replica.orders.count, "accepted": n.intake.accepted, "held": n.intake.held,
                       "refused": n.intake.refused, "repeated": n.intake.repeated, "doubted": n.intake.doubted,
                       "in_doubt": n.replica.doubts.count},
            "sessions": [self._session_status(i) for i in range(n.replica.session_count)],
            "clients": sum(n.clients[i].phase != CLIENT_FREE for i in range(MAX_CLIENT_CONNECTIONS)),
            "notes_lost": n.notes_lost,
        }

    def _session_status(self, uint32_t i):
        cdef session_t* s = &self.handle.replica.sessions[i]
        return {
            "name": self.handle.session_names[i].decode("ascii"), "index": i, "state": SESSION_STATE_NAMES[s.state],
            "next_out": s.next_out, "next_in": s.next_in, "generation": s.generation,
            "endpoint": self.handle.links[i].endpoint, "connected": self.handle.links[i].phase == LINK_UP,
            "sync": bool(self.handle.links[i].sync), "in_window": not self.handle.links[i].closed,
            "holding": bool(intake_holds(&self.handle.intake, i)),
        }

    def take_notes(self) -> list:
        """Notes since the last call, oldest first; a `role.Request` stands for each request to the register."""
        cdef const uint8_t* message = NULL
        cdef note_t entry
        cdef list taken = []
        while ring_peek(self.handle.notes, &message) == sizeof(note_t):
            memcpy(&entry, message, sizeof(note_t))
            ring_release(self.handle.notes)
            if entry.code == NOTE_REGISTER_REQUEST:
                taken.append(register_request_of(&entry))
            else:
                taken.append(Note(NOTE_NAMES[entry.code], entry.session, entry.a, entry.b, entry.c, entry.mono_ns,
                                  entry.wall_ns, bytes(entry.text[:NOTE_TEXT_BYTES]).split(b"\0", 1)[0]))
        return taken

    def truncate(self, uint64_t lsn) -> None:
        """Sets what the log has after `lsn` aside in a `diverged` file and cuts it. Called by the reactor."""
        self.journal.truncate(lsn)


DROP_NAMES = ("", "truncated", "wrong_magic", "wrong_version", "wrong_pair", "wrong_node", "bad_mac", "stale",
              "duplicate", "oversized")


cdef object register_request_of(const note_t* entry):
    cdef register_request_t request
    memcpy(&request, entry.text, sizeof(request))
    return Request(RequestKind(request.kind), request.id, bool(request.act_alone), value_of(&request.expected),
                   value_of(&request.desired))


cdef object value_of(const register_value_t* value):
    return RegisterValue(value.version, value.epoch, value.primary, value.in_sync)


cdef int copy_text(uint8_t* place, size_t capacity, bytes text, str what) except -1:
    if len(text) >= capacity or b"\0" in text:
        raise ValueError(f"{what}: at most {capacity - 1} bytes without NUL, found {len(text)}")
    memcpy(place, <const char*>text, len(text))
    place[len(text)] = 0
    return 0
