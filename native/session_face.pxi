# The Python face: one session with a Journal, for the broker simulator and the tests. Part of session.pyx.

STATE_NAMES = ("DISCONNECTED", "LOGON_AWAITED", "LOGON_SENT", "RECOVERING", "READY", "LOGOUT_SENT", "STOPPED")
EVENT_NAMES = ("MESSAGE", "LOGGED_ON", "READY", "GAP", "RESEND_REQUESTED", "RESENT", "GAP_FILLED", "REJECT_SENT",
               "REJECT_RECEIVED", "GARBLED", "LOGGED_OUT", "DISCONNECTED", "STOPPED", "RESET")


class SessionNotReady(ProtocolError):
    """A message cannot be numbered now: the session is not logged on and synchronised, or its queue or journal is
    full."""


class Event(NamedTuple):
    """What happened in a session: kind is "MESSAGE" for an application message, else a session_event."""

    kind: str
    a: int = 0          # MESSAGE: MsgSeqNum
    b: int = 0          # MESSAGE: 1 with PossDupFlag=Y
    data: bytes = b""   # MESSAGE: its bytes; LOGGED_OUT, REJECT_RECEIVED, STOPPED: Text (58)


cdef void face_on_message(void* context, session_t* s, const message_t* m,
                          const record_header_t* record) noexcept nogil:
    with gil:
        (<Session>context).events.append(Event("MESSAGE", record.seq, 1 if record.flags & FLAG_POSS_DUP else 0,
                                               m.data[:m.length]))


cdef void face_on_event(void* context, session_t* s, session_event event, uint64_t a, uint64_t b) noexcept nogil:
    with gil:
        text = b""
        if event == EVENT_LOGGED_OUT or event == EVENT_REJECT_RECEIVED or event == EVENT_STOPPED:
            text = bytes(s.text[:256]).split(b"\0", 1)[0]
        (<Session>context).events.append(Event(EVENT_NAMES[event], a, b, text))


cdef int face_fill_logon(void* context, session_t* s, uint64_t seq, const uint8_t* sending_time,
                         uint32_t sending_time_length, uint8_t* place, uint32_t capacity) noexcept nogil:
    with gil:
        session = <Session>context
        try:
            fields = bytes(session.logon_hook(seq, sending_time[:sending_time_length]))
        except Exception as error:
            session.logon_error = error
            return -1
        if len(fields) > capacity or (fields and not fields.endswith(b"\x01")):
            session.logon_error = ValueError(f"fields of a Logon: at most {capacity} bytes, each field with its SOH")
            return -1
        memcpy(place, <const char*>fields, len(fields))
        return <int>len(fields)


