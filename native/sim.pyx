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
            boot_node(self, i)
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
            elif wanted == (session_seen(self, f.target % self.config.sessions) if f.trigger >= TRIGGER_SESSION else
                            state_seen(self, f.target & 1)):
                f.armed = 0
                self.armed -= 1
                make_fault(self, f)

    cdef void _world_event(self, event_t* e) noexcept nogil:
        cdef uint16_t a = e.a
        if e.kind == EVENT_NODE_TIMER:
            node_timer(self, a, e)
        elif e.kind == EVENT_BROKER_TIMER:
            broker_timer(self, a)
        elif e.kind == EVENT_CLIENT_TURN:
            client_turn(self, a)
        elif e.kind == EVENT_ORDER:
            next_order(self, a)
        elif e.kind == EVENT_REGISTER:
            on_register_request(self, a, e)
        elif e.kind == EVENT_REGISTER_ANSWER:
            on_register_answer(self, a, e)
        elif e.kind == EVENT_FAULT:
            if self.faults[e.b].trigger:
                self.faults[e.b].armed = 1
                self.armed += 1
            else:
                make_fault(self, &self.faults[e.b])
        elif e.kind == EVENT_FLUSH:
            flush_disk(self, a, e.b)
        elif e.kind == EVENT_RESTART:
            if not self.nodes[a].up:
                self.nodes[a].host_up = 1
                boot_node(self, a)
        elif e.kind == EVENT_CHECK:
            check_healed(self)
        elif e.kind == EVENT_DISK_SPACE:
            if self.net.now >= self.nodes[a].full_until:
                journal_set_full(self.nodes[a].journal, 0)
        elif e.kind == EVENT_SCHEDULE:
            tell_schedule(self, a, e)
        elif e.kind == EVENT_DAY:
            end_day(self, a)
        elif e.kind == EVENT_CYCLE:
            self.nodes[a].restart_at = 0
            if self.nodes[a].up and (e.b == 0 or self.nodes[1 - a].n.role.solo_wanted):
                kill_node(self, a)
        elif e.kind == EVENT_CLIENT_BACK:
            self.clients[a].down = 0
        free(e.data)

    cdef void _net_event(self, event_t* e) noexcept nogil:
        cdef connection_t* c
        if e.kind == EVENT_DATAGRAM:
            if not self._held_by_pause(e.a, e):
                on_datagram(self, e)
            return
        if net_holds(&self.net, e):
            return
        c = &self.net.connections[e.b]
        if self._connection_waits(c, e) or not net_take(&self.net, e):
            return
        if e.kind == EVENT_CONNECT:
            accept(self, e.b, c)
        elif e.kind == EVENT_CONNECTED:
            c.connected = 1
            on_connected(self, e.b, c)
        elif e.kind == EVENT_REFUSED:
            on_refused(self, e.b, c)
        elif e.kind == EVENT_DATA:
            if c.open[e.a]:
                on_data(self, e.b, c, e.a, e.data, e.size)
            elif c.dead[e.a] and self.nodes[c.node].host_up and c.open[1 - e.a]:
                c.dead[e.a] = 0
                c.open[e.a] = 1                    # the host is back and knows nothing of it: resets it
                net_close(&self.net, e.b, e.a, 1)
        elif c.open[e.a]:
            c.open[1 - e.a] = 0
            on_closed(self, e.b, c, e.a)
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


# Zeros of a world's large tables come from the kernel, page by page as they are used; not from a recycled heap.
mallopt(M_MMAP_THRESHOLD, 1 << 17)


# --- by topic --------------------------------------------------------------------------------------------------------

include "sim_nodes.pxi"
include "sim_turn.pxi"
include "sim_connections.pxi"
include "sim_tripwire.pxi"
include "sim_parties.pxi"
include "sim_register.pxi"
include "sim_faults.pxi"
include "sim_schedules.pxi"
include "sim_healing.pxi"
include "sim_story.pxi"
