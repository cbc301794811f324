# The Python face. Part of node.pyx.


SESSION_STATE_NAMES = ("DISCONNECTED", "LOGON_AWAITED", "LOGON_SENT", "RECOVERING", "READY", "LOGOUT_SENT", "STOPPED")
SESSION_EVENT_NAMES = ("", "LOGGED_ON", "READY", "GAP", "RESEND_REQUESTED", "RESENT", "GAP_FILLED", "REJECT_SENT",
                       "REJECT_RECEIVED", "GARBLED", "LOGGED_OUT", "DISCONNECTED", "STOPPED", "RESET")
NOTE_NAMES = {
    NOTE_ROLE: "role", NOTE_SESSION: "session", NOTE_SUSPECTED: "suspected", NOTE_REGISTER_WON: "register_won",
    NOTE_PROMOTED: "promoted", NOTE_CONNECTING: "connecting", NOTE_CONNECTED: "connected",
    NOTE_DISCONNECTED: "disconnected", NOTE_FIRST_ORDER: "first_order",
    NOTE_FOLLOWING: "following", NOTE_CLIENT: "client", NOTE_JOURNAL_FULL: "journal_full", NOTE_PEER: "peer",
    NOTE_TRIPWIRE: "tripwire", NOTE_SKIPPED_AHEAD: "skipped_ahead", NOTE_REGISTER: "register",
    NOTE_REPLICATION_STALLED: "replication_stalled", NOTE_REGISTER_REQUEST: "register_request",
    NOTE_COMMAND_DONE: "command_done", NOTE_TRUNCATION: "truncation", NOTE_STOPPED: "stopped",
    NOTE_IN_DOUBT: "in_doubt", NOTE_RECONCILED: "reconciled", NOTE_FLUSH_WANTED: "flush_wanted",
    NOTE_FILL_LOGON: "fill_logon", NOTE_NOT_PASSED_ON: "not_passed_on",
    NOTE_TURNED_AWAY: "turned_away", NOTE_TAIL_SETTLED: "tail_settled",
    NOTE_UNFIT: "unfit", NOTE_SWITCHOVER_GIVEN_UP: "switchover_given_up",
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
                  bint lost_tail=False, bint new_log=False, uint32_t datagram_bytes=1400,
                  uint32_t catch_up_window_bytes=262144, uint64_t retransmit_after_ns=2_000_000,
                  uint64_t nak_after_ns=1_000_000, uint64_t join_retry_ns=20_000_000, uint32_t reorder_slots=4096,
                  uint64_t window_records=8192, uint64_t order_capacity=1 << 20,
                  uint64_t login_timeout_ns=5_000_000_000, bint touch_buffers=True, bint flush_before_release=False):
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
        config.role.new_log = new_log
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
        config.touch_buffers = touch_buffers
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
                    bint orig_sending_time_optional=False, bint acceptor=False, bint fills_logon=False,
                    bint round_robin=False, double jitter=0,
                    uint32_t heartbeat_min_s=0, uint32_t heartbeat_max_s=0, Dictionary dictionary=None,
                    Dictionary session_dictionary=None, dict appl_dictionaries=None, uint32_t checks=0) -> int:
        """Adds a session; its index. `fills_logon`: each Logon waits for fields of the control thread. ValueError names
        what is too long. Call it in the configuration's order."""
        cdef session_config_t config
        memset(&config, 0, sizeof(config))
        config.index = self.handle.replica.session_count
        config.role = SESSION_ACCEPTOR if acceptor else SESSION_INITIATOR
        config.heartbeat_min_s = heartbeat_min_s
        config.heartbeat_max_s = heartbeat_max_s
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
        self.dictionaries += [dictionary, session_dictionary, *(appl_dictionaries or {}).values()]
        for appl_ver_id, other in (appl_dictionaries or {}).items():
            config.appl_dictionaries[int(appl_ver_id)] = &(<Dictionary?>other).tables
        cdef bytes encoded = name.encode("ascii")
        if not 0 < len(encoded) < CREDENTIAL_BYTES:
            raise ValueError(f"session name {name!r}: 1 to {CREDENTIAL_BYTES - 1} characters")
        if node_add_session(self.handle, &config, encoded, sync, hold_when_not_ready, skip_ahead, endpoints,
                            min_backoff_ns, max_backoff_ns) != 0:
            raise ValueError(f"session {name!r} does not fit: at most {MAX_SESSIONS} sessions")
        self.handle.intake.sessions[config.index].hold_max_age_ns = hold_max_age_ns
        self.handle.links[config.index].round_robin = round_robin
        self.handle.links[config.index].jitter_permille = <uint32_t>(jitter * 1000)
        if fills_logon:
            self.handle.links[config.index].fills_logon = 1
            self.handle.replica.sessions[config.index].hooks.fill_logon = fields_from_control
        return config.index

    def add_client(self, str name, bytes token=b"", *, object sessions=-1, bint unrouted=False,
                   int64_t max_order_qty_e8=0, int64_t max_notional_e8=0, int64_t max_open_qty_e8=0,
                   double orders_per_second=0, uint32_t burst=1) -> int:
        """Adds a client; its id. `sessions`: bit mask of the sessions it may use."""
        cdef int i
        cdef node_t* n = self.handle
        cdef client_name_t* entry
        if n.name_count == MAX_CLIENT_NAMES - 1:
            raise ValueError(f"at most {MAX_CLIENT_NAMES - 1} clients")
        entry = &n.names[n.name_count]
        memset(entry, 0, sizeof(client_name_t))
        copy_text(entry.name, CREDENTIAL_BYTES, name.encode("ascii"), "client name")
        copy_text(entry.token, CREDENTIAL_BYTES, token, "client token")
        for i in range(MAX_SESSIONS):
            entry.sessions[i] = sessions >> i & 1
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

    def bridge(self, uint32_t session, uint32_t client, uint32_t route) -> None:
        """The acceptor session `session` (index) is how `client` (id) comes; its orders go to the session `route`
        (index). MemoryError, ValueError. Call it after both were added."""
        cdef node_t* n = self.handle
        if (session >= n.replica.session_count or route >= n.replica.session_count or not n.links[session].accepting
                or n.links[route].accepting or not 0 < client <= n.name_count):
            raise ValueError(f"session {session}, client {client}, route {route}: an acceptor, a client, an initiator")
        if node_bridge(n, <uint16_t>session, client, <uint16_t>route) != 0:
            raise MemoryError("bridge")

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

    def stages(self):
        """Stage histograms since the start; see `gateway.native.stages`."""
        return stages_histograms(&self.handle.stages)

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
            "kill_switch": {"all": bool(n.replica.risk.killed_all),
                            "clients": [n.names[i].name.decode("ascii") for i in range(n.name_count)
                                        if n.replica.risk.clients[i + 1].killed]},
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
            # by an operator of the present primary
            "logged_out": bool(self.handle.sender.epoch and not self.handle.links[i].enabled
                               and not self.handle.stopping),
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

    @property
    def incarnation(self) -> int:
        """Of this process; larger than every earlier one."""
        return self.handle.config.incarnation

    def truncate(self, uint64_t lsn) -> None:
        """Sets what the log has after `lsn` aside in a `diverged` file and cuts it. Called by the reactor."""
        if self.feeder is None:
            self.journal.truncate(lsn)
            return
        self.feeder.pause()
        try:
            self.journal.truncate(lsn)
        finally:
            self.feeder.go_on()


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
