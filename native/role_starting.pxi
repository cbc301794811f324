# STARTING and FENCED: who may claim the pair, and when it may be tried again. Part of role.pyx.


cdef void evaluate_starting(role_t* r, const instant_t* now) noexcept nogil:
    if not r.cell_known:
        want_read(r, now)
        return
    if claim_won(r):
        enter_primary(r, r.claim_skips, r.cause, now)
        return
    if cas_open(r):
        return
    if r.act_alone:
        if r.cell.epoch > r.act_alone_epoch and r.cell.primary == r.config.peer:
            r.act_alone = False   # the peer turned out to act: the operator was wrong
        else:
            claim(r, now)
            return
    if r.own_last_epoch > r.cell.epoch or (r.cell.version == 0 and r.peer.last_lsn > 0):
        set_cause(r, CAUSE_REGISTER_BEHIND)   # no guess: an operator says which log counts (COMMAND_ACT_ALONE)
        want_read(r, now)
    elif may_claim_at_start(r, now):
        set_cause(r, CAUSE_FIRST_START if r.cell.version == 0 else CAUSE_RESTART)
        r.detected_mono_ns = now.mono_ns
        claim(r, now)
    else:
        if r.unproven and cell_has(r, r.config.node):
            set_cause(r, CAUSE_NEW_LOG)
        want_read(r, now)


cdef bint may_claim_at_start(const role_t* r, const instant_t* now) noexcept nogil:
    cdef uint64_t heard = r.peer.last_heard_mono_ns
    cdef uint64_t silent_since = heard if heard > r.started_at else r.started_at
    if r.cell.version == 0:
        if r.unproven:
            return False   # nothing was ever released; but the journal's mark must go first, for the next start to know
        return r.config.preferred or since_at_least(r.started_at, r.config.startup_wait_ns, now)
    if not cell_has(r, r.config.node) or (r.unproven and not log_is_our_own(r)):
        return False
    if not cell_has(r, r.config.peer):
        return True    # nobody else can hold anything that was released
    if not r.peer.alive:
        return since_at_least(silent_since, r.config.startup_wait_ns, now)
    # Either node of in_sync holds all that was released. So if the one with the better claim makes no use of
    # it (it cannot reach the register, or `static` holds it back) this one goes after a while.
    if r.peer.role == ROLE_STARTING or r.peer.role == ROLE_FENCED:
        return own_log_leads(r) or since_at_least(r.started_at, 2 * r.config.startup_wait_ns, now)
    if r.peer.role == ROLE_STANDBY or r.peer.role == ROLE_CANDIDATE:
        return since_at_least(r.started_at, r.config.startup_wait_ns, now)   # it takes over by itself
    return False   # a primary that was superseded and must learn it


cdef bint log_is_our_own(const role_t* r) noexcept nogil:
    """Of a new log: we are the register's last primary, and wrote in its epoch, so it is no log that was lost."""
    return r.cell.primary == r.config.node and r.own_last_lsn != 0 and r.own_last_epoch == r.cell.epoch


cdef bint own_log_leads(const role_t* r) noexcept nogil:
    if r.own_last_epoch != r.peer.last_epoch:
        return r.own_last_epoch > r.peer.last_epoch
    if r.own_last_lsn != r.peer.last_lsn:
        return r.own_last_lsn > r.peer.last_lsn
    return r.config.node < r.config.peer


cdef void evaluate_fenced(role_t* r, const instant_t* now) noexcept nogil:
    # Meeting the primary of a later epoch is in meet_primary. Here: the register answers and still counts on us.
    if r.cell_fresh and cell_has(r, r.config.node) and not cas_open(r):
        enter_starting(r, CAUSE_RESTART, now)
    else:
        want_read(r, now)
