"""Which node may act: the pair's role state machine (DESIGN sections 3 and 4).

All changes of state, release and epoch are in this file, in the functions `enter_*` and `set_release`. Every input ends
in `evaluate`, which looks at what is known and does what the state asks for, so that the order in which things become
known does not matter. May depend on: instant. Never does I/O, never reads a clock, never compares clocks of two nodes.

Three facts carry the safety argument:

1. A compare-and-set without an answer may still take effect later. It can no longer once the cell has moved past the
   version it expected. So `unsettled` compares versions, and an unsettled node behaves as if either had happened; it
   settles the matter by another compare-and-set of the same version, never by a read alone.
2. RELEASE_ALL is given out only while the cell is known to be {epoch, self, {self}} and nothing is unsettled.
3. A node becomes primary only of an epoch that it claimed in this life of the process, or that the primary it followed
   handed to it. What the cell says of a former life is no permission: a new epoch is won instead.
"""

from enum import IntEnum
from typing import NamedTuple

from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from .instant cimport instant_t


cdef inline uint8_t bit(uint8_t node) noexcept nogil:
    return <uint8_t>(1 << node)


cdef inline bint unsettled(const role_t* r) noexcept nogil:
    return r.cell.version < r.settled_version


cdef inline bint cell_has(const role_t* r, uint8_t node) noexcept nogil:
    return (r.cell.in_sync & bit(node)) != 0


cdef inline uint32_t later(uint32_t a, uint32_t b) noexcept nogil:
    return a if a > b else b


cdef inline bint since_at_least(uint64_t start, uint64_t span, const instant_t* now) noexcept nogil:
    return now.mono_ns >= start + span


# --- inputs ---------------------------------------------------------------------------------------------------------

cdef void role_init(role_t* r, const role_config_t* config, uint64_t own_last_lsn, uint32_t own_last_epoch,
                    const instant_t* now) noexcept nogil:
    memset(r, 0, sizeof(role_t))
    r.config = config[0]
    r.state = ROLE_STARTING
    r.release = RELEASE_NOTHING
    r.own_last_lsn = own_last_lsn
    r.own_last_epoch = own_last_epoch
    r.epoch = own_last_epoch
    r.primary = config.peer
    r.tail_suspect = config.lost_tail
    r.unproven = config.new_log
    r.started_at = now.mono_ns
    r.last_timer = now.mono_ns
    evaluate(r, now)


cdef void role_on_log(role_t* r, uint64_t own_last_lsn, uint32_t own_last_epoch) noexcept nogil:
    r.own_last_lsn = own_last_lsn
    r.own_last_epoch = own_last_epoch


cdef void role_on_peer(role_t* r, uint8_t peer_role, uint32_t peer_epoch, uint32_t peer_last_epoch,
                       uint64_t peer_last_lsn, bint log_in_doubt, const instant_t* now) noexcept nogil:
    r.peer.alive = True
    r.peer.role = peer_role
    r.peer.epoch = peer_epoch
    r.peer.last_epoch = peer_last_epoch
    r.peer.last_lsn = peer_last_lsn
    r.peer.log_in_doubt = log_in_doubt
    r.peer.last_heard_mono_ns = now.mono_ns
    if peer_role == ROLE_PRIMARY:
        meet_primary(r, now)
    elif peer_role == ROLE_FENCED and peer_epoch == r.epoch and r.state == ROLE_STANDBY:
        # It says itself that it is no primary any more, and a fenced node never goes on in its epoch.
        r.primary_lost = True
        r.loss_cause = CAUSE_SILENCE
    evaluate(r, now)


cdef void role_on_tripwire(role_t* r, bint connected, const instant_t* now) noexcept nogil:
    cdef bint fell = r.peer.tripwire and not connected
    r.peer.tripwire = connected
    if fell:
        # Only the edge counts: what is still in socket buffers may be heard after it, and a new life of the peer may be
        # heard before its tripwire is connected.
        r.peer.alive = False
        r.primary_lost = True
        r.loss_cause = CAUSE_TRIPWIRE
        evaluate(r, now)


