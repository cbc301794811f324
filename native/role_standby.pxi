# STANDBY and CANDIDATE: following a primary, and taking over from it. Part of role.pyx.


cdef void evaluate_standby(role_t* r, const instant_t* now) noexcept nogil:
    cdef bint in_sync = standby_in_sync(r)
    cdef bint lost = r.primary_lost or since_at_least(r.primary_heard, r.config.suspect_after_ns, now)
    if claim_won(r) or granted_by_peer(r):
        r.detected_mono_ns = now.mono_ns
        enter_primary(r, r.claim_skips if claim_won(r) else r.tail_suspect,
                      r.cause if claim_won(r) else CAUSE_SWITCHOVER, now)
    elif stale_claim(r):
        enter_candidate(r, CAUSE_RESTART, now)
    elif lost and in_sync:
        enter_candidate(r, r.loss_cause if r.primary_lost else CAUSE_SILENCE, now)
    elif lost or not in_sync or unsettled(r) or (r.peer.alive and r.peer.epoch > r.epoch):
        if lost and not r.loss_read:
            # We may have been declared in sync since we last looked: a takeover does not wait for the routine read.
            r.read_at = 0
            r.loss_read = True
        want_read(r, now)
    if not lost:
        r.loss_read = False


cdef bint standby_in_sync(const role_t* r) noexcept nogil:
    return (r.cell_known and cell_has(r, r.config.node) and r.cell.epoch >= r.epoch and r.cell.primary == r.config.peer
            and not r.unproven)


cdef void evaluate_candidate(role_t* r, const instant_t* now) noexcept nogil:
    if claim_won(r):
        enter_primary(r, r.claim_skips, r.cause, now)
        return
    if granted_by_peer(r):
        enter_primary(r, r.tail_suspect, CAUSE_SWITCHOVER, now)
        return
    if cas_open(r):
        return
    if r.act_alone:
        if r.cell.epoch > r.act_alone_epoch and r.cell.primary == r.config.peer:
            enter_standby(r, r.cell.epoch, CAUSE_LOST_REGISTER, now)
        else:
            claim(r, now)
    elif unsettled(r):
        # No answer. If the primary is there after all, follow it again. Acknowledging is safe although our claim may
        # yet take effect: whatever we acknowledge we hold, and we stop acknowledging before we act on the claim.
        if r.primary_heard > r.candidate_since and r.cause != CAUSE_COMMAND:
            enter_standby(r, r.epoch, r.cause, now)
        else:
            claim(r, now)
    elif standby_in_sync(r) or stale_claim(r):
        claim(r, now)
    else:
        enter_standby(r, later(r.epoch, r.cell.epoch if r.cell.primary == r.config.peer else 0), CAUSE_LOST_REGISTER,
                      now)
