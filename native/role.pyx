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


# --- what each state does with what is known -------------------------------------------------------------------------

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


# --- time ------------------------------------------------------------------------------------------------------------

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


# --- by topic --------------------------------------------------------------------------------------------------------

include "role_starting.pxi"
include "role_standby.pxi"
include "role_primary.pxi"
include "role_commands.pxi"
include "role_register.pxi"
include "role_face.pxi"