cdef void role_on_standby(role_t* r, bint joined, uint64_t acked_lsn, const instant_t* now) noexcept nogil:
    if not joined:
        r.solo_wanted = r.solo_wanted and r.lost_since != 0   # COMMAND_SOLO holds until the standby has left
        r.rejoin_target = r.own_last_lsn
        r.join_since = 0        # what it had to catch up with says nothing of its next life
    else:
        r.join_grace_until = 0
    if not joined or acked_lsn > r.acked_lsn or acked_lsn >= r.own_last_lsn:
        r.acked_at = now.mono_ns
    r.joined = joined
    r.acked_lsn = acked_lsn if joined else 0
    evaluate(r, now)


cdef void role_on_handover(role_t* r, uint32_t new_epoch, const instant_t* now) noexcept nogil:
    if (r.state != ROLE_STANDBY and r.state != ROLE_CANDIDATE) or new_epoch <= r.epoch or new_epoch < r.cell.epoch:
        return
    if r.cell.epoch < new_epoch:
        # What the primary wrote, under a version that we do not know: our next compare-and-set is lost and tells it.
        r.cell.epoch = new_epoch
        r.cell.primary = r.config.node
        r.cell.in_sync = bit(r.config.node) | bit(r.config.peer)
    if granted_by_peer(r):
        r.detected_mono_ns = now.mono_ns
        enter_primary(r, r.tail_suspect, CAUSE_SWITCHOVER, now)
    evaluate(r, now)


cdef void role_on_whole_log(role_t* r, const instant_t* now) noexcept nogil:
    if r.state != ROLE_STANDBY and not (r.unproven and role_is_first_start(r)):
        return
    r.unproven = False
    # What was lost has come again, whether the register was seen to say so or not; or there never was anything.
    r.tail_suspect = False
    evaluate(r, now)


cdef bint role_is_first_start(const role_t* r) noexcept nogil:
    return r.state == ROLE_STARTING and r.cell_known and r.cell.version == 0 and r.own_last_lsn == 0


cdef void role_on_register(role_t* r, uint64_t request_id, register_outcome outcome, const register_value_t* value,
                           const instant_t* now) noexcept nogil:
    cdef bint ours = r.request_open and request_id == r.request.id
    cdef bint answered = outcome != REGISTER_UNKNOWN
    if ours and outcome == REGISTER_LOST and value.version <= r.request.expected.version:
        answered = False   # contradicts itself: a register that lost its data. It has decided nothing
        r.cell_behind = True
    elif ours and answered:
        r.cell_behind = r.cell_known and value.version < r.cell.version
    if ours:
        r.request_open = False
        r.request_waiting = False
        if answered:
            r.read_at = now.mono_ns + r.config.register_retry_ns
        else:
            r.retry_at = now.mono_ns + r.config.register_retry_ns
    if answered:
        adopt(r, value)
        r.cell_fresh = True
    evaluate(r, now)


cdef command_status role_on_command(role_t* r, role_command command, const instant_t* now) noexcept nogil:
    cdef command_status status
    if command == COMMAND_TAKEOVER:
        status = command_takeover(r, now)
    elif command == COMMAND_SWITCHOVER:
        status = command_switchover(r, now)
    elif command == COMMAND_SOLO:
        status = command_solo(r)
    else:
        status = command_act_alone(r, now)
    if status == COMMAND_ACCEPTED:
        evaluate(r, now)
    return status


cdef void role_on_timer(role_t* r, const instant_t* now) noexcept nogil:
    cdef uint64_t gap = now.mono_ns - r.last_timer
    if gap > r.config.suspect_after_ns // 2:
        forgive_pause(r, gap, now)
    r.last_timer = now.mono_ns
    if r.request_open and since_at_least(r.request_since, r.config.register_timeout_ns, now):
        r.request_open = False
        r.request_waiting = False
        r.retry_at = now.mono_ns   # the time-out was the pause between two tries
    if r.peer.alive and since_at_least(r.peer.last_heard_mono_ns, r.config.suspect_after_ns, now):
        r.peer.alive = False
        r.loss_cause = CAUSE_SILENCE
    evaluate(r, now)


cdef uint64_t role_deadline(const role_t* r) noexcept nogil:
    # The regular tick is what shows a pause of our own (see forgive_pause), so it never stops.
    cdef uint64_t best = r.last_timer + r.config.suspect_after_ns // 4
    best = earlier(best, r.peer.last_heard_mono_ns + r.config.suspect_after_ns, r.last_timer)
    if r.state == ROLE_STANDBY:
        best = earlier(best, r.primary_heard + r.config.suspect_after_ns, r.last_timer)
    if r.request_open:
        best = earlier(best, r.request_since + r.config.register_timeout_ns, r.last_timer)
    else:
        best = earlier(best, r.retry_at, r.last_timer)
    if r.lost_since:
        best = earlier(best, r.lost_since + r.config.fence_timeout_ns, r.last_timer)
    return best


