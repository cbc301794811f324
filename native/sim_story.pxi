# What is told of a run: which fault met which state, and what happened. Part of sim.pyx.


FAULT_NAMES = ("kill", "power", "pause", "cut_path", "isolate", "cut_register", "register_down", "cut_broker",
               "cut_clients", "tripwire", "bad_paths", "slow_register", "wall_jump", "drift", "broker_drop",
               "broker_mute", "broker_refuse", "broker_asks_all", "broker_garbage", "client_crash", "takeover",
               "switchover", "solo", "disk_stall", "slow_paths", "broker_deaf", "act_alone", "disk_full",
               "bit_flip", "slow_broker", "slow_clients", "close", "day_change", "broker_reset")
SEEN_NAMES = ("down", "starting", "joining", "following", "in sync", "candidate", "acked", "solo", "handing over",
              "fenced")
SESSION_NAMES = ("disconnected", "logon awaited", "logon sent", "recovering", "ready", "logout sent", "stopped",
                 "no primary")


cdef void cover(World w, const fault_t* f, uint16_t i, uint16_t session) noexcept nogil:
    w.coverage[f.kind][state_seen(w, i)] += 1
    w.session_coverage[f.kind][session_seen(w, session)] += 1


cdef int session_seen(World w, uint16_t session) noexcept nogil:
    cdef int k
    cdef int state = SESSION_STATES - 1
    for k in range(2):
        if w.nodes[k].up and w.nodes[k].n.role.state == ROLE_PRIMARY:
            state = w.nodes[k].n.replica.sessions[session].state
    return state


cdef int state_seen(World w, uint16_t i) noexcept nogil:
    cdef simnode_t* s = &w.nodes[i]
    if not s.up:
        return SEEN_DOWN
    if s.n.role.state == ROLE_STARTING:
        return SEEN_STARTING
    if s.n.role.state == ROLE_STANDBY:
        if s.n.receiver.state != RECEIVER_FOLLOWING:
            return SEEN_JOINING
        return SEEN_IN_SYNC if w.cell.in_sync & (1 << i) else SEEN_FOLLOWING
    if s.n.role.state == ROLE_CANDIDATE:
        return SEEN_CANDIDATE
    if s.n.role.state == ROLE_FENCED:
        return SEEN_FENCED
    if s.n.role.handover_since:
        return SEEN_HANDING_OVER
    return SEEN_PRIMARY_ACKED if s.n.role.release == RELEASE_ACKED else SEEN_PRIMARY_SOLO


cdef tell(World w, str text):
    w.trace.append((w.net.now - START_NS, text))


cdef tell_register(World w, uint16_t i):
    in_sync = " and ".join(name for k, name in enumerate("ab") if w.cell.in_sync & (1 << k))
    tell(w, f"register: node {'ab'[i]} wrote version {w.cell.version}: epoch {w.cell.epoch}, primary "
         f"{'ab'[w.cell.primary & 1]}, in sync {in_sync}")


cdef tell_note(World w, uint16_t i, note_t note):
    w.trace.append((w.net.now - START_NS, i, note.code, note.session, note.a, note.b, note.c,
                    bytes(note.text[:128]).split(b"\0", 1)[0]))
