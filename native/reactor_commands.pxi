# What the control thread asks for, and is told. Part of reactor.pyx.


cdef void read_commands(Reactor self) noexcept nogil:
    cdef uint64_t count
    cdef const uint8_t* message = NULL
    cdef uint32_t size
    read(self.command_fd, &count, sizeof(count))
    size = ring_peek(self.commands, &message)
    while size:
        obey(self, message, size)
        ring_release(self.commands)
        size = ring_peek(self.commands, &message)


cdef void obey(Reactor self, const uint8_t* message, uint32_t size) noexcept nogil:
    cdef command_t c
    cdef const uint8_t* data = message + sizeof(command_t)
    cdef register_value_t value
    cdef int status = 0
    memcpy(&c, message, sizeof(c))
    if c.kind == REACTOR_REGISTER:
        value.version = c.value_a
        value.epoch = <uint32_t>(c.value_b >> 32)
        value.primary = <uint8_t>(c.value_b >> 8)
        value.in_sync = <uint8_t>c.value_b
        node_on_register(self.node, c.id, <register_outcome>c.a, &value, &self.now)
        return
    if c.kind == REACTOR_ADOPT:
        adopt(self, &c, data, size - <uint32_t>sizeof(command_t))
        return
    if c.kind == REACTOR_ADOPT_CLIENT:
        adopt_client(self, <int>c.b, <uint8_t*><uintptr_t>c.value_a)
        return
    if c.kind == REACTOR_FILL_LOGON:
        node_fill_logon(self.node, <uint16_t>c.session, c.a, NULL if c.b else data,
                        size - <uint32_t>sizeof(command_t), &self.now)
        return
    if c.kind == REACTOR_STOP:
        self.stopping = 1
        self.stop_mono_ns = self.now.mono_ns + STOP_TIMEOUT_NS
        node_stop(self.node, &self.now)
    elif c.kind == REACTOR_ROLE:
        status = node_on_command(self.node, <role_command>c.a, &self.now)
    elif c.kind == REACTOR_SESSION:
        status = node_on_session_command(self.node, <uint16_t>c.session, <session_command>c.a, c.value_a, c.value_b,
                                         &self.now)
    elif c.kind == REACTOR_KILL:
        status = node_set_kill(self.node, c.a, c.b != 0, &self.now)
    note_from_reactor(self.node, NOTE_COMMAND_DONE, <uint32_t>status, c.id, NULL, 0)


cdef void notify(Reactor self) noexcept nogil:
    cdef uint64_t one = 1
    if self.node.notes.written != self.notes_seen:
        self.notes_seen = self.node.notes.written
        write(self.notify_fd, &one, sizeof(one))


cdef void truncate(Reactor self) noexcept nogil:
    """Rare and never on a primary: sets the tail that the new epoch does not have aside, with the GIL. Where the disk
    refuses that, again and again, and says so once."""
    cdef bint due = self.node.truncation_due         # else one is ended that had failed when it was half done
    cdef uint64_t lsn = self.node.receiver.truncate_lsn if due else self.node.journal.last_lsn
    if self.now.mono_ns < self.truncate_again_mono_ns:
        return
    if self.truncate_again_mono_ns == 0:
        note_from_reactor(self.node, NOTE_TRUNCATION, 0, lsn, NULL, 0)
    if not try_to_truncate(self, lsn):
        return
    self.more = 1
    read_clock(self)
    if due:
        node_truncated(self.node, &self.now)


cdef bint try_to_truncate(Reactor self, uint64_t lsn) noexcept nogil:
    cdef bint first = self.truncate_again_mono_ns == 0
    cdef const char* text
    with gil:
        try:
            self.owner.truncate(lsn)
            return 1
        except Exception as error:
            words = str(error).encode(errors="replace")[:NOTE_TEXT_BYTES - 1]
            text = words
            read_clock(self)
            self.truncate_again_mono_ns = self.now.mono_ns + TRUNCATE_AGAIN_NS
            if first:
                note_from_reactor(self.node, NOTE_TRUNCATION, 1, lsn, text, len(words) + 1)
    return 0


cdef void note_from_reactor(node_t* n, uint16_t code, uint32_t a, uint64_t b, const void* payload,
                            size_t size) noexcept nogil:
    cdef note_t entry
    memset(&entry, 0, sizeof(entry))
    entry.code = code
    entry.a = a
    entry.b = b
    entry.mono_ns = n.now.mono_ns
    entry.wall_ns = n.now.wall_ns
    if size:
        memcpy(entry.text, payload, size)
    if not ring_write(n.notes, &entry, sizeof(entry)):
        n.notes_lost += 1