cdef bint role_take_request(role_t* r, register_request_t* request) noexcept nogil:
    if not r.request_waiting:
        return False
    r.request_waiting = False
    request[0] = r.request
    return True


# --- the only places that change state, release and epoch -----------------------------------------------------------

cdef void enter_standby(role_t* r, uint32_t epoch, role_cause cause, const instant_t* now) noexcept nogil:
    """Follows the peer as primary of `epoch`."""
    r.state = ROLE_STANDBY
    r.release = RELEASE_NOTHING
    r.epoch = epoch
    r.primary = r.config.peer
    r.intake = False
    r.skip_ahead = False
    r.act_alone = False
    r.cause = cause
    r.primary_heard = now.mono_ns
    r.primary_lost = False
    r.read_at = 0
    stop_leading(r)
    r.transitions += 1


cdef void enter_candidate(role_t* r, role_cause cause, const instant_t* now) noexcept nogil:
    r.state = ROLE_CANDIDATE
    r.cause = cause
    r.candidate_since = now.mono_ns
    r.detected_mono_ns = now.mono_ns
    r.transitions += 1
    claim(r, now)


cdef void enter_primary(role_t* r, bint skip_ahead, role_cause cause, const instant_t* now) noexcept nogil:
    """Of the epoch that the cell now holds."""
    r.state = ROLE_PRIMARY
    r.epoch = r.cell.epoch
    r.primary = r.config.node
    r.intake = True
    r.skip_ahead = skip_ahead
    r.cause = cause
    r.won_mono_ns = now.mono_ns
    r.claimed_epoch = 0
    r.act_alone = False
    r.tail_suspect = False
    r.unproven = False
    stop_leading(r)
    r.joined = False
    r.acked_lsn = 0
    r.acked_at = now.mono_ns
    # By switchover: the old primary is counted as present until it has had the time to join.
    r.join_grace_until = now.mono_ns + r.config.suspect_after_ns if cell_has(r, r.config.peer) else 0
    r.release = RELEASE_ACKED if cell_has(r, r.config.peer) or unsettled(r) else RELEASE_ALL
    r.transitions += 1


cdef void enter_fenced(role_t* r, role_cause cause) noexcept nogil:
    r.state = ROLE_FENCED
    r.release = RELEASE_NOTHING
    r.intake = False
    r.cause = cause
    r.cell_fresh = False
    r.read_at = 0
    stop_leading(r)
    r.transitions += 1


cdef void enter_starting(role_t* r, role_cause cause, const instant_t* now) noexcept nogil:
    """From FENCED: whatever comes next needs a new epoch or another primary, as after a restart."""
    r.state = ROLE_STARTING
    r.cause = cause
    r.started_at = now.mono_ns
    r.transitions += 1


cdef void set_release(role_t* r, release_rule release) noexcept nogil:
    if r.release != release:
        r.release = release
        r.transitions += 1


cdef void set_intake(role_t* r, bint intake) noexcept nogil:
    if r.intake != intake:
        r.intake = intake
        r.transitions += 1


cdef void set_cause(role_t* r, role_cause cause) noexcept nogil:
    if r.cause != cause:
        r.cause = cause
        r.transitions += 1


cdef void stop_leading(role_t* r) noexcept nogil:
    r.handover_since = 0
    r.handover_epoch = 0
    r.lost_since = 0
    r.join_since = 0
    r.solo_wanted = False


# --- what each state does with what is known ------------------------------------------------------------------------

cdef void evaluate(role_t* r, const instant_t* now) noexcept nogil:
    if r.state == ROLE_PRIMARY:
        evaluate_primary(r, now)
    elif r.state == ROLE_STANDBY:
        evaluate_standby(r, now)
    elif r.state == ROLE_CANDIDATE:
        evaluate_candidate(r, now)
    elif r.state == ROLE_STARTING:
        evaluate_starting(r, now)
    else:
        evaluate_fenced(r, now)


