# PRIMARY: leading with a standby, alone, and handing over. Part of role.pyx.


cdef void evaluate_primary(role_t* r, const instant_t* now) noexcept nogil:
    if r.cell.epoch != r.epoch or r.cell.primary != r.config.node:
        if r.handover_epoch == r.cell.epoch and r.cell.primary == r.config.peer and cell_has(r, r.config.node):
            enter_standby(r, r.cell.epoch, CAUSE_SWITCHOVER, now)
        else:
            enter_fenced(r, CAUSE_LOST_REGISTER)
        return
    if r.handover_since:
        hand_over(r, now)
    elif cell_has(r, r.config.peer) or unsettled(r):
        lead_in_sync(r, now)
    else:
        lead_solo(r, now)


cdef void lead_in_sync(role_t* r, const instant_t* now) noexcept nogil:
    """The register may say that the standby is in sync: acks are required until a compare-and-set says otherwise."""
    cdef bint present = standby_present(r, now)
    cdef bint stalled = standby_stalled(r, now)
    set_release(r, RELEASE_ACKED)
    if r.join_since and not unsettled(r):
        r.join_since = 0
        if r.lost_since == 0:
            set_cause(r, CAUSE_CAUGHT_UP)
    if present and not stalled and not r.solo_wanted and not came_back_without(r, JOIN_LAG_RECORDS):
        r.lost_since = 0
        if unsettled(r) and not came_back_without(r, 0) and not r.peer.log_in_doubt:
            write_in_sync(r, bit(r.config.node) | bit(r.config.peer), now)
        return
    if r.lost_since == 0:
        r.lost_since = now.mono_ns
        r.read_at = 0
        if present:
            set_cause(r, CAUSE_COMMAND if r.solo_wanted else CAUSE_NO_ACKS)
        else:
            set_cause(r, CAUSE_SILENCE if r.loss_cause == CAUSE_NONE else r.loss_cause)
    if (r.peer.alive and r.peer.role == ROLE_CANDIDATE and r.peer.epoch == r.epoch
            and not since_at_least(r.lost_since, r.config.suspect_after_ns, now)):
        # It takes over while we live, by command or because it did not hear us: who is first must not be a matter of
        # luck. Should it fail, we have lost as much time as it takes to suspect it.
        want_read(r, now)
    elif not since_at_least(r.lost_since, r.config.fence_timeout_ns, now):
        write_in_sync(r, bit(r.config.node), now)
    elif present:
        r.solo_wanted = False   # could not be met, whether it was the operator's wish or the stall's: stay in sync
        r.lost_since = 0
        r.acked_at = now.mono_ns
    else:
        enter_fenced(r, CAUSE_NO_REGISTER)


cdef void lead_solo(role_t* r, const instant_t* now) noexcept nogil:
    """Alone for certain. A standby that has caught up: require acks first, then declare it in sync."""
    r.lost_since = 0
    if not r.joined or not standby_present(r, now) or standby_stalled(r, now) or r.solo_wanted:
        r.solo_wanted = r.solo_wanted and r.joined
        r.join_since = 0
        set_release(r, RELEASE_ALL)
        return
    if r.join_since == 0:
        if r.acked_lsn + JOIN_LAG_RECORDS < r.own_last_lsn or now.mono_ns < r.retry_at:
            return
        r.join_since = now.mono_ns
        r.join_target = r.own_last_lsn
        set_release(r, RELEASE_ACKED)
    # A node that is in sync by the register, and does not know that it may act for the pair, would leave it without.
    if r.acked_lsn >= r.join_target and not r.peer.log_in_doubt:
        write_in_sync(r, bit(r.config.node) | bit(r.config.peer), now)
    elif since_at_least(r.join_since, r.config.suspect_after_ns, now):
        r.join_since = 0        # too slow to be waited for: orders go on, try again later
        r.retry_at = now.mono_ns + r.config.register_retry_ns
        set_release(r, RELEASE_ALL)


cdef void hand_over(role_t* r, const instant_t* now) noexcept nogil:
    cdef register_value_t desired
    if (not standby_present(r, now) or not cell_has(r, r.config.peer)
            or since_at_least(r.handover_since, r.config.fence_timeout_ns, now)):
        # Goes on as primary. If the compare-and-set is unsettled, lead_in_sync settles it with one of its own.
        r.handover_since = 0
        r.handovers_given_up += 1
        set_intake(r, True)
        evaluate_primary(r, now)
        return
    set_release(r, RELEASE_ACKED)
    if r.acked_lsn < r.own_last_lsn or not may_write(r, now):
        return
    desired.version = 0
    desired.epoch = r.epoch + 1
    desired.primary = r.config.peer
    desired.in_sync = bit(r.config.node) | bit(r.config.peer)
    r.handover_epoch = desired.epoch
    request_write(r, &desired, now)


cdef bint standby_present(const role_t* r, const instant_t* now) noexcept nogil:
    if not r.peer.alive:
        return False
    if now.mono_ns < r.join_grace_until:
        return True   # just handed over to us: the old primary turns standby and joins
    return r.joined and r.peer.role == ROLE_STANDBY and r.peer.epoch == r.epoch


cdef bint came_back_without(const role_t* r, uint64_t records) noexcept nogil:
    """A standby in sync has left, and come back with a log that lacks more than so many records of what it had."""
    return r.joined and r.acked_lsn + records < r.rejoin_target


cdef bint standby_stalled(const role_t* r, const instant_t* now) noexcept nogil:
    """It lives, yet acknowledges nothing: its disk is full, say. Orders do not wait for it for ever."""
    return (r.joined and r.acked_lsn < r.own_last_lsn
            and since_at_least(r.acked_at, r.config.fence_timeout_ns, now))
