"""Deliberate protocol mistakes, each a change of a line or two in one source file of the production code.

They exist here only as text: `gateway.sim.mutants` makes them one at a time in a copy of the sources built for the
check. A mutation whose text is not found any more fails the check, so the list follows the code. May depend on:
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """`old`, which must be there exactly once, becomes `new` in native/`file`, a part of native/`module`.pyx."""

    name: str
    module: str
    old: str
    new: str
    part: str = ""

    @property
    def file(self) -> str:
        """Name of the source file."""
        return self.part or f"{self.module}.pyx"


MUTATIONS = (
    Mutation(
        "release without an acknowledgement",
        "node",
        "        limit = view.flushed_lsn if n.config.flush_before_release else view.received_lsn\n",
        "        limit = n.journal.last_lsn\n",
        "node_progress.pxi",
    ),
    Mutation(
        "acknowledgement of what was announced, not of what is held",
        "receiver",
        "    ack.received_lsn = r.journal.last_lsn\n",
        "    ack.received_lsn = max(r.journal.last_lsn, r.primary_last_lsn)\n",
    ),
    Mutation(
        "acknowledgement of an old epoch: a new primary goes on acknowledging",
        "receiver",
        "    r.state = RECEIVER_IDLE\n    r.ack_due = 0\n",
        "    r.ack_due = 0\n",
    ),
    Mutation(
        "acknowledgement of a former life of the standby counts",
        "node",
        "    n.sender.views[peer].joined = 0\n    role_on_standby(&n.role, 0, 0, now)\n",
        "",
        "node_pair.pxi",
    ),
    Mutation(
        "no truncation of a divergent tail",
        "receiver",
        "        if reply.common_lsn < r.journal.last_lsn:\n",
        "        if 0:\n",
    ),
    Mutation(
        "a number is used again after a takeover",
        "node",
        "    first = s.next_out\n    link.skip_to = 0\n",
        "    first = s.next_out\n    link.skip_to = 0\n    s.next_out = max(<uint64_t>2, s.next_out) - 1\n",
        "node_role.pxi",
    ),
    Mutation(
        "promotion of a standby that is out of sync",
        "role",
        "    return (r.cell_known and cell_has(r, r.config.node) and r.cell.epoch >= r.epoch and r.cell.primary == "
        "r.config.peer\n",
        "    return (r.cell_known and r.cell.epoch >= r.epoch and r.cell.primary == r.config.peer\n",
        "role_standby.pxi",
    ),
    Mutation(
        "compare-and-set replaced by a plain write",
        "sim",
        "        if request.expected.version == w.cell.version:\n",
        "        if True:\n",
        "sim_register.pxi",
    ),
    Mutation(
        "solo without the register",
        "role",
        "    set_release(r, RELEASE_ACKED)\n    if r.join_since and not unsettled(r):\n",
        "    set_release(r, RELEASE_ACKED if present else RELEASE_ALL)\n    if r.join_since and not unsettled(r):\n",
        "role_primary.pxi",
    ),
    Mutation(
        "in sync before it has caught up",
        "role",
        "    if r.acked_lsn >= r.join_target and not r.peer.log_in_doubt:\n",
        "    if not r.peer.log_in_doubt:\n",
        "role_primary.pxi",
    ),
    Mutation(
        "an unanswered compare-and-set counts as won",
        "role",
        "    return (r.claimed_epoch > r.epoch and r.cell.epoch == r.claimed_epoch and r.cell.primary == "
        "r.config.node\n            and r.cell.in_sync == bit(r.config.node) and not r.cell_guessed)\n",
        "    return r.claimed_epoch > r.epoch and not r.request_open\n",
        "role_register.pxi",
    ),
    Mutation(
        "the same epoch for a new primary",
        "role",
        "    desired.epoch = later(later(r.cell.epoch, r.own_last_epoch), r.epoch) + 1\n",
        "    desired.epoch = later(1, later(later(r.cell.epoch, r.own_last_epoch), r.epoch))\n",
        "role_register.pxi",
    ),
    Mutation(
        "position not checked at resume",
        "feed",
        "                and record.seq <= c.position_seq[record.session])):\n",
        "                and record.seq + 20 <= c.position_seq[record.session])):\n",
    ),
    Mutation(
        "what was missed is skipped at resume",
        "feed",
        "    record = journal_find(r.journal, session, DIRECTION_IN, seq)\n    if record is not NULL:\n"
        "        return record.lsn + 1\n",
        "    return r.journal.last_lsn + 1\n",
    ),
    Mutation(
        "a gap fill is told as sent again",
        "session",
        "(orders and not log_resend(s, first, next_seq, FATE_GAP_FILLED)):\n",
        "(orders and not log_resend(s, first, next_seq, FATE_RESENT)):\n",
        "session_resend.pxi",
    ),
    Mutation(
        "a new primary does not know what an earlier one gap-filled",
        "replica",
        "        doubt_again(r)\n        roster_compare(",
        "        doubt_again(r)\n        fates_forget(&r.fates)\n        roster_compare(",
    ),
    Mutation(
        "a gap fill does not wait for its record",
        "session",
        "        s.gap_fill_lsn = s.journal.last_lsn\n        lsn = s.gap_fill_lsn\n",
        "        s.gap_fill_lsn = 0\n",
        "session_resend.pxi",
    ),
    Mutation(
        "accepted is told before the release",
        "feed",
        "    while c.out_lsn <= released_lsn and budget:\n",
        "    while c.out_lsn <= r.journal.last_lsn and budget:\n",
    ),
    Mutation(
        "a repeated submission is sent again",
        "intake",
        "    cdef order_t* order = orders_by_client(&t.replica.orders, s.client, s.clordid, s.clordid_length)\n"
        "    if order is NULL:\n        return 0\n    s.order_state = order.state\n",
        "    cdef order_t* order = orders_by_client(&t.replica.orders, s.client, s.clordid, s.clordid_length)\n"
        "    if 1:\n        return 0\n    s.order_state = order.state\n",
    ),
    Mutation(
        "a repeated submission is answered before the release",
        "node",
        "    elif verdict == INTAKE_REPEATED and s.order_lsn <= n.released_lsn:     # else the feed",
        "    elif verdict == INTAKE_REPEATED:     # else the feed",
        "node_clients.pxi",
    ),
    Mutation(
        "a lost tail is not skipped",
        "node",
        "            and (n.role.skip_ahead or (early and (first > 1 or n.role.epoch > 1)))):\n",
        "            and early and first > 1):\n",
        "node_role.pxi",
    ),
    Mutation(
        "release before it is on disk (durability every)",
        "node",
        "    if n.config.flush_before_release and limit > n.journal.flushed_lsn:\n"
        "        limit = n.journal.flushed_lsn\n",
        "",
        "node_progress.pxi",
    ),
    Mutation(
        "a resend is left out",
        "session",
        "    if length > 0:\n        tx_push_scratch(&p.tx, place, <uint32_t>length, record.lsn)\n    return 1\n",
        "    if length > 0 and record.seq % 3:\n"
        "        tx_push_scratch(&p.tx, place, <uint32_t>length, record.lsn)\n    return 1\n",
        "session_resend.pxi",
    ),
    Mutation(
        "a resend without PossDupFlag under the number of another order",
        "session",
        "        record = journal_find(s.journal, s.config.index, DIRECTION_OUT, seq)\n"
        "        if goes_again(s, record):\n",
        "        record = journal_find(s.journal, s.config.index, DIRECTION_OUT, seq ^ 1)\n"
        "        if goes_again(s, record):\n",
        "session_resend.pxi",
    ),
    Mutation(
        "a primary that lost the register goes on",
        "role",
        "        else:\n            enter_fenced(r, CAUSE_LOST_REGISTER)\n        return\n",
        "        else:\n            r.cell.epoch = r.epoch\n            r.cell.primary = r.config.node\n"
        "            r.cell.in_sync = bit(r.config.node)\n            set_release(r, RELEASE_ALL)\n        return\n",
        "role_primary.pxi",
    ),
    Mutation(
        "inbound numbers are not taken over",
        "session",
        "        s.next_in = record.aux\n        if not record.flags & FLAG_APPLICATION and is_logon(record):\n",
        "        s.next_in = record.aux + (record.aux % 16 == 0)\n"
        "        if not record.flags & FLAG_APPLICATION and is_logon(record):\n",
    ),
    Mutation(
        "a ResendRequest is sent once only",
        "session",
        "    if p.gap_until and now.mono_ns >= p.gap_again_ns and not ask_again(s):\n",
        "    if 0:\n",
    ),
    Mutation(
        "a suspect log does not skip ahead of number 1",
        "node",
        "            and (n.role.skip_ahead or (early and (first > 1 or n.role.epoch > 1)))):\n",
        "            and first > 1):\n",
        "node_role.pxi",
    ),
    Mutation(
        "a resend has the time of the present clock, however wrong",
        "session",
        "                           max(p.now.wall_ns, record.time_ns), place, bound)\n",
        "                           p.now.wall_ns, place, bound)\n",
        "session_resend.pxi",
    ),
    Mutation(
        "a log that was lost counts as the one that the register speaks of",
        "role",
        "    r.unproven = config.new_log\n",
        "    r.unproven = False\n",
    ),
    Mutation(
        "a damaged record is used",
        "journal",
        "                or not record_intact(record):\n            return WALK_NO_RECORD\n",
        "                or record.length < RECORD_HEADER_BYTES:\n            return WALK_NO_RECORD\n",
        "journal_recovery.pxi",
    ),
    Mutation(
        "a day that began while the node was down is not made up for",
        "node",
        "    return since != 0 and since < n.links[session].starts_over_ns\n",
        "    return since != 0 and since < n.links[session].starts_over_ns and n.role.epoch == 1\n",
        "node_sessions.pxi",
    ),
    Mutation(
        "a start-over is made by each new primary again",
        "node",
        "    return since != 0 and since < n.links[session].starts_over_ns\n",
        "    return since != 0 and n.links[session].starts_over_ns "
        "and n.replica.sessions[session].generation < n.role.epoch\n",
        "node_sessions.pxi",
    ),
)