cdef void meet_primary(role_t* r, const instant_t* now) noexcept nogil:
    """The peer says that it is primary of peer.epoch."""
    cdef uint32_t epoch = r.peer.epoch
    if epoch < r.cell.epoch or epoch < r.own_last_epoch:
        if r.state == ROLE_STARTING and r.own_last_epoch > epoch >= r.cell.epoch:
            set_cause(r, CAUSE_REGISTER_BEHIND)
        return   # superseded, and will learn it from us or the register; or the register forgot: an operator decides
    if epoch > r.cell.epoch:
        # Until the register is read it is not known whether we are in sync with it: assume not.
        r.cell.epoch = epoch
        r.cell.primary = r.config.peer
        r.cell.in_sync = bit(r.config.peer)
        r.cell_guessed = True
    if r.state == ROLE_PRIMARY:
        # The same epoch twice: only where the register could not tell (`static`, both told to act alone).
        if epoch > r.epoch or (epoch == r.epoch and r.config.peer < r.config.node):
            enter_fenced(r, CAUSE_LATER_EPOCH)   # and standby at its next datagram: the owner must see this state
    elif r.state == ROLE_STARTING or r.state == ROLE_FENCED:
        if epoch >= r.epoch and r.cell.primary == r.config.peer:
            enter_standby(r, epoch, CAUSE_RESTART if r.state == ROLE_STARTING else CAUSE_LATER_EPOCH, now)
    elif epoch > r.epoch:
        enter_standby(r, epoch, CAUSE_LATER_EPOCH, now)
    elif epoch == r.epoch:
        r.primary_heard = now.mono_ns
        r.primary_lost = False


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


cdef void evaluate_fenced(role_t* r, const instant_t* now) noexcept nogil:
    # Meeting the primary of a later epoch is in meet_primary. Here: the register answers and still counts on us.
    if r.cell_fresh and cell_has(r, r.config.node) and not cas_open(r):
        enter_starting(r, CAUSE_RESTART, now)
    else:
        want_read(r, now)


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


# --- commands -------------------------------------------------------------------------------------------------------

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


# --- the register ---------------------------------------------------------------------------------------------------

cdef void adopt(role_t* r, const register_value_t* value) noexcept nogil:
    """Takes over what the cell holds, unless something later is known."""
    if r.cell_known and value.version < r.cell.version:
        return
    if value.epoch < r.cell.epoch:
        # From before the primary that we have met wrote it: the content is older than our assumption.
        r.cell_known = True
        r.cell.version = value.version
        return
    r.cell = value[0]
    r.cell_known = True
    r.cell_guessed = False


cdef bint claim_won(const role_t* r) noexcept nogil:
    """The cell holds what we asked for in this life, whichever answer told it. With the peer in sync it would be a
    switchover, in an epoch that we claimed in vain before."""
    return (r.claimed_epoch > r.epoch and r.cell.epoch == r.claimed_epoch and r.cell.primary == r.config.node
            and r.cell.in_sync == bit(r.config.node) and not r.cell_guessed)


cdef bint granted_by_peer(const role_t* r) noexcept nogil:
    """The primary that we follow handed over to us. {self} alone would be a claim of a former life."""
    return r.cell.epoch > r.epoch and r.cell.primary == r.config.node and cell_has(r, r.config.peer)


cdef bint stale_claim(const role_t* r) noexcept nogil:
    """A claim of a former life of this node took effect late. It is in sync, but must win an epoch of its own."""
    return (r.cell.epoch > r.epoch and r.cell.primary == r.config.node and not cell_has(r, r.config.peer)
            and not r.unproven)


cdef bint cas_open(const role_t* r) noexcept nogil:
    return r.request_open and r.request.kind == REGISTER_COMPARE_AND_SET


cdef bint may_write(const role_t* r, const instant_t* now) noexcept nogil:
    return not cas_open(r) and now.mono_ns >= r.retry_at


cdef bint has_forgotten_a_claim(const role_t* r) noexcept nogil:
    """A former life became primary by the register and died before its log knew: perhaps by an operator's word, who
    accepted that records are missing."""
    return (r.state == ROLE_STARTING and r.cell.primary == r.config.node and r.cell.epoch > 1
            and r.cell.epoch > r.own_last_epoch)


