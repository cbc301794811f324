"""The simulated world: the pair under virtual time, with every fault, and the invariants checked after each step.

May depend on: every native module but reactor. Never reads a clock: one seed and one schedule give one run.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove

from gateway.errors import JournalCorruptError

from .clientwire cimport FRAME_ACCEPTED, FRAME_HEADER_BYTES, FRAME_ORDER_STATE, frame_header_t
from .feed cimport client_tx_consume, client_tx_peek
from .instant cimport instant_t
from .journal cimport Journal, journal_at, journal_flush, journal_set_full, journal_t
from .node cimport (GREETING_BYTES, LINK_IDLE, MAX_CLIENT_CONNECTIONS, NOTE_FLUSH_WANTED, NOTE_TAIL_SETTLED,
                    SESSION_COMMAND_CLOSE, SESSION_COMMAND_OPEN, SESSION_COMMAND_START_OVER, Node, node_advance,
                    node_deadline, node_end_turn, node_greeting_is_fresh, node_next_session, node_on_client_bytes,
                    node_on_client_connected, node_on_client_disconnected, node_on_command, node_on_datagram,
                    node_on_register, node_on_session_bytes, node_on_session_command, node_on_session_connected,
                    node_on_session_disconnected, node_on_timer, node_on_tripwire, node_poll_datagram,
                    node_seal_greeting, node_session_closing, node_session_rests, node_session_tx_consume,
                    node_session_tx_gather, node_settle, node_start, node_take_connect, node_take_register_request,
                    node_truncated, note_t, session_command)
from .orders cimport orders_by_session
from .receiver cimport RECEIVER_FOLLOWING
from .replica cimport MAX_SESSIONS
from .ring cimport ring_peek, ring_release
from .role cimport (CAUSE_NEW_LOG, COMMAND_ACCEPTED, COMMAND_ACT_ALONE, COMMAND_SOLO, COMMAND_SWITCHOVER,
                    COMMAND_TAKEOVER, REGISTER_COMPARE_AND_SET, REGISTER_LOST, REGISTER_VALUE, REGISTER_WON,
                    RELEASE_ACKED,
                    ROLE_CANDIDATE, ROLE_FENCED, ROLE_PRIMARY, ROLE_STANDBY, ROLE_STARTING, register_outcome,
                    register_request_t, register_value_t, role_command)
from .segment cimport MIN_SEGMENT_BYTES
from .session cimport (SESSION_DISCONNECTED, SESSION_READY, Session, session_closing, session_deadline,
                       session_on_timer, session_reset, session_t, session_tx_consume, session_tx_peek)
from .simbroker cimport (broker_ask_for_all, broker_drain, broker_idle, broker_init, broker_on_bytes,
                         broker_on_connected, broker_on_disconnected, broker_reset, broker_t)
from .simclient cimport (SIM_CLOSING, SIM_CONNECTING, SIM_DOWN, SIM_STANDBY, simclient_init, simclient_new_order,
                         simclient_on_bytes, simclient_on_connected, simclient_on_disconnected, simclient_ping,
                         simclient_tell_positions, simclient_t)
from .simnet cimport (CONNECTION_CLIENT, CONNECTION_SESSION, CONNECTION_TRIPWIRE, EVENT_CONNECT, EVENT_CONNECTED,
                      EVENT_DATA, EVENT_DATAGRAM, EVENT_REFUSED, LINK_BROKER, LINK_CLIENT, LINK_PATH_A, LINK_PATH_B,
                      LINK_REGISTER, LINK_TRIPWIRE, MAX_CONNECTIONS, NET_EVENTS, connection_t, net_accept, net_close,
                      net_connect, net_datagram, net_free, net_hold_until, net_holds, net_init, net_message,
                      net_power_lost, net_refuse, net_send, net_take)
from .simqueue cimport event_t, queue_again, queue_pop, queue_push
from .simrandom cimport random_below, random_chance
from .simreplay cimport replay_differs
from .simtruth cimport (BROKEN_NONE, TRUE_CLIENTS, TRUE_CLORDID_BYTES, TRUE_SESSIONS, scan_message, scan_tag,
                        truth_all_delivered, truth_audit, truth_clordid, truth_free, truth_in_sync, truth_init,
                        truth_kept, truth_logged, truth_promised, truth_promoted, truth_released, truth_replayed,
                        truth_unhealed)

cdef extern from "<malloc.h>" nogil:
    int mallopt(int param, int value)
    int M_MMAP_THRESHOLD

cdef enum:
    FLUSH_ROUNDS = 4                   # as in the reactor
    DATAGRAMS_PER_TURN = 256
    RUN_BYTES = 4096                   # messages to one counterparty that leave by one call
    TRIPWIRE_RETRY_NS = 20000000
    CLIENT_TURN_NS = 20000000
    CLIENT_PATIENCE_NS = 500000000     # silence after which it connects anew
    CHECK_NS = 20000000
    MAX_WRITE_BYTES = 1 << 15
    LONGEST_SLEEP_NS = 20000000
    SCHEDULE_NS = 1000000              # by how much the two nodes may differ about a window
    DAY_POLL_NS = 10000000             # how often it is looked whether a session's day can end
    PPM = 1000000

cdef uint64_t NEVER = <uint64_t>0xFFFFFFFFFFFFFFFF
cdef uint64_t START_NS = 1000000000000
cdef uint64_t WALL_START_NS = 1760000000000000000


cdef class World:
    """One simulated world. `run` may be called once. Raises MemoryError, ValueError."""

    cdef net_t net
    cdef truth_t truth
    cdef world_config_t config
    cdef random_t chance
    cdef register_value_t cell
    cdef uint64_t register_down_until
    cdef simnode_t* nodes              # [2]
    cdef broker_t* brokers             # [TRUE_SESSIONS]
    cdef uint64_t muted_until[TRUE_SESSIONS]
    cdef uint64_t refusing_until[TRUE_SESSIONS]
    cdef uint64_t closed_until[TRUE_SESSIONS]
    cdef bint day_ends[TRUE_SESSIONS]
    cdef uint64_t day_began[TRUE_SESSIONS]    # 0: it is the first one
    cdef uint32_t deaf_to[TRUE_SESSIONS]      # so many ResendRequests from now on
    cdef uint64_t broker_timer_at[TRUE_SESSIONS]
    cdef simclient_t* clients          # [TRUE_CLIENTS]
    cdef fault_t faults[MAX_FAULTS]
    cdef uint32_t fault_count
    cdef uint32_t armed
    cdef uint64_t events
    cdef bint ended
    cdef bint healed
    cdef uint64_t ends_at
    cdef uint32_t promotions
    cdef uint32_t days                 # that ended
    cdef uint32_t coverage[FAULTS][SEEN_STATES]
    cdef uint32_t session_coverage[FAULTS][SESSION_STATES]
    cdef bint tracing
    cdef uint8_t datagram[MAX_DATAGRAM_BYTES]
    cdef list journals
    cdef list node_faces
    cdef list sessions_kept
    cdef list trace
    cdef dict node_options
    cdef dict session_options

    def __cinit__(self, uint64_t seed, *, uint32_t sessions=1, uint32_t clients=2, uint8_t durability=1,
                  bint refuses_second=False, bint watch=True, uint64_t order_every_ns=5_000_000,
                  uint64_t faults_end_ns=1_000_000_000, uint64_t heal_ns=20_000_000_000,
                  uint64_t flush_every_ns=5_000_000, uint32_t skip_ahead=1000,
                  uint64_t resend_max_age_ns=60_000_000_000, bint sync=True, bint trace=False):
        cdef uint32_t i
        if not 0 < sessions <= TRUE_SESSIONS or not 0 < clients <= TRUE_CLIENTS or durability > 2:
            raise ValueError(f"sessions 1 to {TRUE_SESSIONS}, clients 1 to {TRUE_CLIENTS}, durability 0 to 2")
        self.chance.state = seed * 2 + 1
        self.config.sessions = sessions
        self.config.clients = clients
        self.config.durability = durability
        self.config.refuses_second = refuses_second
        self.config.watch = watch
        self.config.order_every_ns = order_every_ns
        self.config.faults_end = START_NS + faults_end_ns
        self.config.heal_ns = heal_ns
        self.config.flush_every_ns = flush_every_ns
        self.tracing = trace
        self.trace = []
        self.node_options = {"pair_id": 7, "key": b"simulated-pair-k", "order_capacity": 4096, "reorder_slots": 64,
                             "suspect_after_ns": 50_000_000, "fence_timeout_ns": 1_000_000_000,
                             "register_timeout_ns": 100_000_000, "register_retry_ns": 50_000_000,
                             "startup_wait_ns": 300_000_000, "flush_before_release": durability == 2,
                             "touch_buffers": False}
        self.session_options = {"begin_string": "FIX.4.4", "heartbeat_s": 1, "logon_timeout_ns": 1_000_000_000,
                                "logout_timeout_ns": 500_000_000, "sending_time_tolerance_ns": 0,
                                "resend_max_age_ns": resend_max_age_ns, "skip_ahead": skip_ahead,
                                "max_backoff_ns": 200_000_000, "sync": sync}
        self.nodes = <simnode_t*>calloc(2, sizeof(simnode_t))
        self.brokers = <broker_t*>calloc(TRUE_SESSIONS, sizeof(broker_t))
        self.clients = <simclient_t*>calloc(TRUE_CLIENTS, sizeof(simclient_t))
        if (self.nodes is NULL or self.brokers is NULL or self.clients is NULL or truth_init(&self.truth) != 0
                or net_init(&self.net, seed * 2) != 0):
            raise MemoryError("simulated world")
        self.truth.asynchronous = not sync
        self.net.now = START_NS
        self.journals = []
        self.node_faces = [None, None]
        self.sessions_kept = []
        for i in range(2):
            self._furnish_node(i)
        for i in range(sessions):
            self._furnish_broker(i, refuses_second)
        for i in range(clients):
            simclient_init(&self.clients[i], &self.truth, i)

    def __dealloc__(self):
        net_free(&self.net)
        truth_free(&self.truth)
        free(self.nodes)
        free(self.brokers)
        free(self.clients)

    def _furnish_node(self, uint32_t i):
        cdef simnode_t* s = &self.nodes[i]
        self.journals.append(None)
        self._new_journal(i)
        s.host_up = 1
        s.crash_in = -1
        s.mono_base = (i + 1) * START_NS
        s.true_base = START_NS

    def _new_journal(self, uint32_t i):
        # Small segments, so that they change often.
        journal = Journal.memory(segment_bytes=MIN_SEGMENT_BYTES, max_records=1 << 15, max_sessions=TRUE_SESSIONS,
                                 max_seq=1 << 14)
        self.journals[i] = journal
        self.nodes[i].journal = (<Journal>journal).handle
        self.nodes[i].new_log = 1
        self.nodes[i].journal.unproven = 1

    def _furnish_broker(self, uint32_t i, bint refuses_second):
        journal = Journal.memory(segment_bytes=1 << 20, max_records=1 << 15, max_sessions=1, max_seq=1 << 14)
        session = Session(journal, role="acceptor", begin_string="FIX.4.4", sender_comp_id=f"SIM{i}",
                          target_comp_id="GW", logon_timeout_ns=1_000_000_000, logout_timeout_ns=500_000_000,
                          resend_max_age_ns=1 << 62)
        self.sessions_kept.append((session, journal))
        broker_init(&self.brokers[i], &(<Session>session).state, &self.truth, i)
        self.brokers[i].refuses_second = refuses_second

    def run(self, faults, uint64_t max_events=20_000_000) -> dict:
        """Runs with a schedule of (at ns, kind, target, duration ns, param, trigger), times from the start."""
        if len(faults) > MAX_FAULTS:
            raise ValueError(f"at most {MAX_FAULTS} faults")
        for at, kind, target, duration, param, trigger in faults:
            if not 0 <= kind < FAULTS:
                raise ValueError(f"no fault {kind}")
            self.faults[self.fault_count] = fault_t(START_NS + at, duration, param, kind, target, trigger, 0)
            queue_push(&self.net.queue, START_NS + at, EVENT_FAULT, 0, self.fault_count, 0, NULL, 0)
            self.fault_count += 1
        with nogil:
            self._begin()
            self._loop(max_events)
        return self._result()

    def status(self, uint32_t node) -> dict:
        """Of one node as it was at the end."""
        return self.node_faces[node & 1].status()

    def _result(self):
        return {
            "broken": self.truth.broken, "text": self.truth.text.decode("ascii"), "events": self.events,
            "virtual_ns": self.net.now - START_NS, "orders": self.truth.order_count,
            "processed": self.truth.processed, "promotions": self.promotions, "released": self.truth.released,
            "healed": bool(self.healed), "gone": bool(self.truth.gone), "days": self.days, "lost": self.net.lost,
            "trace": self.trace,
            "pending": [[self.clients[k].pending[i] for i in range(self.clients[k].pending_count)]
                        for k in range(self.config.clients)],
            "coverage": [[self.coverage[k][s] for s in range(<int>SEEN_STATES)] for k in range(<int>FAULTS)],
            "session_coverage": [[self.session_coverage[k][s] for s in range(<int>SESSION_STATES)]
                                 for k in range(<int>FAULTS)],
        }

    # --- the loop -----------------------------------------------------------------------------------------------------

    cdef void _begin(self) noexcept nogil:
        cdef uint16_t i
        for i in range(2):
            self._boot(i)
        for i in range(self.config.clients):
            queue_push(&self.net.queue, self.net.now, EVENT_CLIENT_TURN, i, 0, 0, NULL, 0)
            queue_push(&self.net.queue, self.net.now + 1, EVENT_ORDER, i, 0, 0, NULL, 0)
        queue_push(&self.net.queue, self.config.faults_end, EVENT_CHECK, 0, 0, 0, NULL, 0)

    cdef void _loop(self, uint64_t max_events) noexcept nogil:
        cdef event_t event
        while not self.ended and self.events < max_events and queue_pop(&self.net.queue, &event):
            self.net.now = event.at
            self.events += 1
            if event.kind < NET_EVENTS:
                self._net_event(&event)
            else:
                self._world_event(&event)
            if self.armed:
                self._fire()
            if self.truth.broken != BROKEN_NONE:
                return

    cdef void _fire(self) noexcept nogil:
        """Faults that wait for a state of the protocol."""
        cdef uint32_t k
        cdef fault_t* f
        cdef int wanted
        for k in range(self.fault_count):
            f = &self.faults[k]
            if not f.armed:
                continue
            wanted = f.trigger - (TRIGGER_SESSION if f.trigger >= TRIGGER_SESSION else TRIGGER_SEEN)
            if self.net.now >= self.config.faults_end:
                f.armed = 0
                self.armed -= 1
            elif wanted == (self._session_seen(f.target % self.config.sessions) if f.trigger >= TRIGGER_SESSION else
                            self._seen(f.target & 1)):
                f.armed = 0
                self.armed -= 1
                self._fault(f)

    cdef void _world_event(self, event_t* e) noexcept nogil:
        cdef uint16_t a = e.a
        if e.kind == EVENT_NODE_TIMER:
            self._node_timer(a, e)
        elif e.kind == EVENT_BROKER_TIMER:
            self._broker_timer(a)
        elif e.kind == EVENT_CLIENT_TURN:
            self._client_turn(a)
        elif e.kind == EVENT_ORDER:
            self._order(a)
        elif e.kind == EVENT_REGISTER:
            self._register(a, e)
        elif e.kind == EVENT_REGISTER_ANSWER:
            self._register_answer(a, e)
        elif e.kind == EVENT_FAULT:
            if self.faults[e.b].trigger:
                self.faults[e.b].armed = 1
                self.armed += 1
            else:
                self._fault(&self.faults[e.b])
        elif e.kind == EVENT_FLUSH:
            self._flush_disk(a, e.b)
        elif e.kind == EVENT_RESTART:
            if not self.nodes[a].up:
                self.nodes[a].host_up = 1
                self._boot(a)
        elif e.kind == EVENT_CHECK:
            self._check_healed()
        elif e.kind == EVENT_DISK_SPACE:
            if self.net.now >= self.nodes[a].full_until:
                journal_set_full(self.nodes[a].journal, 0)
        elif e.kind == EVENT_SCHEDULE:
            self._tell_schedule(a, e)
        elif e.kind == EVENT_DAY:
            self._end_day(a)
        elif e.kind == EVENT_CYCLE:
            self.nodes[a].restart_at = 0
            if self.nodes[a].up and (e.b == 0 or self.nodes[1 - a].n.role.solo_wanted):
                self._kill(a)
        elif e.kind == EVENT_CLIENT_BACK:
            self.clients[a].down = 0
        free(e.data)

    cdef void _net_event(self, event_t* e) noexcept nogil:
        cdef connection_t* c
        if e.kind == EVENT_DATAGRAM:
            if not self._held_by_pause(e.a, e):
                self._datagram(e)
            return
        if net_holds(&self.net, e):
            return
        c = &self.net.connections[e.b]
        if self._connection_waits(c, e) or not net_take(&self.net, e):
            return
        if e.kind == EVENT_CONNECT:
            self._accept(e.b, c)
        elif e.kind == EVENT_CONNECTED:
            c.connected = 1
            self._connected(e.b, c)
        elif e.kind == EVENT_REFUSED:
            self._refused(e.b, c)
        elif e.kind == EVENT_DATA:
            if c.open[e.a]:
                self._data(e.b, c, e.a, e.data, e.size)
            elif c.dead[e.a] and self.nodes[c.node].host_up and c.open[1 - e.a]:
                c.dead[e.a] = 0
                c.open[e.a] = 1                    # the host is back and knows nothing of it: resets it
                net_close(&self.net, e.b, e.a, 1)
        elif c.open[e.a]:
            c.open[1 - e.a] = 0
            self._closed(e.b, c, e.a)
            net_close(&self.net, e.b, e.a, 0)
        free(e.data)

    cdef bint _connection_waits(self, connection_t* c, event_t* e) noexcept nogil:
        """For a process that is paused or does not read."""
        cdef uint16_t i = 1 - e.a if c.kind == CONNECTION_TRIPWIRE else c.node
        cdef uint64_t until = 0
        if c.kind == CONNECTION_TRIPWIRE or (c.kind == CONNECTION_SESSION) == (e.a == 0):
            if self.nodes[i].up:
                until = self.nodes[i].paused_until
        elif c.kind == CONNECTION_SESSION:
            until = self.muted_until[c.other]
        if self.net.now >= until:
            return 0
        if e.number == 0:
            queue_again(&self.net.queue, e, until)
        else:
            net_hold_until(&self.net, e, until)
        return 1

    cdef bint _held_by_pause(self, uint16_t i, event_t* e) noexcept nogil:
        if not self.nodes[i].up or self.net.now >= self.nodes[i].paused_until:
            return 0
        queue_again(&self.net.queue, e, self.nodes[i].paused_until)
        return 1

    # --- nodes: life --------------------------------------------------------------------------------------------------

    cdef instant_t _now(self, uint16_t i) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef int64_t passed = <int64_t>(self.net.now - s.true_base)
        cdef instant_t now
        now.mono_ns = s.mono_base + passed + passed * s.drift_ppm // PPM
        now.wall_ns = WALL_START_NS + (self.net.now - START_NS) + s.wall_offset
        return now

    cdef uint64_t _true_time(self, uint16_t i, uint64_t mono_ns) noexcept nogil:
        """When the node's clock will show mono_ns."""
        cdef simnode_t* s = &self.nodes[i]
        cdef int64_t left
        if mono_ns <= s.mono_base:
            return self.net.now
        left = <int64_t>(mono_ns - s.mono_base)
        return max(self.net.now, s.true_base + left * PPM // (PPM + s.drift_ppm) + 1)

    cdef void _boot(self, uint16_t i) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef instant_t now
        cdef int k
        s.boot += 1
        with gil:
            if s.damaged:
                self._open_damaged(i)
            journal_flush(s.journal)       # as when a journal is opened
            self._build_node(i)
        s.up = 1
        s.crash_in = -1
        s.paused_until = 0
        s.timer_at = NEVER
        s.settled_lsn = 0
        s.epoch_seen = 0
        s.tripwire = -1
        s.greeting = -1
        s.tripwire_verified = 0
        s.tripwire_met = 0
        for k in range(TRUE_SESSIONS):
            s.sessions[k].connection = -1
            s.sessions[k].up = 0
        for k in range(MAX_CLIENT_CONNECTIONS):
            s.slots[k].connection = -1
        queue_push(&self.net.queue, self.net.now + self.config.flush_every_ns, EVENT_FLUSH, i, s.boot, 0, NULL, 0)
        now = self._now(i)
        for k in range(<int>self.config.sessions):      # the control thread does not wait for anything
            if self.day_began[k]:
                self._start_over(i, k)
            if self.day_ends[k] or self.net.now < self.closed_until[k]:
                node_on_session_command(s.n, k, SESSION_COMMAND_CLOSE, 0, 0, &now)
        node_start(s.n, &now)
        self._turn(i)

    cdef _open_damaged(self, uint16_t i):
        """Recovery finds it, and cuts it off or refuses the journal. Then the operator does what the refusal says."""
        cdef simnode_t* s = &self.nodes[i]
        s.damaged = 0
        before = s.journal.last_lsn
        try:
            self.journals[i].read_again(True)
            s.lost_tail = s.lost_tail or s.journal.last_lsn < before
            told = f"cuts LSN {s.journal.last_lsn + 1} to {before} off"
        except JournalCorruptError:
            told = "refuses its journal: it is moved away"
            self._count_loss(i, 1)
            self._new_journal(i)
            s.moved_away = 1
            if not self.cell.in_sync & (1 << (1 - i)) or self.nodes[1 - i].moved_away:
                self._only_copy_is_gone()
        if self.tracing:
            self._tell(f"node {'ab'[i]} finds a damaged record and {told}")
        s.logged_lsn = s.journal.last_lsn

    cdef void _only_copy_is_gone(self) noexcept nogil:
        """It was the only whole one, by the register: the operator does not go on without it."""
        self.truth.gone = 1
        self.healed = 1
        self.ended = 1

    cdef void _count_loss(self, uint16_t i, uint64_t first) noexcept nogil:
        """Records from `first` on are going. What the other node lacks of them is gone for good."""
        cdef simnode_t* s = &self.nodes[i]
        cdef journal_t* other = self.nodes[1 - i].journal
        cdef uint64_t lsn
        self.truth.lossy = 1
        for lsn in range(first, s.journal.last_lsn + 1):
            if journal_at(other, lsn) is NULL or journal_at(other, lsn).crc != journal_at(s.journal, lsn).crc:
                self.truth.gone = 1

    cdef _build_node(self, uint16_t i):
        cdef simnode_t* s = &self.nodes[i]
        cdef uint32_t k
        self.node_faces[i] = None
        node = Node(self.journals[i], node=i, incarnation=s.boot, preferred=i == 0, lost_tail=s.lost_tail,
                    new_log=s.new_log,                    **self.node_options)
        for k in range(self.config.sessions):
            node.add_session(f"s{k}", sender_comp_id="GW", target_comp_id=f"SIM{k}", **self.session_options)
        for k in range(self.config.clients):
            node.add_client(f"c{k}")
        self.node_faces[i] = node
        s.n = (<Node>node).handle
        if self.tracing:
            self._tell(f"node {'ab'[i]} starts, its log ends at LSN {s.journal.last_lsn}"
                       + (", the tail is suspect" if s.lost_tail else ""))

    cdef void _kill(self, uint16_t i) noexcept nogil:
        """The process dies: the kernel closes what it had, after sending what it took; sometimes it resets instead."""
        cdef int32_t k
        cdef int side
        self.nodes[i].up = 0
        self._restart_at(i, max(self.net.now, self.nodes[i].restart_at))
        for k in range(MAX_CONNECTIONS):
            side = self._side_of(&self.net.connections[k], i)
            if side >= 0 and self.net.connections[k].open[side]:
                net_close(&self.net, k, side, random_chance(&self.chance, 300000))
        if self.tracing:
            with gil:
                self._tell(f"node {'ab'[i]} is dead, its log ends at LSN {self.nodes[i].journal.last_lsn}")

    cdef void _power_off(self, uint16_t i) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef int32_t k
        cdef int side
        s.up = 0
        s.host_up = 0
        for k in range(MAX_CONNECTIONS):
            side = self._side_of(&self.net.connections[k], i)
            if side >= 0 and self.net.connections[k].open[side]:
                net_power_lost(&self.net, k, side)
        self._lose_tail(i)

    cdef void _lose_tail(self, uint16_t i) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef uint64_t last = s.journal.last_lsn
        cdef uint64_t kept = s.journal.flushed_lsn + random_below(&self.chance, last - s.journal.flushed_lsn + 1)
        cdef int k
        if self.config.durability != 2:
            s.lost_tail = 1
        elif not s.moved_away:
            for k in range(2):
                if self.nodes[k].n.sender.epoch == self.cell.epoch and self.cell.in_sync & (1 << i):
                    truth_kept(&self.truth, self.nodes[k].n.released_lsn, kept)
        if kept < last:
            self._count_loss(i, kept + 1)
        with gil:
            self.journals[i].truncate(kept)
            self.journals[i].flush()               # what is there after the loss is on the disk
            if self.tracing:
                self._tell(f"node {'ab'[i]} lost power and LSN {kept + 1} to {last}" if kept < last else
                           f"node {'ab'[i]} lost power, no record is lost")
        s.logged_lsn = kept

    cdef int _side_of(self, const connection_t* c, uint16_t i) noexcept nogil:
        if not c.used:
            return -1
        if c.kind == CONNECTION_TRIPWIRE:
            return 1 - i
        if c.node != i:
            return -1
        return 0 if c.kind == CONNECTION_SESSION else 1

    cdef void _flush_disk(self, uint16_t i, uint32_t boot) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        if not s.up or s.boot != boot:
            return
        if self.net.now >= s.paused_until and self.net.now >= s.stalled_until:
            journal_flush(s.journal)
            if s.settled_lsn and s.journal.flushed_lsn + 1 >= s.settled_lsn:
                s.lost_tail = 0
                s.new_log = 0
                s.journal.unproven = 0
                s.moved_away = 0
                s.settled_lsn = 0
        queue_push(&self.net.queue, self.net.now + self.config.flush_every_ns, EVENT_FLUSH, i, boot, 0, NULL, 0)

    # --- nodes: a turn, as the reactor makes it -----------------------------------------------------------------------

    cdef bint _step(self, uint16_t i) noexcept nogil:
        """Between two steps of the node's program: it may die here. True: it did."""
        cdef simnode_t* s = &self.nodes[i]
        if s.crash_in < 0:
            return 0
        if s.crash_in > 0:
            s.crash_in -= 1
            return 0
        s.crash_in = -1
        self._kill(i)
        return 1

    cdef void _turn(self, uint16_t i) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef instant_t now = self._now(i)
        cdef uint64_t before
        cdef uint16_t k
        cdef int _round
        cdef bint more = 0
        if self._step(i):
            return
        for _round in range(FLUSH_ROUNDS):
            node_advance(s.n, &now)
            self._watch_log(i)
            k = node_next_session(s.n.sending, 0)
            while k < MAX_SESSIONS:
                if self._session_write(i, k, &now):
                    return
                k = node_next_session(s.n.sending, k + 1)
            if self._send_datagrams(i, &now):
                return
            before = s.journal.last_lsn
            node_settle(s.n, &now)
            self._watch_log(i)
            if self._step(i):
                return
            if s.journal.last_lsn == before:
                break
        else:
            more = 1
        for k in range(MAX_CLIENT_CONNECTIONS):
            if s.slots[k].connection >= 0:
                self._client_write(i, k, &now)
                if self._step(i):
                    return
        if s.n.truncation_due:
            with gil:
                if self.tracing:
                    self._tell(f"node {'ab'[i]} sets LSN {s.n.receiver.truncate_lsn + 1} to {s.journal.last_lsn} aside")
                self.journals[i].truncate(s.n.receiver.truncate_lsn)
            s.logged_lsn = min(s.logged_lsn, s.journal.last_lsn)
            node_truncated(s.n, &now)
            more = 1
        self._connect_and_ask(i, &now)
        self._read_notes(i)
        self._arm(i, 1 if more or s.n.feeds_behind else 0)

    cdef void _connect_and_ask(self, uint16_t i, const instant_t* now) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef register_request_t request
        cdef uint16_t k
        k = node_next_session(s.n.touched, 0)
        while k < MAX_SESSIONS:
            if node_take_connect(s.n, k, now):
                s.sessions[k].connection = net_connect(&self.net, CONNECTION_SESSION, <uint8_t>i, <uint8_t>k)
                s.sessions[k].up = 0
                s.sessions[k].filled = 0
                if s.sessions[k].connection < 0:
                    node_on_session_disconnected(s.n, k, now)
            k = node_next_session(s.n.touched, k + 1)
        if i == 1:
            self._dial_tripwire(s)
        while node_take_register_request(s.n, &request):
            net_message(&self.net, <uint8_t>(LINK_REGISTER + i), 0, EVENT_REGISTER, i, s.boot,
                        <uint32_t>s.n.channel.peer_incarnation[1 - i],
                        <const uint8_t*>&request, sizeof(request))

    cdef void _arm(self, uint16_t i, bint at_once) noexcept nogil:
        """One timer event is always under way; one that comes too early is set again."""
        cdef simnode_t* s = &self.nodes[i]
        cdef uint64_t at = self.net.now + 1000
        if not at_once:
            at = min(self._true_time(i, node_deadline(s.n)), self.net.now + LONGEST_SLEEP_NS)
            node_end_turn(s.n)
            at = max(at, self.net.now + 1000)
        if at < s.timer_at:
            s.timer_at = at
            queue_push(&self.net.queue, at, EVENT_NODE_TIMER, i, s.boot, 0, NULL, 0)

    cdef void _node_timer(self, uint16_t i, event_t* e) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef instant_t now
        if not s.up or s.boot != e.b or e.at != s.timer_at:
            return
        if self.net.now < s.paused_until:
            s.timer_at = s.paused_until
            queue_push(&self.net.queue, s.timer_at, EVENT_NODE_TIMER, i, s.boot, 0, NULL, 0)
            return
        s.timer_at = NEVER
        now = self._now(i)
        if now.mono_ns >= node_deadline(s.n):
            node_on_timer(s.n, &now)
        self._turn(i)

    cdef bint _session_write(self, uint16_t i, uint16_t k, const instant_t* now) noexcept nogil:
        """True: the node died meanwhile."""
        cdef simnode_t* s = &self.nodes[i]
        cdef stream_t* stream = &s.sessions[k]
        cdef const uint8_t* data = NULL
        cdef uint8_t run[RUN_BYTES]
        cdef uint32_t size
        cdef uint32_t told
        cdef uint32_t length
        cdef journal_t* other = NULL
        if stream.connection < 0 or not stream.up:
            node_session_rests(s.n, k)
            return 0
        if s.n.links[k].reset:
            self._session_gone(i, k, 1, now)
            return 0
        if s.n.links[k].sync and self.cell.in_sync & (1 << (1 - i)):
            other = self.nodes[1 - i].journal
        while True:
            size = <uint32_t>node_session_tx_gather(s.n, k, run, RUN_BYTES, &data)
            if size == 0:
                break
            told = 0
            while told < size:
                length = scan_message(data + told, size - told)
                truth_released(&self.truth, <uint8_t>i, s.n.role.epoch, <uint8_t>k, s.n.replica.sessions[k].generation,
                               data + told, length, s.journal, other,
                               s.n.links[k].sync and self.config.durability == 2)
                told += length
            net_send(&self.net, stream.connection, 0, data, size)
            if self._step(i):
                return 1
            node_session_tx_consume(s.n, k, size, now)
        if node_session_closing(s.n, k):
            self._session_gone(i, k, 0, now)
        return 0

    cdef void _session_gone(self, uint16_t i, uint16_t k, bint reset, const instant_t* now) noexcept nogil:
        cdef stream_t* stream = &self.nodes[i].sessions[k]
        if stream.connection >= 0:
            net_close(&self.net, stream.connection, 0, reset)
        stream.connection = -1
        stream.up = 0
        stream.filled = 0
        node_on_session_disconnected(self.nodes[i].n, k, now)

    cdef bint _send_datagrams(self, uint16_t i, const instant_t* now) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef uint8_t to_node = 0
        cdef uint32_t size
        cdef int _k
        for _k in range(DATAGRAMS_PER_TURN):
            size = <uint32_t>node_poll_datagram(s.n, now, self.datagram, &to_node)
            if size == 0:
                return 0
            net_datagram(&self.net, LINK_PATH_A, <uint8_t>i, self.datagram, size)
            if self._step(i):
                return 1
            net_datagram(&self.net, LINK_PATH_B, <uint8_t>i, self.datagram, size)
        return 0

    cdef void _client_write(self, uint16_t i, uint16_t slot, const instant_t* now) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef const uint8_t* data = NULL
        cdef uint32_t size = client_tx_peek(&s.n.clients[slot], &data)
        while size:
            size = min(size, MAX_WRITE_BYTES)
            if self.cell.in_sync & (1 << (1 - i)):
                self._check_promises(i, data, size)
            net_send(&self.net, s.slots[slot].connection, 1, data, size)
            client_tx_consume(&s.n.clients[slot], size)
            size = client_tx_peek(&s.n.clients[slot], &data)
        if s.n.clients[slot].closing:
            net_close(&self.net, s.slots[slot].connection, 1, 0)
            s.slots[slot].connection = -1
            node_on_client_disconnected(s.n, slot, now)

    cdef void _check_promises(self, uint16_t i, const uint8_t* data, uint32_t size) noexcept nogil:
        """A client is told ACCEPTED, or the state of a numbered order. A frame that is cut in two is not seen."""
        cdef simnode_t* s = &self.nodes[i]
        cdef frame_header_t header
        cdef uint32_t at = 0
        while at + FRAME_HEADER_BYTES <= size:
            memcpy(&header, data + at, FRAME_HEADER_BYTES)
            if header.length < FRAME_HEADER_BYTES:
                return
            if (header.seq and (header.type == FRAME_ACCEPTED or header.type == FRAME_ORDER_STATE)
                    and header.generation == s.n.replica.sessions[header.session].generation):
                truth_promised(&self.truth, <uint8_t>header.session, header.seq, s.journal, self.nodes[1 - i].journal)
            at += header.length

    cdef void _watch_log(self, uint16_t i) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef uint32_t generations[TRUE_SESSIONS]
        cdef uint32_t k
        if s.n.sender.epoch != s.epoch_seen:
            s.epoch_seen = s.n.sender.epoch
            if s.epoch_seen:
                self.promotions += 1
                for k in range(self.config.sessions):
                    generations[k] = s.n.replica.sessions[k].generation
                truth_promoted(&self.truth, <uint8_t>i, s.epoch_seen, s.journal, generations)
        while s.logged_lsn < s.journal.last_lsn:
            s.logged_lsn += 1
            truth_logged(&self.truth, <uint8_t>i, journal_at(s.journal, s.logged_lsn))

    cdef void _read_notes(self, uint16_t i) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef const uint8_t* message = NULL
        cdef note_t note
        while ring_peek(s.n.notes, &message) == sizeof(note_t):
            memcpy(&note, message, sizeof(note))
            ring_release(s.n.notes)
            if note.code == NOTE_TAIL_SETTLED:
                s.settled_lsn = note.b + 1
            if note.code == NOTE_FLUSH_WANTED or note.code == NOTE_TAIL_SETTLED:
                queue_push(&self.net.queue, self.net.now + 500000, EVENT_FLUSH, i, s.boot, 0, NULL, 0)
            if self.tracing:
                with gil:
                    self._tell_note(i, note)

    # --- nodes: inputs ------------------------------------------------------------------------------------------------

    cdef void _datagram(self, event_t* e) noexcept nogil:
        cdef simnode_t* s = &self.nodes[e.a]
        cdef instant_t now
        if s.up:
            now = self._now(e.a)
            node_on_datagram(s.n, e.data, e.size, &now)
            self._watch_log(e.a)
            self._turn(e.a)
        free(e.data)

    cdef void _accept(self, int32_t at, connection_t* c) noexcept nogil:
        cdef instant_t now
        cdef broker_t* b
        cdef simnode_t* s
        if c.kind == CONNECTION_SESSION:
            b = &self.brokers[c.other]
            if self.net.now < self.refusing_until[c.other] or (b.connection >= 0 and b.refuses_second):
                net_refuse(&self.net, at)
                return
            if b.connection >= 0:
                self._broker_gone(c.other)
            now = self._broker_now()
            b.connection = at
            net_accept(&self.net, at)
            broker_on_connected(b, &now)
            self._broker_turn(c.other)
            return
        s = &self.nodes[0 if c.kind == CONNECTION_TRIPWIRE else c.node]
        if not s.up:
            if s.host_up:
                net_refuse(&self.net, at)
            return
        if c.kind == CONNECTION_TRIPWIRE:
            if s.greeting >= 0:
                net_close(&self.net, s.greeting, 1, 0)
            s.greeting = at
            s.greeting_filled[1] = 0
            net_accept(&self.net, at)
            return
        now = self._now(c.node)
        c.slot = node_on_client_connected(s.n, 0, &now)
        if c.slot < 0:
            net_refuse(&self.net, at)
            return
        s.slots[c.slot].connection = at
        s.slots[c.slot].filled = 0
        net_accept(&self.net, at)

    cdef void _connected(self, int32_t at, connection_t* c) noexcept nogil:
        cdef instant_t now
        cdef simnode_t* s = &self.nodes[c.node]
        cdef uint8_t greeting[GREETING_BYTES]
        cdef uint32_t size
        if c.kind == CONNECTION_CLIENT:
            if self.clients[c.other].links[c.node].connection == at:     # else it has been given up meanwhile
                simclient_on_connected(&self.clients[c.other], c.node)
                self._client_flush(c.other)
            return
        if not s.up or not c.open[0]:
            return
        now = self._now(c.node)
        if c.kind == CONNECTION_SESSION:
            s.sessions[c.other].up = 1
            node_on_session_connected(s.n, c.other, &now)
            self._turn(c.node)
        else:
            size = <uint32_t>node_seal_greeting(s.n, greeting, &now)
            net_send(&self.net, at, 0, greeting, size)

    cdef void _refused(self, int32_t at, connection_t* c) noexcept nogil:
        if not c.open[0]:
            return
        self._closed(at, c, 0)
        c.open[0] = 0
        if c.open[1]:
            c.open[0] = 1
            net_close(&self.net, at, 0, 0)
        else:
            c.used = 0

    cdef void _closed(self, int32_t at, connection_t* c, int side) noexcept nogil:
        """`side` learns that the connection is gone."""
        cdef instant_t now
        cdef uint16_t i = c.node
        if c.kind == CONNECTION_TRIPWIRE:
            i = 1 - side
            if self.nodes[i].up:
                self._tripwire_gone(i, at)
            return
        if c.kind == CONNECTION_SESSION and side == 1:
            if self.brokers[c.other].connection == at:
                now = self._broker_now()
                broker_on_disconnected(&self.brokers[c.other], &now)
            return
        if c.kind == CONNECTION_CLIENT and side == 0:
            if self.clients[c.other].links[c.node].connection == at:
                simclient_on_disconnected(&self.clients[c.other], c.node)
            return
        if not self.nodes[i].up:
            return
        now = self._now(i)
        if c.kind == CONNECTION_SESSION and self.nodes[i].sessions[c.other].connection == at:
            self.nodes[i].sessions[c.other].connection = -1
            self.nodes[i].sessions[c.other].up = 0
            node_on_session_disconnected(self.nodes[i].n, c.other, &now)
        elif c.kind == CONNECTION_CLIENT and self.nodes[i].slots[c.slot].connection == at:
            self.nodes[i].slots[c.slot].connection = -1
            node_on_client_disconnected(self.nodes[i].n, c.slot, &now)
        self._turn(i)

    cdef void _data(self, int32_t at, connection_t* c, int side, const uint8_t* data, uint32_t size) noexcept nogil:
        cdef instant_t now
        cdef uint16_t i = c.node
        cdef uint32_t length = 0
        cdef const uint8_t* kind
        if c.kind == CONNECTION_TRIPWIRE:
            i = 1 - side
            if self.nodes[i].up:
                self._tripwire_data(i, at, data, size)
        elif c.kind == CONNECTION_SESSION and side == 1:
            if self.deaf_to[c.other]:
                kind = scan_tag(data, size, "35", &length)
                if kind is not NULL and kind[0] == c'2':
                    self.deaf_to[c.other] -= 1
                    return
            now = self._broker_now()
            broker_on_bytes(&self.brokers[c.other], data, size, &now)
            self._broker_turn(c.other)
        elif c.kind == CONNECTION_CLIENT and side == 0:
            self.clients[c.other].links[c.node].heard_at = self.net.now
            simclient_on_bytes(&self.clients[c.other], c.node, data, size)
            self._client_flush(c.other)
        elif self.nodes[i].up:
            if c.kind == CONNECTION_SESSION:
                self._take(i, c.other, &self.nodes[i].sessions[c.other], data, size, 1)
            else:
                self._take(i, <uint16_t>c.slot, &self.nodes[i].slots[c.slot], data, size, 0)
            self._watch_log(i)
            self._turn(i)

    cdef void _take(self, uint16_t i, uint16_t k, stream_t* stream, const uint8_t* data, uint32_t size,
                    bint session) noexcept nogil:
        cdef instant_t now = self._now(i)
        cdef uint32_t used
        size = min(size, SIM_NODE_RX_BYTES - stream.filled)
        memcpy(stream.bytes + stream.filled, data, size)
        stream.filled += size
        if session:
            used = <uint32_t>node_on_session_bytes(self.nodes[i].n, k, stream.bytes, stream.filled, &now)
        else:
            used = <uint32_t>node_on_client_bytes(self.nodes[i].n, k, stream.bytes, stream.filled, &now)
        memmove(stream.bytes, stream.bytes + used, stream.filled - used)
        stream.filled -= used

    # --- tripwire -----------------------------------------------------------------------------------------------------

    cdef void _dial_tripwire(self, simnode_t* s) noexcept nogil:
        cdef uint64_t met = s.n.channel.peer_incarnation[0]
        if s.tripwire >= 0 and met != s.tripwire_met and not s.tripwire_verified:
            net_close(&self.net, s.tripwire, 0, 0)
            s.tripwire = -1
            s.tripwire_retry_at = 0
        if met == 0 or s.tripwire >= 0 or self.net.now < s.tripwire_retry_at:
            return
        s.tripwire_met = met
        s.tripwire_verified = 0
        s.greeting_filled[0] = 0
        s.tripwire_retry_at = self.net.now + TRIPWIRE_RETRY_NS
        s.tripwire = net_connect(&self.net, CONNECTION_TRIPWIRE, 1, 0)

    cdef void _tripwire_data(self, uint16_t i, int32_t at, const uint8_t* data, uint32_t size) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef instant_t now = self._now(i)
        cdef int which = 1 if at == s.greeting else 0
        cdef uint8_t greeting[GREETING_BYTES]
        if (at != s.tripwire and at != s.greeting) or (which == 0 and s.tripwire_verified):
            return
        size = min(size, GREETING_BYTES - s.greeting_filled[which])
        memcpy(s.greeting_rx[which] + s.greeting_filled[which], data, size)
        s.greeting_filled[which] += size
        if s.greeting_filled[which] < GREETING_BYTES:
            return
        if not node_greeting_is_fresh(s.n, s.greeting_rx[which], GREETING_BYTES, &now):
            net_close(&self.net, at, 1 - i, 0)
            self._tripwire_gone(i, at)
            return
        if which:
            if s.tripwire >= 0:
                net_close(&self.net, s.tripwire, 1 - i, 0)
            s.tripwire = at
            s.greeting = -1
            size = <uint32_t>node_seal_greeting(s.n, greeting, &now)
            net_send(&self.net, at, 1 - i, greeting, size)
        s.tripwire_verified = 1
        node_on_tripwire(s.n, 1, &now)
        self._turn(i)

    cdef void _tripwire_gone(self, uint16_t i, int32_t at) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef instant_t now = self._now(i)
        if at == s.greeting:
            s.greeting = -1
        elif at == s.tripwire:
            s.tripwire = -1
            s.tripwire_retry_at = self.net.now + TRIPWIRE_RETRY_NS
            if s.tripwire_verified:
                s.tripwire_verified = 0
                node_on_tripwire(s.n, 0, &now)
                self._turn(i)

    # --- counterparties -----------------------------------------------------------------------------------------------

    cdef instant_t _broker_now(self) noexcept nogil:
        return instant_t(self.net.now, WALL_START_NS + (self.net.now - START_NS))

    cdef void _broker_turn(self, uint16_t k) noexcept nogil:
        cdef broker_t* b = &self.brokers[k]
        cdef instant_t now = self._broker_now()
        cdef const uint8_t* data = NULL
        cdef uint32_t size
        cdef uint64_t at
        broker_drain(b, &now)
        while b.connection >= 0:
            size = <uint32_t>session_tx_peek(b.session, NEVER, &data)
            if size == 0:
                break
            net_send(&self.net, b.connection, 1, data, size)
            session_tx_consume(b.session, size, &now)
        if b.connection >= 0 and session_closing(b.session):
            self._broker_gone(k)
        at = session_deadline(b.session)
        if at != NEVER and (self.broker_timer_at[k] <= self.net.now or at < self.broker_timer_at[k]):
            self.broker_timer_at[k] = max(at, self.net.now + 1000)
            queue_push(&self.net.queue, self.broker_timer_at[k], EVENT_BROKER_TIMER, k, 0, 0, NULL, 0)

    cdef void _broker_timer(self, uint16_t k) noexcept nogil:
        cdef instant_t now = self._broker_now()
        if self.net.now < self.muted_until[k]:
            queue_push(&self.net.queue, self.muted_until[k], EVENT_BROKER_TIMER, k, 0, 0, NULL, 0)
            return
        if self.brokers[k].connection >= 0:
            session_on_timer(self.brokers[k].session, &now)
        self._broker_turn(k)

    cdef void _broker_gone(self, uint16_t k) noexcept nogil:
        """The counterparty closes its connection."""
        cdef instant_t now = self._broker_now()
        net_close(&self.net, self.brokers[k].connection, 1, 0)
        broker_on_disconnected(&self.brokers[k], &now)

    # --- clients ------------------------------------------------------------------------------------------------------

    cdef void _client_turn(self, uint16_t k) noexcept nogil:
        cdef simclient_t* c = &self.clients[k]
        cdef int link
        for link in range(2):
            if c.down or c.links[link].phase == SIM_CONNECTING:
                continue
            if c.links[link].phase == SIM_DOWN:
                c.links[link].connection = net_connect(&self.net, CONNECTION_CLIENT, link, <uint8_t>k)
                c.links[link].phase = SIM_CONNECTING
                c.links[link].heard_at = self.net.now
            elif self.net.now - c.links[link].heard_at > CLIENT_PATIENCE_NS:
                net_close(&self.net, c.links[link].connection, 0, 0)
                simclient_on_disconnected(c, link)
            elif c.links[link].phase == SIM_STANDBY:
                simclient_tell_positions(c, link)
                simclient_ping(c, link)
            else:
                simclient_ping(c, link)
        self._client_flush(k)
        queue_push(&self.net.queue, self.net.now + CLIENT_TURN_NS, EVENT_CLIENT_TURN, k, 0, 0, NULL, 0)

    cdef void _client_flush(self, uint16_t k) noexcept nogil:
        cdef simclient_t* c = &self.clients[k]
        cdef int link
        for link in range(2):
            if c.links[link].connection < 0:
                continue
            if c.links[link].out_size:
                net_send(&self.net, c.links[link].connection, 0, c.links[link].out, c.links[link].out_size)
                c.links[link].out_size = 0
            if c.links[link].phase == SIM_CLOSING:
                net_close(&self.net, c.links[link].connection, 0, 0)
                simclient_on_disconnected(c, link)

    cdef void _order(self, uint16_t k) noexcept nogil:
        if self.net.now >= self.config.faults_end:
            return
        if not self.clients[k].down:
            simclient_new_order(&self.clients[k], <uint8_t>random_below(&self.chance, self.config.sessions))
            self._client_flush(k)
        queue_push(&self.net.queue, self.net.now + 1 + random_below(&self.chance, 2 * self.config.order_every_ns),
                   EVENT_ORDER, k, 0, 0, NULL, 0)

    # --- the register -------------------------------------------------------------------------------------------------

    cdef void _register(self, uint16_t i, event_t* e) noexcept nogil:
        cdef register_request_t request
        cdef register_outcome outcome = REGISTER_VALUE
        memcpy(&request, e.data, sizeof(request))
        if self.net.now < self.register_down_until:
            return
        if request.kind == REGISTER_COMPARE_AND_SET:
            outcome = REGISTER_LOST
            if request.expected.version == self.cell.version:
                outcome = REGISTER_WON
                request.desired.version = self.cell.version + 1
                self.cell = request.desired
                self._check_in_sync(i, e.b, e.c)
                if self.cell.in_sync == 1 << i and self.nodes[i].moved_away and self.nodes[i].boot != e.b:
                    self._only_copy_is_gone()      # asked for by the life that had a log
                if self.tracing:
                    with gil:
                        self._tell_register(i)
                if self.config.watch:
                    self._register_says(1 - i, 0, REGISTER_VALUE, self.nodes[1 - i].boot)
        self._register_says(i, request.id, outcome, e.b)

    cdef void _check_in_sync(self, uint16_t i, uint32_t boot, uint32_t other_boot) noexcept nogil:
        """Unless one of them has died since the request was made, or before it without the other one knowing."""
        cdef simnode_t* s = &self.nodes[i]
        cdef simnode_t* other = &self.nodes[1 - i]
        if (self.cell.in_sync == 3 and self.cell.primary == i and s.up and s.boot == boot and other.up
                and other.boot == other_boot and s.n.sender.epoch == self.cell.epoch):
            truth_in_sync(&self.truth, self.cell.epoch, s.journal, s.n.released_lsn, other.journal)

    cdef void _register_says(self, uint16_t i, uint64_t request_id, register_outcome outcome,
                             uint32_t boot) noexcept nogil:
        cdef answer_t answer
        answer.id = request_id
        answer.value = self.cell
        net_message(&self.net, <uint8_t>(LINK_REGISTER + i), 1, EVENT_REGISTER_ANSWER, i, boot, outcome,
                    <const uint8_t*>&answer, sizeof(answer))

    cdef void _register_answer(self, uint16_t i, event_t* e) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef answer_t answer
        cdef instant_t now
        if not s.up or s.boot != e.b:
            return
        if self.net.now < s.paused_until:
            queue_push(&self.net.queue, s.paused_until, e.kind, e.a, e.b, e.c, e.data, e.size)
            return
        memcpy(&answer, e.data, sizeof(answer))
        now = self._now(i)
        node_on_register(s.n, answer.id, <register_outcome>e.c, &answer.value, &now)
        self._turn(i)

    # --- faults -------------------------------------------------------------------------------------------------------

    cdef void _fault(self, fault_t* f) noexcept nogil:
        cdef uint64_t end = min(self.net.now + f.duration, self.config.faults_end)
        cdef uint16_t node = f.target & 1
        cdef uint16_t session = f.target % self.config.sessions
        cdef int k
        self._cover(f, node, session)
        if self.tracing:
            with gil:
                self._tell(f"FAULT {FAULT_NAMES[f.kind]} target {f.target} for {(end - self.net.now) / 1e6:.3f} ms, "
                           f"param {f.param}")
        if f.kind == FAULT_KILL:
            if self.nodes[node].up:
                self.nodes[node].crash_in = f.param
                self.nodes[node].restart_at = end
                if f.param == 0:
                    self._step(node)
        elif f.kind == FAULT_POWER:
            if self.nodes[node].host_up:
                self._power_off(node)
            self._restart_at(node, end)
        elif f.kind == FAULT_BIT_FLIP:
            if self.nodes[node].host_up:
                self._power_off(node)
                self._damage(node)
            self._restart_at(node, end)
        elif f.kind == FAULT_CLOSE:
            self.closed_until[session] = max(self.closed_until[session], end)
            self._schedule(session, SESSION_COMMAND_CLOSE)
            queue_push(&self.net.queue, self.closed_until[session], EVENT_DAY, session, 0, 0, NULL, 0)
        elif f.kind == FAULT_DAY_CHANGE:
            self.day_ends[session] = 1
            self._schedule(session, SESSION_COMMAND_CLOSE)
            queue_push(&self.net.queue, self.net.now + DAY_POLL_NS, EVENT_DAY, session, 0, 0, NULL, 0)
        elif f.kind == FAULT_PAUSE:
            self.nodes[node].paused_until = max(self.nodes[node].paused_until, end)
        elif f.kind == FAULT_CUT_PATH:
            for k in range(2):
                if f.target >= 2 or f.target == k:
                    self._cut(<uint8_t>(LINK_PATH_A + k), f.param, end)
            if f.target == 2:
                self._cut(LINK_TRIPWIRE, f.param, end)
        elif f.kind == FAULT_ISOLATE:
            self._cut(LINK_PATH_A, 3, end)
            self._cut(LINK_PATH_B, 3, end)
            self._cut(LINK_TRIPWIRE, 3, end)
            self._cut(<uint8_t>(LINK_REGISTER + node), 3, end)
            self._cut(<uint8_t>(LINK_BROKER + node), 3, end)
            self._cut(<uint8_t>(LINK_CLIENT + node), 3, end)
        elif f.kind == FAULT_CUT_REGISTER:
            self._cut(<uint8_t>(LINK_REGISTER + node), f.param, end)
        elif f.kind == FAULT_REGISTER_DOWN:
            self.register_down_until = max(self.register_down_until, end)
        elif f.kind == FAULT_CUT_BROKER:
            self._cut(<uint8_t>(LINK_BROKER + node), f.param, end)
        elif f.kind == FAULT_CUT_CLIENTS:
            self._cut(<uint8_t>(LINK_CLIENT + node), f.param, end)
        elif f.kind == FAULT_TRIPWIRE:
            self._break_tripwire()
        elif f.kind == FAULT_BAD_PATHS:
            for k in range(2):
                if f.target < 2 or f.target == 2 + k:
                    self._worsen(<uint8_t>(LINK_PATH_A + k), end, 200000, 100000, 50000, 5000000)
        elif f.kind == FAULT_SLOW_PATHS:
            for k in range(2):
                if f.target < 2 or f.target == 2 + k:
                    self._worsen(<uint8_t>(LINK_PATH_A + k), end, 0, 0, 0, 200000000)
        elif f.kind == FAULT_SLOW_BROKER:
            self._worsen(<uint8_t>(LINK_BROKER + node), end, 0, 0, 0, 300000000)
        elif f.kind == FAULT_SLOW_CLIENTS:
            self._worsen(<uint8_t>(LINK_CLIENT + node), end, 0, 0, 0, 300000000)
        elif f.kind == FAULT_SLOW_REGISTER:
            self._worsen(LINK_REGISTER, end, 300000, 100000, 0, 400000000)
            self._worsen(LINK_REGISTER + 1, end, 300000, 100000, 0, 400000000)
        elif f.kind == FAULT_WALL_JUMP:
            self.nodes[node].wall_offset += (<int64_t>f.param - 1000000) * 1000000000
        elif f.kind == FAULT_DRIFT:
            self._drift(node, <int64_t>f.param - 1000000)
        elif f.kind == FAULT_CLIENT_CRASH:
            self._client_crash(f.target % self.config.clients, end)
        elif f.kind == FAULT_DISK_FULL:
            self.nodes[node].full_until = max(self.nodes[node].full_until, end)
            journal_set_full(self.nodes[node].journal, 1)
            queue_push(&self.net.queue, end, EVENT_DISK_SPACE, node, 0, 0, NULL, 0)
        elif f.kind == FAULT_BROKER_DEAF:
            self.deaf_to[session] += 1
        elif f.kind == FAULT_ACT_ALONE:
            self._act_alone(node)
        elif f.kind == FAULT_DISK_STALL:
            self.nodes[node].stalled_until = max(self.nodes[node].stalled_until, end)
        elif FAULT_TAKEOVER <= f.kind <= FAULT_SOLO:
            self._command(node, f.kind)
            if f.kind == FAULT_SOLO:       # holds until the standby has left: the operator restarts it
                queue_push(&self.net.queue, end, EVENT_CYCLE, 1 - node, 0, 0, NULL, 0)
                queue_push(&self.net.queue, self.config.faults_end + self.config.heal_ns // 2, EVENT_CYCLE, 1 - node, 1,
                           0, NULL, 0)    # it left before the register answered: once more
        else:
            self._broker_fault(f, session, end)

    cdef void _broker_fault(self, const fault_t* f, uint16_t k, uint64_t end) noexcept nogil:
        cdef uint8_t kind = f.kind
        cdef broker_t* b = &self.brokers[k]
        cdef instant_t now = self._broker_now()
        cdef uint8_t garbage[64]
        cdef int i
        if kind == FAULT_BROKER_MUTE:
            self.muted_until[k] = max(self.muted_until[k], end)
        elif kind == FAULT_BROKER_REFUSE:
            self.refusing_until[k] = max(self.refusing_until[k], end)
            if b.connection >= 0:
                self._broker_gone(k)
        elif b.connection < 0:
            return
        elif kind == FAULT_BROKER_DROP:
            self._broker_gone(k)
        elif kind == FAULT_BROKER_ASKS_ALL:
            broker_ask_for_all(b, &now)
            self._broker_turn(k)
        elif kind == FAULT_BROKER_RESET:
            if self._has_read_all(k):
                broker_reset(b, f.param, &now)
                self._broker_turn(k)
        else:
            for i in range(64):
                garbage[i] = <uint8_t>random_below(&self.chance, 256)
            net_send(&self.net, b.connection, 1, garbage, 64)

    cdef bint _has_read_all(self, uint16_t k) noexcept nogil:
        """The primary has every message of the counterparty: what a reset passes over was never one."""
        cdef simnode_t* primary = &self.nodes[self.cell.primary & 1]
        cdef const session_t* session
        if not primary.up or primary.n.sender.epoch != self.cell.epoch:
            return 0
        session = &primary.n.replica.sessions[k]
        return session.state == SESSION_READY and session.next_in == self.brokers[k].session.next_out

    cdef void _damage(self, uint16_t i) noexcept nogil:
        """One bit of one record on the disk of a host that is down."""
        cdef simnode_t* s = &self.nodes[i]
        cdef uint64_t lsn
        if s.journal.last_lsn == 0:
            return
        lsn = s.journal.first_lsn + random_below(&self.chance, s.journal.last_lsn - s.journal.first_lsn + 1)
        self._count_loss(i, lsn)        # whatever becomes of the log, its own copy from here on counts no more
        s.damaged = 1
        with gil:
            self.journals[i].flip_bit(lsn, random_below(&self.chance, journal_at(s.journal, lsn).length * 8))

    # --- schedules of sessions ----------------------------------------------------------------------------------------

    cdef void _schedule(self, uint16_t k, session_command command) noexcept nogil:
        """Each node is told by its own clock; a start-over always before the window opens."""
        cdef uint64_t least = SCHEDULE_NS if command == SESSION_COMMAND_OPEN else 0
        cdef uint16_t i
        for i in range(2):
            queue_push(&self.net.queue, self.net.now + least + random_below(&self.chance, SCHEDULE_NS), EVENT_SCHEDULE,
                       i, self.nodes[i].boot, <uint32_t>k << 8 | <uint32_t>command, NULL, 0)

    cdef void _tell_schedule(self, uint16_t i, event_t* e) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        cdef uint16_t k = <uint16_t>(e.c >> 8)
        cdef instant_t now
        if not s.up or s.boot != e.b:
            return                     # it is told when it starts
        if self.net.now < s.paused_until:
            queue_push(&self.net.queue, s.paused_until, EVENT_SCHEDULE, i, e.b, e.c, NULL, 0)
            return
        if <session_command>(e.c & 255) == SESSION_COMMAND_START_OVER:
            self._start_over(i, k)
        else:
            now = self._now(i)
            node_on_session_command(s.n, k, <session_command>(e.c & 255), 0, 0, &now)
        self._turn(i)

    cdef void _start_over(self, uint16_t i, uint16_t k) noexcept nogil:
        cdef instant_t now = self._now(i)
        cdef uint64_t began = WALL_START_NS + (self.day_began[k] - START_NS) + self.nodes[i].wall_offset
        node_on_session_command(self.nodes[i].n, k, SESSION_COMMAND_START_OVER, began, 0, &now)

    cdef void _end_day(self, uint16_t k) noexcept nogil:
        """Opens the session when it is time. At a day's end both sides start over, if nothing is open between them."""
        cdef instant_t now
        if self.day_ends[k] and self.net.now < self.config.faults_end and not self._quiet(k):
            queue_push(&self.net.queue, self.net.now + DAY_POLL_NS, EVENT_DAY, k, 0, 0, NULL, 0)
            return
        if self.day_ends[k] and self._quiet(k):
            now = self._broker_now()
            session_reset(self.brokers[k].session, &now)
            self.day_began[k] = self.net.now
            self._schedule(k, SESSION_COMMAND_START_OVER)
            self.days += 1
            if self.tracing:
                with gil:
                    self._tell(f"session {k} starts over")
        self.day_ends[k] = 0
        if self.net.now >= self.closed_until[k]:
            self._schedule(k, SESSION_COMMAND_OPEN)

    cdef bint _quiet(self, uint16_t k) noexcept nogil:
        """The session is closed, both logs are the same, and nothing of it is unknown to anybody."""
        cdef simnode_t* primary = &self.nodes[self.cell.primary & 1]
        cdef journal_t* other = self.nodes[1 - (self.cell.primary & 1)].journal
        cdef uint8_t clordid[TRUE_CLORDID_BYTES]
        cdef uint32_t j
        for j in range(2):
            if not self.nodes[j].up or self.net.now < self.nodes[j].paused_until:
                return 0
        if (self.cell.in_sync != 3 or primary.n.sender.epoch != self.cell.epoch or self.truth.lossy
                or primary.n.links[k].phase != LINK_IDLE or not primary.n.links[k].closed
                or primary.n.replica.sessions[k].state != SESSION_DISCONNECTED
                or self.brokers[k].connection >= 0 or self.brokers[k].head != self.brokers[k].tail
                or primary.journal.last_lsn != other.last_lsn
                or journal_at(other, other.last_lsn).crc != journal_at(primary.journal, other.last_lsn).crc):
            return 0
        for j in range(self.config.clients):
            if self.truth.delivered[j][k] != self.truth.executed[j][k]:
                return 0
        for j in range(self.truth.order_count):
            if self.truth.orders[j].session != k or self.truth.orders[j].processed or self.truth.orders[j].told_unknown:
                continue
            truth_clordid(j, clordid)
            if orders_by_session(&primary.n.replica.orders, k, clordid, TRUE_CLORDID_BYTES) is not NULL:
                return 0
        return 1

    cdef void _restart_at(self, uint16_t node, uint64_t end) noexcept nogil:
        queue_push(&self.net.queue, end, EVENT_RESTART, node, 0, 0, NULL, 0)

    cdef void _cut(self, uint8_t link, uint32_t directions, uint64_t end) noexcept nogil:
        cdef int k
        for k in range(2):
            if directions & (1 << k):
                self.net.links[link].cut_until[k] = max(self.net.links[link].cut_until[k], end)

    cdef void _worsen(self, uint8_t link, uint64_t end, uint32_t loss, uint32_t repeat, uint32_t corrupt,
                      uint64_t jitter_ns) noexcept nogil:
        self.net.links[link].bad_until = max(self.net.links[link].bad_until, end)
        self.net.links[link].loss = loss
        self.net.links[link].repeat = repeat
        self.net.links[link].corrupt = corrupt
        self.net.links[link].bad_jitter_ns = jitter_ns

    cdef void _break_tripwire(self) noexcept nogil:
        cdef int32_t k
        cdef int side
        for k in range(MAX_CONNECTIONS):
            if not self.net.connections[k].used or self.net.connections[k].kind != CONNECTION_TRIPWIRE:
                continue
            for side in range(2):
                if self.net.connections[k].open[side]:
                    self._closed(k, &self.net.connections[k], side)
                    self.net.connections[k].open[side] = 0
            self.net.connections[k].used = 0

    cdef void _drift(self, uint16_t i, int64_t ppm) noexcept nogil:
        cdef instant_t now = self._now(i)
        self.nodes[i].mono_base = now.mono_ns
        self.nodes[i].true_base = self.net.now
        self.nodes[i].drift_ppm = ppm

    cdef void _client_crash(self, uint16_t k, uint64_t end) noexcept nogil:
        cdef simclient_t* c = &self.clients[k]
        cdef int link
        c.down = 1
        for link in range(2):
            if c.links[link].connection >= 0:
                net_close(&self.net, c.links[link].connection, 0, random_chance(&self.chance, 500000))
                simclient_on_disconnected(c, link)
        queue_push(&self.net.queue, end, EVENT_CLIENT_BACK, k, 0, 0, NULL, 0)

    cdef void _act_alone(self, uint16_t i) noexcept nogil:
        """He sees that the other node is down, and accepts that what only it had is lost."""
        cdef instant_t now
        if not self.nodes[i].up or self.nodes[1 - i].up or self.net.now < self.nodes[i].paused_until:
            return
        now = self._now(i)
        if node_on_command(self.nodes[i].n, COMMAND_ACT_ALONE, &now) == COMMAND_ACCEPTED:
            self.truth.lossy = 1
            self.truth.gone = 1
        self._turn(i)

    cdef void _command(self, uint16_t i, uint8_t kind) noexcept nogil:
        cdef instant_t now
        cdef role_command command = COMMAND_SOLO
        if kind == FAULT_TAKEOVER:
            command = COMMAND_TAKEOVER
        elif kind == FAULT_SWITCHOVER:
            command = COMMAND_SWITCHOVER
        if not self.nodes[i].up or self.net.now < self.nodes[i].paused_until:
            return
        now = self._now(i)
        node_on_command(self.nodes[i].n, command, &now)
        self._turn(i)

    cdef void _cover(self, const fault_t* f, uint16_t i, uint16_t session) noexcept nogil:
        self.coverage[f.kind][self._seen(i)] += 1
        self.session_coverage[f.kind][self._session_seen(session)] += 1

    cdef int _session_seen(self, uint16_t session) noexcept nogil:
        cdef int k
        cdef int state = SESSION_STATES - 1
        for k in range(2):
            if self.nodes[k].up and self.nodes[k].n.role.state == ROLE_PRIMARY:
                state = self.nodes[k].n.replica.sessions[session].state
        return state

    cdef int _seen(self, uint16_t i) noexcept nogil:
        cdef simnode_t* s = &self.nodes[i]
        if not s.up:
            return SEEN_DOWN
        if s.n.role.state == ROLE_STARTING:
            return SEEN_STARTING
        if s.n.role.state == ROLE_STANDBY:
            if s.n.receiver.state != RECEIVER_FOLLOWING:
                return SEEN_JOINING
            return SEEN_IN_SYNC if self.cell.in_sync & (1 << i) else SEEN_FOLLOWING
        if s.n.role.state == ROLE_CANDIDATE:
            return SEEN_CANDIDATE
        if s.n.role.state == ROLE_FENCED:
            return SEEN_FENCED
        if s.n.role.handover_since:
            return SEEN_HANDING_OVER
        return SEEN_PRIMARY_ACKED if s.n.role.release == RELEASE_ACKED else SEEN_PRIMARY_SOLO

    # --- the end ------------------------------------------------------------------------------------------------------

    cdef void _check_healed(self) noexcept nogil:
        cdef const char* lacks = self._what_lacks()
        cdef uint16_t i
        if lacks is NULL:
            self.healed = 1
            self.ended = 1
            if not self.truth.gone:
                truth_audit(&self.truth)
            for i in range(2):
                self._check_replay(i)
        elif self.net.now >= self.config.faults_end + self.config.heal_ns:
            self.ended = 1
            truth_unhealed(&self.truth, lacks)
        else:
            if self.net.now >= self.config.faults_end + self.config.heal_ns // 4:
                self._help_new_logs()
            queue_push(&self.net.queue, self.net.now + CHECK_NS, EVENT_CHECK, 0, 0, 0, NULL, 0)

    cdef void _check_replay(self, uint16_t node) noexcept nogil:
        cdef const char* differs
        if self.nodes[node].up and not self.nodes[node].n.unfit:
            differs = replay_differs(&self.nodes[node].n.replica)
            if differs is not NULL:
                truth_replayed(&self.truth, node, differs)

    cdef void _help_new_logs(self) noexcept nogil:
        """Nobody acts, because the register counts on a log that was lost: the operator accepts it."""
        cdef uint16_t i
        cdef instant_t now
        for i in range(2):
            if not self.nodes[i].up or self.nodes[i].n.role.state != ROLE_STARTING:
                return
        for i in range(2):
            if self.nodes[i].n.role.cause == CAUSE_NEW_LOG and self.nodes[i].journal.last_lsn:
                now = self._now(i)
                self.truth.lossy = 1
                self.truth.gone = 1
                node_on_command(self.nodes[i].n, COMMAND_ACT_ALONE, &now)
                self._turn(i)
                return

    cdef const char* _what_lacks(self) noexcept nogil:
        cdef simnode_t* primary = NULL
        cdef uint16_t i
        cdef uint16_t k
        for i in range(2):
            if not self.nodes[i].up:
                return "a node is down"
            if self.nodes[i].n.role.state == ROLE_PRIMARY:
                if primary is not NULL:
                    return "two primaries"
                primary = &self.nodes[i]
        if primary is NULL:
            return "no primary"
        for i in range(2):
            if &self.nodes[i] != primary and self.nodes[i].n.receiver.state != RECEIVER_FOLLOWING:
                return "the standby does not follow"
        if self.cell.in_sync != 3 or primary.n.role.release != RELEASE_ACKED:
            return "the standby is not in sync"
        for k in range(self.config.sessions):
            if primary.n.replica.sessions[k].state != SESSION_READY:
                return "a session is not ready"
            if not broker_idle(&self.brokers[k]):
                return "a counterparty's answers wait"
        for k in range(self.config.clients):
            if self.clients[k].active < 0:
                return "a client has no primary"
            if self.clients[k].pending_count:
                return "an order has no answer"
        if self.truth.gone:
            return NULL
        for k in range(self.truth.order_count):
            if self.truth.orders[k].accepted and not self.truth.orders[k].processed \
                    and not self.truth.orders[k].told_unknown:
                return "an accepted order is not at the counterparty"
        if not truth_all_delivered(&self.truth):
            return "a client lacks executions"
        return NULL

    # --- the story ----------------------------------------------------------------------------------------------------

    cdef _tell(self, str text):
        self.trace.append((self.net.now - START_NS, text))

    cdef _tell_register(self, uint16_t i):
        in_sync = " and ".join(name for k, name in enumerate("ab") if self.cell.in_sync & (1 << k))
        self._tell(f"register: node {'ab'[i]} wrote version {self.cell.version}: epoch {self.cell.epoch}, primary "
                   f"{'ab'[self.cell.primary & 1]}, in sync {in_sync}")

    cdef _tell_note(self, uint16_t i, note_t note):
        self.trace.append((self.net.now - START_NS, i, note.code, note.session, note.a, note.b, note.c,
                           bytes(note.text[:128]).split(b"\0", 1)[0]))


# Zeros of a world's large tables come from the kernel, page by page as they are used; not from a recycled heap.
mallopt(M_MMAP_THRESHOLD, 1 << 17)

FAULT_NAMES = ("kill", "power", "pause", "cut_path", "isolate", "cut_register", "register_down", "cut_broker",
               "cut_clients", "tripwire", "bad_paths", "slow_register", "wall_jump", "drift", "broker_drop",
               "broker_mute", "broker_refuse", "broker_asks_all", "broker_garbage", "client_crash", "takeover",
               "switchover", "solo", "disk_stall", "slow_paths", "broker_deaf", "act_alone", "disk_full",
               "bit_flip", "slow_broker", "slow_clients", "close", "day_change", "broker_reset")
SEEN_NAMES = ("down", "starting", "joining", "following", "in sync", "candidate", "acked", "solo", "handing over",
              "fenced")
SESSION_NAMES = ("disconnected", "logon awaited", "logon sent", "recovering", "ready", "logout sent", "stopped",
                 "no primary")