cdef class Session:
    """One session over a Journal. Times are given in ns: `mono_ns` for timers, `wall_ns` for SendingTime.

    `logon_hook(MsgSeqNum, SendingTime as bytes)` gives further fields of each Logon, b"553=..\\x01", such as a
    signature; what it raises is kept in `logon_error`, and the connection is closed.

    Raises ValueError for identifiers that are too long, MemoryError.
    """

    def __cinit__(self, Journal journal not None, *, str role, str begin_string, str sender_comp_id,
                  str target_comp_id, uint16_t index=0, bytes extra_ids=b"", bytes logon_fields=b"",
                  uint8_t timestamp_digits=3, uint32_t heartbeat_s=30, uint64_t logon_timeout_ns=10_000_000_000,
                  uint64_t logout_timeout_ns=2_000_000_000, uint64_t test_request_after_ns=0,
                  uint64_t disconnect_after_ns=0, uint64_t sending_time_tolerance_ns=0, uint64_t resend_max_age_ns=0,
                  uint32_t resend_chunk=0, uint32_t max_message_bytes=MAX_MESSAGE_BYTES, bint reset_on_logon=False,
                  bint reset_on_logout=False, bint reset_on_disconnect=False, logon_barrier=None,
                  bint send_next_expected=False, bint cancels_before_ready=False, str default_appl_ver_id="",
                  uint32_t heartbeat_min_s=0, uint32_t heartbeat_max_s=0, bint test_session=False,
                  bint send_last_processed=False, bint orig_sending_time_optional=False, uint32_t epoch=1,
                  Dictionary dictionary=None, Dictionary session_dictionary=None, dict appl_dictionaries=None,
                  uint32_t checks=CHECK_ALL, logon_hook=None):
        cdef session_config_t config
        if role not in ("initiator", "acceptor"):
            raise ValueError(f"role: initiator or acceptor, found {role!r}")
        memset(&config, 0, sizeof(config))
        config.index = index
        config.role = SESSION_INITIATOR if role == "initiator" else SESSION_ACCEPTOR
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
        config.logon_barrier = role == "initiator" if logon_barrier is None else logon_barrier
        config.send_next_expected = send_next_expected
        config.cancels_before_ready = cancels_before_ready
        copy_text(config.default_appl_ver_id, 8, default_appl_ver_id.encode("ascii"), "default_appl_ver_id")
        config.heartbeat_min_s = heartbeat_min_s
        config.heartbeat_max_s = heartbeat_max_s
        config.test_session = test_session
        config.send_last_processed = send_last_processed
        config.orig_sending_time_optional = orig_sending_time_optional
        self.dictionaries = [dictionary, session_dictionary, *(appl_dictionaries or {}).values()]
        if dictionary is not None:
            config.dictionary = &dictionary.tables
            config.checks = checks
        if session_dictionary is not None:
            config.session_dictionary = &session_dictionary.tables
        for appl_ver_id, other in (appl_dictionaries or {}).items():
            config.appl_dictionaries[int(appl_ver_id)] = &(<Dictionary?>other).tables
        if fix_version(config.begin_string) is NULL:
            raise ValueError(f"begin_string: FIX.4.0 to FIX.4.4 or FIXT.1.1, found {begin_string!r}")
        self.journal = journal
        self.events = []
        if session_init(&self.state, &config, journal.handle) != 0:
            raise MemoryError("session")
        self.state.epoch = epoch
        self.state.hooks.context = <void*>self
        self.state.hooks.on_message = face_on_message
        self.state.hooks.on_event = face_on_event
        self.logon_hook = logon_hook
        if logon_hook is not None:
            self.state.hooks.fill_logon = face_fill_logon
        for record in journal.records():
            self._apply(record.raw)

    def __dealloc__(self):
        session_free(&self.state)

    def _apply(self, bytes raw not None):
        session_apply(&self.state, <const record_header_t*><const char*>raw)

    def connected(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """The transport is up. An initiator logs on."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        session_on_connected(&self.state, &now)

    def disconnected(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """The transport is gone."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        session_on_disconnected(&self.state, &now)

    def receive(self, data, uint64_t mono_ns, uint64_t wall_ns) -> int:
        """Handles every whole message in `data` (bytes-like); bytes used up."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        cdef bytes raw = bytes(data)
        return session_on_bytes(&self.state, raw, len(raw), &now)

    def timer(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Time has passed."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        session_on_timer(&self.state, &now)

    def send(self, str msg_type, bytes body not None, uint64_t mono_ns, uint64_t wall_ns, bytes clordid=None,
             uint32_t client=0) -> int:
        """Numbers, logs and queues an application message; its MsgSeqNum. Raises SessionNotReady, ValueError (too
        large)."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        cdef const record_header_t* record = NULL
        cdef bytes kind = msg_type.encode("ascii")
        cdef uint32_t offset = 0
        cdef uint32_t length = 0
        if clordid is not None:
            field = b"\x0111=" + clordid + b"\x01"
            offset = <uint32_t>((b"\x01" + body).index(field) + 3)
            length = <uint32_t>len(clordid)
        status = session_send_application(&self.state, kind, <uint32_t>len(kind), body, <uint32_t>len(body),
                                          offset, length, client, FLAG_ORDER if length else 0, &now, &record)
        if status == SEND_TOO_LARGE:
            raise ValueError(f"a message of {len(body)} body bytes: at most "
                             f"{self.state.config.max_message_bytes} with header")
        if status != SEND_OK:
            raise SessionNotReady(f"session {self.state.config.sender_comp_id.decode()} to "
                                  f"{self.state.config.target_comp_id.decode()} is {STATE_NAMES[self.state.state]}"
                                  if status == SEND_NOT_READY else "journal or transmit queue is full")
        return record.seq

    def output(self, released_lsn=None, uint64_t mono_ns=0, uint64_t wall_ns=0) -> bytes:
        """Everything that may be written now, taken as written. `released_lsn` None: everything is released."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        cdef uint64_t limit = NEVER if released_lsn is None else released_lsn
        cdef const uint8_t* data = NULL
        cdef size_t size
        cdef list parts = []
        if mono_ns == 0:
            now = inside(&self.state).now      # as of the last input
        while True:
            size = session_tx_peek(&self.state, limit, &data)
            if size == 0:
                return b"".join(parts)
            parts.append(data[:size])
            session_tx_consume(&self.state, size, &now)

    def logout(self, str text, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Starts the logout handshake."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        session_logout(&self.state, text.encode("ascii"), &now)

    def reset(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Both MsgSeqNums start at 1 again. Raises ProtocolError while connected."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        if session_reset(&self.state, &now) != 0:
            raise ProtocolError("a session is reset only while it is disconnected: log out first")

    def reset_online(self, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Both MsgSeqNums start at 1 again, by a Logon with ResetSeqNumFlag=Y. Raises ProtocolError unless READY."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        if session_reset_online(&self.state, &now) != 0:
            raise ProtocolError("a session is reset in mid-session only while it is READY, from FIX.4.1 on")

    def set_seq(self, uint64_t next_out, uint64_t next_in, uint64_t mono_ns, uint64_t wall_ns) -> None:
        """Sets the numbers by hand. Raises ProtocolError while connected or for a number below 1."""
        cdef instant_t now = instant_t(mono_ns, wall_ns)
        if session_set_seq(&self.state, next_out, next_in, &now) != 0:
            raise ProtocolError("MsgSeqNums are set only while the session is disconnected, and are at least 1")

    def resume(self) -> None:
        """An operator lets a STOPPED session connect again."""
        session_resume(&self.state)

    def take_events(self) -> list:
        """Events since the last call, oldest first."""
        taken = self.events
        self.events = []
        return taken

    @property
    def deadline(self):
        """mono_ns of the next timer, None: none."""
        due = session_deadline(&self.state)
        return None if due == NEVER else due

    @property
    def closing(self) -> bool:
        """Whether the transport is to be closed once the output is written."""
        return session_closing(&self.state)

    @property
    def status(self) -> str:
        """Name of the session_state."""
        return STATE_NAMES[self.state.state]

    @property
    def next_out(self) -> int:
        """MsgSeqNum of our next message."""
        return self.state.next_out

    @property
    def next_in(self) -> int:
        """MsgSeqNum that we expect."""
        return self.state.next_in

    @property
    def generation(self) -> int:
        """Number of resets."""
        return self.state.generation

    @property
    def used_since_ns(self) -> int:
        """Wall clock (ns) of the first use of the numbers since the last reset; 0: both are still 1."""
        return self.state.used_since_ns


cdef int copy_text(uint8_t* place, size_t capacity, bytes text, str what) except -1:
    if len(text) >= capacity or b"\0" in text:
        raise ValueError(f"{what}: at most {capacity - 1} bytes without NUL, found {len(text)}")
    memcpy(place, <const char*>text, len(text))
    place[len(text)] = 0
    return 0