cdef void claim(role_t* r, const instant_t* now) noexcept nogil:
    """Asks for a new epoch with this node as primary, alone."""
    cdef register_value_t desired
    if not may_write(r, now):
        return
    if not r.cell_known:
        want_read(r, now)
        return
    desired.version = 0
    desired.epoch = later(later(r.cell.epoch, r.own_last_epoch), r.epoch) + 1
    desired.primary = r.config.node
    desired.in_sync = bit(r.config.node)
    r.claimed_epoch = desired.epoch
    r.claim_skips = r.act_alone or r.tail_suspect or has_forgotten_a_claim(r)
    request_write(r, &desired, now)


cdef void write_in_sync(role_t* r, uint8_t in_sync, const instant_t* now) noexcept nogil:
    """Same epoch, same primary, another set of nodes in sync."""
    cdef register_value_t desired
    if not may_write(r, now):
        return
    desired.version = 0
    desired.epoch = r.epoch
    desired.primary = r.config.node
    desired.in_sync = in_sync
    request_write(r, &desired, now)


cdef void request_write(role_t* r, const register_value_t* desired, const instant_t* now) noexcept nogil:
    open_request(r, REGISTER_COMPARE_AND_SET, now)
    r.request.expected = r.cell
    r.request.desired = desired[0]
    r.request.act_alone = r.act_alone
    if r.act_alone and r.act_alone_epoch == UINT32_MAX:
        r.act_alone_epoch = r.cell.epoch
    if r.settled_version <= r.cell.version:
        r.settled_version = r.cell.version + 1


cdef void want_read(role_t* r, const instant_t* now) noexcept nogil:
    if r.request_open or now.mono_ns < r.retry_at or now.mono_ns < r.read_at:
        return
    open_request(r, REGISTER_READ, now)
    memset(&r.request.expected, 0, sizeof(register_value_t))
    memset(&r.request.desired, 0, sizeof(register_value_t))
    r.request.act_alone = False


cdef void open_request(role_t* r, register_request_kind kind, const instant_t* now) noexcept nogil:
    r.request.kind = kind
    r.request.id += 1
    r.request_open = True
    r.request_waiting = True
    r.request_since = now.mono_ns


# --- time -----------------------------------------------------------------------------------------------------------

cdef void forgive_pause(role_t* r, uint64_t gap, const instant_t* now) noexcept nogil:
    """This node was not running (SIGSTOP, the scheduler, a suspended host): that says nothing about the others.

    What they sent meanwhile may be waiting in our sockets, or was dropped there. So silence is measured anew, and what
    we wait for gets the time that we missed. It costs nothing in safety: nothing is released or won by waiting longer.
    """
    r.pauses += 1
    r.longest_pause_ns = max(r.longest_pause_ns, gap)
    if r.peer.alive:
        r.peer.last_heard_mono_ns = now.mono_ns
    r.primary_heard = now.mono_ns
    r.started_at += gap
    r.request_since += gap
    r.acked_at += gap
    if r.lost_since:
        r.lost_since += gap
    if r.handover_since:
        r.handover_since += gap
    if r.join_since:
        r.join_since += gap
    if r.join_grace_until:
        r.join_grace_until += gap


cdef inline uint64_t earlier(uint64_t best, uint64_t candidate, uint64_t after) noexcept nogil:
    """The earlier of two deadlines; one that is past when the timer last ran has been dealt with."""
    return candidate if after < candidate < best else best


# --- the Python face: for tests, tools and the simulator ------------------------------------------------------------

class State(IntEnum):
    """`role_state`."""

    STARTING = ROLE_STARTING
    STANDBY = ROLE_STANDBY
    CANDIDATE = ROLE_CANDIDATE
    PRIMARY = ROLE_PRIMARY
    FENCED = ROLE_FENCED


class Release(IntEnum):
    """`release_rule`."""

    NOTHING = RELEASE_NOTHING
    ACKED = RELEASE_ACKED
    ALL = RELEASE_ALL


class RequestKind(IntEnum):
    """`register_request_kind`."""

    READ = REGISTER_READ
    COMPARE_AND_SET = REGISTER_COMPARE_AND_SET


class RegisterOutcome(IntEnum):
    """`register_outcome`."""

    VALUE = REGISTER_VALUE
    WON = REGISTER_WON
    LOST = REGISTER_LOST
    UNKNOWN = REGISTER_UNKNOWN


