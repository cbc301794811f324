# An operator's commands. Part of role.pyx.


cdef command_status command_takeover(role_t* r, const instant_t* now) noexcept nogil:
    if r.state == ROLE_CANDIDATE:
        return COMMAND_BUSY
    if r.state != ROLE_STANDBY:
        return COMMAND_NOT_STANDBY
    if not standby_in_sync(r):
        return COMMAND_NOT_IN_SYNC
    enter_candidate(r, CAUSE_COMMAND, now)
    return COMMAND_ACCEPTED


cdef command_status command_switchover(role_t* r, const instant_t* now) noexcept nogil:
    if r.state != ROLE_PRIMARY:
        return COMMAND_NOT_PRIMARY
    if r.handover_since or r.solo_wanted:
        return COMMAND_BUSY
    if unsettled(r) or not cell_has(r, r.config.peer) or not standby_present(r, now):
        return COMMAND_NOT_IN_SYNC
    r.handover_since = now.mono_ns
    set_intake(r, False)
    return COMMAND_ACCEPTED


cdef command_status command_solo(role_t* r) noexcept nogil:
    if r.state != ROLE_PRIMARY:
        return COMMAND_NOT_PRIMARY
    if r.handover_since:
        return COMMAND_BUSY
    if not unsettled(r) and not cell_has(r, r.config.peer):
        return COMMAND_NOT_IN_SYNC
    r.solo_wanted = True
    return COMMAND_ACCEPTED


cdef command_status command_act_alone(role_t* r, const instant_t* now) noexcept nogil:
    if r.state == ROLE_PRIMARY:
        return COMMAND_NOT_STANDBY
    if r.act_alone or (r.state == ROLE_CANDIDATE and not r.cell_behind):
        return COMMAND_BUSY
    if r.peer.alive and r.peer.role == ROLE_PRIMARY:
        return COMMAND_PEER_ALIVE
    r.act_alone = True
    r.act_alone_epoch = UINT32_MAX   # known with the first compare-and-set
    if r.cell_behind:
        r.cell_known = False         # what the register holds now counts, though it once held more
        r.read_at = 0
    if r.state == ROLE_STANDBY:
        enter_candidate(r, CAUSE_COMMAND, now)
        return COMMAND_ACCEPTED
    if r.state == ROLE_FENCED:
        enter_starting(r, CAUSE_COMMAND, now)
    r.detected_mono_ns = now.mono_ns
    set_cause(r, CAUSE_COMMAND)
    return COMMAND_ACCEPTED