class Command(IntEnum):
    """`role_command`."""

    TAKEOVER = COMMAND_TAKEOVER
    SWITCHOVER = COMMAND_SWITCHOVER
    SOLO = COMMAND_SOLO
    ACT_ALONE = COMMAND_ACT_ALONE


class CommandStatus(IntEnum):
    """`command_status`."""

    ACCEPTED = COMMAND_ACCEPTED
    NOT_STANDBY = COMMAND_NOT_STANDBY
    NOT_PRIMARY = COMMAND_NOT_PRIMARY
    NOT_IN_SYNC = COMMAND_NOT_IN_SYNC
    BUSY = COMMAND_BUSY
    PEER_ALIVE = COMMAND_PEER_ALIVE


class Cause(IntEnum):
    """`role_cause`."""

    NONE = CAUSE_NONE
    FIRST_START = CAUSE_FIRST_START
    TRIPWIRE = CAUSE_TRIPWIRE
    SILENCE = CAUSE_SILENCE
    COMMAND = CAUSE_COMMAND
    SWITCHOVER = CAUSE_SWITCHOVER
    RESTART = CAUSE_RESTART
    LOST_REGISTER = CAUSE_LOST_REGISTER
    NO_REGISTER = CAUSE_NO_REGISTER
    LATER_EPOCH = CAUSE_LATER_EPOCH
    CAUGHT_UP = CAUSE_CAUGHT_UP
    REGISTER_BEHIND = CAUSE_REGISTER_BEHIND
    NEW_LOG = CAUSE_NEW_LOG
    NO_ACKS = CAUSE_NO_ACKS


class RegisterValue(NamedTuple):
    """`register_value_t`: what the register holds. `in_sync` is a bit mask of node indices."""

    version: int
    epoch: int
    primary: int
    in_sync: int


class Request(NamedTuple):
    """`register_request_t`: one request to the register, to be made once."""

    kind: RequestKind
    id: int
    act_alone: bool
    expected: RegisterValue
    desired: RegisterValue


cdef object cell_of(const register_value_t* value):
    return RegisterValue(value.version, value.epoch, value.primary, value.in_sync)


cdef class Role:
    """One node's role. Every method takes the moment `now` as CLOCK_MONOTONIC ns; nothing here reads a clock.

    Raises ValueError for a configuration that cannot work: same node and peer, an index above 7, a time-out of 0.
    """

    cdef role_t state_
    cdef instant_t now_

    def __init__(self, int node, int peer, *, uint64_t now, uint64_t own_last_lsn=0, uint32_t own_last_epoch=0,
                 uint64_t suspect_after_ns=50_000_000, uint64_t fence_timeout_ns=1_000_000_000,
                 uint64_t register_timeout_ns=500_000_000, uint64_t register_retry_ns=100_000_000,
                 uint64_t startup_wait_ns=3_000_000_000, bint preferred=False, bint lost_tail=False,
                 bint new_log=False):
        cdef role_config_t config
        if node == peer or not 0 <= node < 8 or not 0 <= peer < 8:
            raise ValueError(f"node {node}, peer {peer}: two different node indices from 0 to 7 are needed")
        if 0 in (suspect_after_ns, fence_timeout_ns, register_timeout_ns, register_retry_ns, startup_wait_ns):
            raise ValueError("a time-out of 0 ns: every time-out of a role must be at least 1 ns")
        config.node = <uint8_t>node
        config.peer = <uint8_t>peer
        config.suspect_after_ns = suspect_after_ns
        config.fence_timeout_ns = fence_timeout_ns
        config.register_timeout_ns = register_timeout_ns
        config.register_retry_ns = register_retry_ns
        config.startup_wait_ns = startup_wait_ns
        config.preferred = preferred
        config.lost_tail = lost_tail
        config.new_log = new_log
        role_init(&self.state_, &config, own_last_lsn, own_last_epoch, self.at(now))

    cdef const instant_t* at(self, uint64_t now):
        self.now_.mono_ns = now
        self.now_.wall_ns = 0
        return &self.now_

    def on_log(self, uint64_t own_last_lsn, uint32_t own_last_epoch):
        """Tell where the node's own log ends; before each input."""
        role_on_log(&self.state_, own_last_lsn, own_last_epoch)

    def on_peer(self, int role, uint32_t epoch, uint32_t last_epoch, uint64_t last_lsn, uint64_t now, *,
                bint log_in_doubt=False):
        """Take an authentic datagram of the peer: its State, epoch, where its log ends, and whether it has yet to learn
        that this is all that was released (DATAGRAM_LOG_IN_DOUBT)."""
        role_on_peer(&self.state_, <uint8_t>role, epoch, last_epoch, last_lsn, log_in_doubt, self.at(now))

    def on_tripwire(self, bint connected, uint64_t now):
        """Take a change of the TCP connection whose end means that the peer's process is gone."""
        role_on_tripwire(&self.state_, connected, self.at(now))

    def on_standby(self, bint joined, uint64_t acked_lsn, uint64_t now):
        """Primary: whether the standby has joined in this epoch and life of it, and the LSN it acknowledged."""
        role_on_standby(&self.state_, joined, acked_lsn, self.at(now))

    def on_handover(self, uint32_t new_epoch, uint64_t now):
        """Take the primary's word that it wrote this node into the register as primary of `new_epoch`."""
        role_on_handover(&self.state_, new_epoch, self.at(now))

    def on_whole_log(self, uint64_t now):
        """This standby holds what its primary had released when it knew this life of it."""
        role_on_whole_log(&self.state_, self.at(now))

    def on_register(self, uint64_t request_id, int outcome, value, uint64_t now):
        """Take the answer to a request, or with `request_id` 0 what a watch saw. `value` is ignored for UNKNOWN."""
        cdef register_value_t native
        memset(&native, 0, sizeof(native))
        if outcome != REGISTER_UNKNOWN:
            native.version, native.epoch, native.primary, native.in_sync = value
        role_on_register(&self.state_, request_id, <register_outcome>outcome, &native, self.at(now))

    def command(self, int command, uint64_t now):
        """Give an operator's Command; returns a CommandStatus."""
        return CommandStatus(role_on_command(&self.state_, <role_command>command, self.at(now)))

    def on_timer(self, uint64_t now):
        """Let time pass; at `deadline` at the latest."""
        role_on_timer(&self.state_, self.at(now))

    def take_request(self):
        """Return the next Request to make, once, or None."""
        cdef register_request_t request
        if not role_take_request(&self.state_, &request):
            return None
        return Request(RequestKind(request.kind), request.id, bool(request.act_alone), cell_of(&request.expected),
                       cell_of(&request.desired))

    @property
    def deadline(self):
        """When `on_timer` is due, ns."""
        return role_deadline(&self.state_)

    @property
    def state(self):
        """The State."""
        return State(self.state_.state)

    @property
    def release(self):
        """What may be released (Release)."""
        return Release(self.state_.release)

    @property
    def epoch(self):
        """Ours while primary, the primary's while standby."""
        return self.state_.epoch

    @property
    def primary(self):
        """Node index of the primary, as far as known."""
        return self.state_.primary

    @property
    def intake(self):
        """Whether orders may be numbered."""
        return bool(self.state_.intake)

    @property
    def skip_ahead(self):
        """Whether this node was promoted without the whole log."""
        return bool(self.state_.skip_ahead)

    @property
    def solo_wanted(self):
        """Whether an operator dropped the standby and it has not left since."""
        return bool(self.state_.solo_wanted)

    @property
    def tail_suspect(self):
        """Whether the end of this node's log may be missing; the owner keeps this on disk."""
        return bool(self.state_.tail_suspect)

    @property
    def cause(self):
        """Why the last change happened (Cause)."""
        return Cause(self.state_.cause)

    @property
    def cell(self):
        """Last known content of the register (RegisterValue)."""
        return cell_of(&self.state_.cell)

    @property
    def peer_alive(self):
        """Whether the peer was heard within suspect_after."""
        return bool(self.state_.peer.alive)

    @property
    def transitions(self):
        """Counts the changes of state, release, epoch, intake or cause."""
        return self.state_.transitions

    @property
    def detected_mono_ns(self):
        """When the peer was suspected, of the last takeover."""
        return self.state_.detected_mono_ns

    @property
    def won_mono_ns(self):
        """When the register was won, of the last takeover."""
        return self.state_.won_mono_ns

    def __repr__(self):
        return (f"Role(state={self.state.name}, release={self.release.name}, epoch={self.epoch}, "
                f"cause={self.cause.name}, cell={tuple(self.cell)})")
