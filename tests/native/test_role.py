"""The role state machine, one story per rule of DESIGN sections 3 and 4. Time is an argument; nothing here waits."""

from __future__ import annotations

import pytest

from gateway.native.role import (
    Cause,
    Command,
    CommandStatus,
    RegisterOutcome,
    Release,
    Request,
    RequestKind,
    Role,
    State,
)
from gateway.native.role import RegisterValue as Cell

MS = 1_000_000
A, B = 0, 1
EMPTY = Cell(0, 0, 0, 0)
SUSPECT = 50 * MS
FENCE = 1_000 * MS
TIMEOUT = 500 * MS
RETRY = 100 * MS
STARTUP = 3_000 * MS


def mask(*nodes: int) -> int:
    return sum(1 << node for node in nodes)


class Node:
    """One role with a clock of the test's own and the register's answers given by hand."""

    def __init__(
        self,
        node: int = A,
        *,
        lsn: int = 0,
        epoch: int = 0,
        preferred: bool = False,
        lost_tail: bool = False,
        new_log: bool = False,
    ) -> None:
        self.now = 1_000 * MS
        self.node, self.peer, self.lsn, self.log_epoch = node, 1 - node, lsn, epoch
        self.role = Role(
            node,
            1 - node,
            now=self.now,
            own_last_lsn=lsn,
            own_last_epoch=epoch,
            suspect_after_ns=SUSPECT,
            fence_timeout_ns=FENCE,
            register_timeout_ns=TIMEOUT,
            register_retry_ns=RETRY,
            startup_wait_ns=STARTUP,
            preferred=preferred,
            lost_tail=lost_tail,
            new_log=new_log,
        )

    # What the world tells it.

    def hears(self, state: State, epoch: int, last_epoch: int = 0, lsn: int = 0, *, in_doubt: bool = False) -> None:
        self.role.on_peer(state, epoch, last_epoch, lsn, self.now, log_in_doubt=in_doubt)

    def passes(self, ms: float, hearing: tuple[State, int] | None = None) -> None:
        """Time goes by in steps of a running node's timer, with heartbeats of the peer if `hearing` says so."""
        end = self.now + int(ms * MS)
        while self.now < end:
            self.now = min(end, self.now + 10 * MS, max(self.role.deadline, self.now + 1))
            if hearing is not None:
                self.hears(hearing[0], hearing[1], hearing[1], self.lsn)
            self.role.on_timer(self.now)

    def sleeps(self, ms: float) -> None:
        """The process is paused: no timer runs."""
        self.now += int(ms * MS)
        self.role.on_timer(self.now)

    def log_ends_at(self, lsn: int, epoch: int) -> None:
        self.lsn, self.log_epoch = lsn, epoch
        self.role.on_log(lsn, epoch)

    def acked(self, lsn: int, joined: bool = True) -> None:
        self.role.on_standby(joined, lsn, self.now)

    # The register.

    def asks(self) -> Request:
        request = self.role.take_request()
        assert request is not None, f"no request: {self.role!r}"
        return request

    def claims(self) -> Request:
        request = self.asks()
        assert request.kind is RequestKind.COMPARE_AND_SET, request
        return request

    def quiet(self) -> bool:
        return self.role.take_request() is None

    def answer(self, request: Request, outcome: RegisterOutcome, value: Cell | None = None) -> None:
        self.role.on_register(request.id, outcome, value, self.now)

    def wins(self, request: Request) -> Cell:
        value = request.desired._replace(version=request.expected.version + 1)
        self.answer(request, RegisterOutcome.WON, value)
        return value

    def loses(self, request: Request, value: Cell) -> None:
        self.answer(request, RegisterOutcome.LOST, value)

    def reads(self, value: Cell) -> None:
        request = self.asks()
        assert request.kind is RequestKind.READ, request
        self.answer(request, RegisterOutcome.VALUE, value)


def starting(cell: Cell, **kwargs: object) -> Node:
    node = Node(**kwargs)  # type: ignore[arg-type]
    node.reads(cell)
    return node


def standby_in_sync() -> Node:
    """b follows a in epoch 4, in sync."""
    node = Node(B, lsn=10, epoch=4)
    node.hears(State.PRIMARY, 4, 4, 10)
    node.role.on_tripwire(True, node.now)
    node.reads(Cell(7, 4, A, mask(A, B)))
    assert node.role.state is State.STANDBY
    return node


def primary_solo() -> Node:
    node = starting(Cell(7, 4, A, mask(A)), node=A, lsn=10, epoch=4)
    node.wins(node.claims())
    node.log_ends_at(11, 5)
    assert (node.role.state, node.role.release, node.role.epoch) == (State.PRIMARY, Release.ALL, 5)
    return node


def primary_in_sync() -> Node:
    node = primary_solo()
    node.role.on_tripwire(True, node.now)
    node.hears(State.STANDBY, 5, 5, 11)
    node.acked(11)
    assert node.role.release is Release.ACKED
    node.wins(node.claims())
    node.passes(1, hearing=(State.STANDBY, 5))
    assert node.role.cell == Cell(9, 5, A, mask(A, B))
    return node


# --- first start ----------------------------------------------------------------------------------------------------


def test_preferred_node_claims_an_empty_register_at_once() -> None:
    node = starting(Cell(0, 0, 0, 0), preferred=True)
    request = node.claims()
    assert request.expected.version == 0
    assert request.desired[1:] == (1, A, mask(A))
    node.wins(request)
    assert (node.role.state, node.role.epoch, node.role.release) == (State.PRIMARY, 1, Release.ALL)
    assert node.role.cause is Cause.FIRST_START
    assert not node.role.skip_ahead


def test_other_node_waits_for_the_preferred_one_and_then_claims() -> None:
    node = starting(Cell(0, 0, 0, 0), node=B)
    while node.now < 1_000 * MS + STARTUP - 20 * MS:
        node.passes(10)
        request = node.role.take_request()
        if request is not None:
            assert request.kind is RequestKind.READ
            node.answer(request, RegisterOutcome.VALUE, Cell(0, 0, 0, 0))
    node.passes(40)
    assert node.claims().desired[1:] == (1, B, mask(B))


def test_other_node_follows_the_preferred_one_when_it_is_primary() -> None:
    node = starting(Cell(0, 0, 0, 0), node=B)
    node.hears(State.PRIMARY, 1, 1, 1)
    assert (node.role.state, node.role.epoch, node.role.primary) == (State.STANDBY, 1, A)


def test_node_with_a_log_does_not_trust_an_empty_register() -> None:
    node = starting(Cell(0, 0, 0, 0), preferred=True, lsn=12, epoch=4)
    node.passes(2 * STARTUP / MS)
    assert node.role.state is State.STARTING
    assert node.role.cause is Cause.REGISTER_BEHIND
    request = node.asks()
    assert request.kind is RequestKind.READ
    assert node.role.command(Command.ACT_ALONE, node.now) is CommandStatus.ACCEPTED
    claim = node.claims()
    assert claim.act_alone
    assert claim.desired.epoch == 5
    node.wins(claim)
    assert node.role.state is State.PRIMARY
    assert node.role.skip_ahead


def test_peer_with_a_log_stops_a_first_start() -> None:
    node = Node(A, preferred=True)
    node.hears(State.STARTING, 4, 4, 100)
    node.reads(Cell(0, 0, 0, 0))
    assert node.role.cause is Cause.REGISTER_BEHIND
    assert node.quiet()


def test_a_first_start_waits_until_the_journal_is_known_to_be_the_first_one() -> None:
    node = starting(EMPTY, preferred=True, new_log=True)
    assert node.quiet()
    node.role.on_whole_log(node.now)
    assert node.claims().desired.epoch == 1


@pytest.mark.parametrize("in_sync", [(A,), (A, B)])
@pytest.mark.parametrize("epoch", [1, 5])
def test_a_node_whose_log_was_lost_does_not_act_for_it(in_sync: tuple[int, ...], epoch: int) -> None:
    node = starting(Cell(7, epoch, A, mask(*in_sync)), new_log=True)
    node.role.on_whole_log(node.now)
    node.passes(2 * STARTUP / MS)
    assert node.role.state is State.STARTING
    assert node.role.cause is Cause.NEW_LOG
    assert node.asks().kind is RequestKind.READ
    assert node.role.command(Command.ACT_ALONE, node.now) is CommandStatus.ACCEPTED


def test_the_first_primary_may_restart_before_its_journal_is_known_to_be_its_own() -> None:
    node = starting(Cell(1, 1, A, mask(A)), new_log=True, lsn=3, epoch=1)
    assert node.claims().desired.epoch == 2


def test_a_standby_with_a_new_log_does_not_take_over_before_that_is_whole() -> None:
    node = starting(Cell(7, 5, A, mask(A, B)), node=B, new_log=True)
    node.hears(State.PRIMARY, 5, 5, 100)
    node.role.on_log(40, 5)
    node.role.on_tripwire(True, node.now)
    node.role.on_tripwire(False, node.now)
    assert node.role.state is State.STANDBY


def test_a_standby_that_was_declared_in_sync_before_it_could_ask_takes_over_once_its_log_is_whole() -> None:
    """The register's first answer says it already: nothing tells that from a word about a log that was lost."""
    node = starting(Cell(2, 1, A, mask(A, B)), node=B, new_log=True)
    node.hears(State.PRIMARY, 1, 1, 100)
    node.role.on_log(100, 1)
    node.role.on_whole_log(node.now)
    node.role.on_tripwire(True, node.now)
    node.role.on_tripwire(False, node.now)
    assert node.role.state is State.CANDIDATE


def test_a_standby_whose_tail_was_lost_skips_ahead_until_it_holds_all_whatever_the_register_comes_to_say() -> None:
    """What the register says may have been asked for by its primary when a former life acknowledged."""
    node = starting(Cell(7, 5, A, mask(A)), node=B, lost_tail=True, lsn=40, epoch=5)
    node.hears(State.PRIMARY, 5, 5, 100)
    node.role.on_register(0, RegisterOutcome.VALUE, Cell(8, 5, A, mask(A, B)), node.now)
    assert node.role.tail_suspect
    node.role.on_whole_log(node.now)
    assert not node.role.tail_suspect


# --- restart --------------------------------------------------------------------------------------------------------


def test_restarted_node_alone_in_sync_wins_a_new_epoch_at_once() -> None:
    request = starting(Cell(7, 4, A, mask(A)), node=A, lsn=10, epoch=4).claims()
    assert request.desired[1:] == (5, A, mask(A))


@pytest.mark.parametrize("primary", [A, B])
def test_restarted_node_outside_in_sync_never_claims(primary: int) -> None:
    node = starting(Cell(7, 4, primary, mask(B)), node=A, lsn=10, epoch=4)
    for _ in range(100):
        node.passes(100)
        request = node.role.take_request()
        if request is not None:
            assert request.kind is RequestKind.READ
            node.answer(request, RegisterOutcome.VALUE, Cell(7, 4, primary, mask(B)))
    assert node.role.state is State.STARTING


def test_restarted_in_sync_node_waits_for_its_peer_and_then_acts_alone() -> None:
    node = starting(Cell(7, 4, A, mask(A, B)), node=B, lsn=10, epoch=4)
    node.passes(STARTUP / MS - 20)
    assert node.asks().kind is RequestKind.READ
    node.passes(40)
    request = node.claims()
    assert request.desired[1:] == (5, B, mask(B))
    node.wins(request)
    assert not node.role.skip_ahead


def test_node_that_lost_its_tail_skips_ahead_when_it_must_act_alone() -> None:
    node = starting(Cell(7, 4, A, mask(A, B)), node=B, lsn=10, epoch=4, lost_tail=True)
    node.passes(STARTUP / MS + 20)
    node.wins(node.claims())
    assert node.role.skip_ahead


@pytest.mark.parametrize(
    ("node", "own", "peers", "leads"),
    [
        (B, (4, 10), (3, 99), True),
        (B, (3, 99), (4, 10), False),
        (B, (4, 11), (4, 10), True),
        (A, (4, 10), (4, 11), False),
        (A, (4, 10), (4, 10), True),
        (B, (4, 10), (4, 10), False),
    ],
)
def test_two_that_come_back_compare_logs(node: int, own: tuple[int, int], peers: tuple[int, int], leads: bool) -> None:
    it = starting(Cell(7, 4, A, mask(A, B)), node=node, lsn=own[1], epoch=own[0])
    it.now += 1 * MS
    it.hears(State.STARTING, peers[0], peers[0], peers[1])
    request = it.role.take_request()
    assert (request is not None and request.kind is RequestKind.COMPARE_AND_SET) == leads


def test_restarted_node_leaves_the_takeover_to_a_living_standby() -> None:
    node = starting(Cell(7, 4, A, mask(A, B)), node=A, lsn=10, epoch=4)
    node.passes(20, hearing=(State.STANDBY, 4))
    assert node.quiet()
    node.hears(State.PRIMARY, 5, 5, 11)
    assert (node.role.state, node.role.epoch) == (State.STANDBY, 5)


def test_restarted_primary_is_not_primary_of_its_old_epoch_however_often_the_register_names_it() -> None:
    cell = Cell(7, 4, A, mask(A, B))
    node = starting(cell, node=A, lsn=10, epoch=4)
    node.role.on_register(0, RegisterOutcome.VALUE, cell._replace(version=8), node.now)
    assert node.role.state is State.STARTING
    assert node.role.release is Release.NOTHING


# --- takeover -------------------------------------------------------------------------------------------------------


def test_tripwire_makes_an_in_sync_standby_claim_without_a_read() -> None:
    node = standby_in_sync()
    node.role.on_tripwire(False, node.now)
    assert node.role.state is State.CANDIDATE
    request = node.claims()
    assert (request.expected, request.desired[1:]) == (Cell(7, 4, A, mask(A, B)), (5, B, mask(B)))
    node.now += 1 * MS
    node.wins(request)
    assert (node.role.state, node.role.epoch, node.role.release) == (State.PRIMARY, 5, Release.ALL)
    assert node.role.cause is Cause.TRIPWIRE
    assert node.role.won_mono_ns - node.role.detected_mono_ns == 1 * MS


def test_silence_makes_an_in_sync_standby_claim() -> None:
    node = standby_in_sync()
    node.passes(SUSPECT / MS - 1)
    assert node.role.state is State.STANDBY
    node.passes(2)
    assert (node.role.state, node.role.cause) == (State.CANDIDATE, Cause.SILENCE)


def test_heartbeats_keep_the_standby_a_standby() -> None:
    node = standby_in_sync()
    node.passes(1_000, hearing=(State.PRIMARY, 4))
    assert node.role.state is State.STANDBY
    assert node.quiet()


def test_peer_that_is_no_primary_any_more_counts_as_lost() -> None:
    node = standby_in_sync()
    node.passes(SUSPECT / MS + 1, hearing=(State.STARTING, 4))
    assert node.role.state is State.CANDIDATE


def test_fenced_primary_is_taken_over_at_once() -> None:
    node = standby_in_sync()
    node.hears(State.FENCED, 4, 4, 10)
    assert node.role.state is State.CANDIDATE


def test_standby_that_was_paused_itself_does_not_blame_its_peer() -> None:
    node = standby_in_sync()
    node.sleeps(10_000)
    assert node.role.state is State.STANDBY
    node.passes(SUSPECT / MS - 1)
    assert node.role.state is State.STANDBY
    node.passes(2)
    assert node.role.state is State.CANDIDATE


def test_standby_outside_in_sync_never_takes_over() -> None:
    node = Node(B, lsn=10, epoch=4)
    node.hears(State.PRIMARY, 4, 4, 10)
    node.role.on_tripwire(True, node.now)
    node.reads(Cell(7, 4, A, mask(A)))
    node.role.on_tripwire(False, node.now)
    for _ in range(50):
        node.passes(100)
        request = node.role.take_request()
        if request is not None:
            assert request.kind is RequestKind.READ
            node.answer(request, RegisterOutcome.VALUE, Cell(7, 4, A, mask(A)))
    assert node.role.state is State.STANDBY
    assert node.role.command(Command.TAKEOVER, node.now) is CommandStatus.NOT_IN_SYNC


def test_candidate_that_was_put_out_of_sync_goes_back_to_standby() -> None:
    node = standby_in_sync()
    node.role.on_tripwire(False, node.now)
    node.loses(node.claims(), Cell(8, 4, A, mask(A)))
    assert (node.role.state, node.role.cause) == (State.STANDBY, Cause.LOST_REGISTER)
    assert node.quiet() or node.role.state is State.STANDBY


def test_candidate_tries_again_when_only_the_version_was_old() -> None:
    node = standby_in_sync()
    node.role.on_tripwire(False, node.now)
    node.loses(node.claims(), Cell(9, 4, A, mask(A, B)))
    request = node.claims()
    assert (request.expected.version, request.desired.epoch) == (9, 5)


def test_unanswered_claim_that_took_effect_is_recognised() -> None:
    node = standby_in_sync()
    node.role.on_tripwire(False, node.now)
    first = node.claims()
    node.answer(first, RegisterOutcome.UNKNOWN)
    node.passes(RETRY / MS + 15)
    node.loses(node.claims(), Cell(8, 5, B, mask(B)))
    assert (node.role.state, node.role.epoch) == (State.PRIMARY, 5)


def test_candidate_without_an_answer_follows_a_primary_that_is_there_after_all() -> None:
    node = standby_in_sync()
    node.role.on_tripwire(False, node.now)
    claim = node.claims()
    node.now += 5 * MS
    node.hears(State.PRIMARY, 4, 4, 10)
    assert node.role.state is State.CANDIDATE
    node.answer(claim, RegisterOutcome.UNKNOWN)
    assert node.role.state is State.STANDBY
    node.passes(RETRY / MS + 15, hearing=(State.PRIMARY, 4))
    node.reads(Cell(8, 5, B, mask(B)))
    assert node.role.state is State.PRIMARY


def test_answer_older_than_the_primary_that_was_met_makes_nobody_primary() -> None:
    node = standby_in_sync()
    node.role.on_tripwire(False, node.now)
    claim = node.claims()
    assert claim.desired.epoch == 5
    node.hears(State.PRIMARY, 6, 6, 12)  # it was handed epoch 5 meanwhile, did not notice, and was replaced
    node.loses(claim, Cell(8, 5, B, mask(A, B)))
    assert (node.role.state, node.role.epoch) == (State.STANDBY, 6)
    assert node.role.cell == Cell(8, 6, A, mask(A))


def test_claim_of_a_former_life_is_no_permission() -> None:
    node = Node(B, lsn=10, epoch=4)
    node.hears(State.PRIMARY, 4, 4, 10)
    node.reads(Cell(8, 5, B, mask(B)))
    assert node.role.state is State.CANDIDATE
    assert node.claims().desired[1:] == (6, B, mask(B))


def test_operator_can_make_an_in_sync_standby_take_over() -> None:
    node = standby_in_sync()
    assert node.role.command(Command.TAKEOVER, node.now) is CommandStatus.ACCEPTED
    node.wins(node.claims())
    assert (node.role.state, node.role.cause, node.role.skip_ahead) == (State.PRIMARY, Cause.COMMAND, False)


def test_acting_alone_is_refused_while_the_primary_is_heard() -> None:
    node = standby_in_sync()
    assert node.role.command(Command.ACT_ALONE, node.now) is CommandStatus.PEER_ALIVE


def test_out_of_sync_standby_acts_alone_by_command_and_skips_ahead() -> None:
    node = Node(B, lsn=10, epoch=4)
    node.hears(State.PRIMARY, 4, 4, 10)
    node.reads(Cell(7, 4, A, mask(A)))
    node.passes(SUSPECT / MS + 1)
    assert node.role.command(Command.ACT_ALONE, node.now) is CommandStatus.ACCEPTED
    request = node.claims()
    assert request.act_alone
    node.wins(request)
    assert (node.role.state, node.role.epoch, node.role.skip_ahead) == (State.PRIMARY, 5, True)


def test_candidate_that_a_lost_register_holds_up_acts_alone_by_command() -> None:
    node = standby_in_sync()
    node.role.on_tripwire(False, node.now)
    node.loses(node.claims(), EMPTY)
    node.passes(RETRY / MS + 15)
    assert node.role.state is State.CANDIDATE
    while (request := node.role.take_request()) is not None:
        node.loses(request, EMPTY)
    assert node.role.command(Command.ACT_ALONE, node.now) is CommandStatus.ACCEPTED
    assert node.role.command(Command.ACT_ALONE, node.now) is CommandStatus.BUSY
    node.passes(RETRY / MS + 15)
    cell = EMPTY
    for _ in range(10):
        request = node.role.take_request()
        if request is None:
            node.passes(RETRY / MS + 15)
        elif request.kind is RequestKind.READ:
            node.answer(request, RegisterOutcome.VALUE, cell)
        elif request.expected.version == cell.version:
            cell = node.wins(request)
        else:
            node.loses(request, cell)
    assert (node.role.state, node.role.epoch, node.role.skip_ahead) == (State.PRIMARY, 5, True)
    assert node.role.release is Release.ALL
    assert cell.in_sync == mask(B)


# --- primary --------------------------------------------------------------------------------------------------------


def test_primary_requires_acks_before_it_declares_the_standby_in_sync() -> None:
    node = primary_solo()
    node.hears(State.STANDBY, 5, 5, 8)
    node.acked(9)
    assert node.role.release is Release.ACKED
    assert node.quiet()
    node.acked(11)
    request = node.claims()
    assert request.desired[1:] == (5, A, mask(A, B))
    node.wins(request)
    node.passes(1, hearing=(State.STANDBY, 5))
    assert (node.role.release, node.role.cause) == (Release.ACKED, Cause.CAUGHT_UP)


def test_a_standby_is_declared_in_sync_only_once_it_knows_that_it_may_act_for_the_pair() -> None:
    node = primary_solo()
    node.hears(State.STANDBY, 5, 5, 11, in_doubt=True)
    node.acked(11)
    assert node.role.release is Release.ACKED
    assert node.quiet()
    node.hears(State.STANDBY, 5, 5, 11)
    assert node.claims().desired[1:] == (5, A, mask(A, B))


def test_standby_far_behind_is_not_waited_for() -> None:
    node = primary_solo()
    node.log_ends_at(100_000, 5)
    node.hears(State.STANDBY, 5, 5, 8)
    node.acked(9)
    assert node.role.release is Release.ALL
    assert node.quiet()


def test_standby_that_stops_before_it_is_in_sync_does_not_stall_orders() -> None:
    node = primary_solo()
    node.hears(State.STANDBY, 5, 5, 8)
    node.acked(9)
    node.passes(SUSPECT / MS + 15, hearing=(State.STANDBY, 5))
    assert node.role.release is Release.ALL


def test_unanswered_join_keeps_acks_required_until_the_register_moves_past_it() -> None:
    node = primary_solo()
    node.hears(State.STANDBY, 5, 5, 11)
    node.acked(11)
    join = node.claims()
    node.answer(join, RegisterOutcome.UNKNOWN)
    node.role.on_tripwire(True, node.now)
    node.role.on_tripwire(False, node.now)
    node.passes(RETRY / MS + 15)
    assert node.role.release is Release.ACKED
    solo = node.claims()
    assert solo.desired[1:] == (5, A, mask(A))
    node.role.on_register(0, RegisterOutcome.VALUE, solo.expected, node.now)
    assert node.role.release is Release.ACKED, "the same version again settles nothing"
    node.wins(solo)
    assert node.role.release is Release.ALL


def test_primary_goes_solo_only_after_it_won_the_register() -> None:
    node = primary_in_sync()
    node.role.on_tripwire(False, node.now)
    assert node.role.release is Release.ACKED
    request = node.claims()
    assert request.desired[1:] == (5, A, mask(A))
    assert node.role.release is Release.ACKED
    node.wins(request)
    assert (node.role.state, node.role.release, node.role.cause) == (State.PRIMARY, Release.ALL, Cause.TRIPWIRE)


def test_primary_lets_a_candidate_that_lives_finish_before_it_goes_solo() -> None:
    node = primary_in_sync()
    node.hears(State.CANDIDATE, 5, 5, 11)
    request = node.asks()
    assert request.kind is RequestKind.READ
    node.answer(request, RegisterOutcome.VALUE, Cell(10, 6, B, mask(B)))
    assert node.role.state is State.FENCED


def test_primary_goes_solo_when_a_candidate_stays_one() -> None:
    node = primary_in_sync()
    node.hears(State.CANDIDATE, 5, 5, 11)
    node.reads(node.role.cell)
    node.passes(60, hearing=(State.CANDIDATE, 5))
    request = node.asks()
    while request.kind is RequestKind.READ:
        node.answer(request, RegisterOutcome.VALUE, node.role.cell)
        request = node.asks()
    assert request.desired[1:] == (5, A, mask(A))


def test_primary_that_cannot_reach_the_register_is_fenced_after_the_time_out() -> None:
    node = primary_in_sync()
    node.role.on_tripwire(False, node.now)
    node.claims()
    node.passes(FENCE / MS - 20)
    assert node.role.state is State.PRIMARY
    node.passes(40)
    assert (node.role.state, node.role.release, node.role.cause) == (State.FENCED, Release.NOTHING, Cause.NO_REGISTER)
    assert not node.role.intake


def test_primary_goes_on_without_a_standby_that_lives_but_acknowledges_nothing() -> None:
    node = primary_in_sync()
    node.log_ends_at(15, 5)
    node.passes(FENCE / MS - 100, hearing=(State.STANDBY, 5))
    node.acked(12)
    node.passes(FENCE / MS - 100, hearing=(State.STANDBY, 5))
    assert node.quiet(), "it is slow, but it moves"
    node.passes(110, hearing=(State.STANDBY, 5))
    request = node.claims()
    assert (request.desired[1:], node.role.release) == ((5, A, mask(A)), Release.ACKED)
    node.wins(request)
    assert (node.role.release, node.role.cause) == (Release.ALL, Cause.NO_ACKS)
    node.passes(500, hearing=(State.STANDBY, 5))
    assert node.role.release is Release.ALL, "it is not waited for before it moves again"
    node.acked(15)
    assert node.role.release is Release.ACKED
    assert node.claims().desired[1:] == (5, A, mask(A, B))


def test_primary_with_nothing_to_acknowledge_misses_no_acknowledgement() -> None:
    node = primary_in_sync()
    for _ in range(30):
        node.passes(100, hearing=(State.STANDBY, 5))
        node.acked(11)
    assert node.quiet()
    node.log_ends_at(12, 5)
    node.passes(100, hearing=(State.STANDBY, 5))
    assert node.quiet()


def test_primary_stays_in_sync_with_a_stalled_standby_if_it_cannot_reach_the_register() -> None:
    node = primary_in_sync()
    node.log_ends_at(15, 5)
    node.passes(3 * FENCE / MS, hearing=(State.STANDBY, 5))
    assert (node.role.state, node.role.release) == (State.PRIMARY, Release.ACKED)


def test_solo_primary_goes_on_without_the_register() -> None:
    node = primary_solo()
    node.passes(10 * FENCE / MS)
    assert (node.role.state, node.role.release) == (State.PRIMARY, Release.ALL)
    assert node.quiet()


def test_primary_that_lost_the_register_is_fenced_and_then_follows() -> None:
    node = primary_in_sync()
    node.role.on_tripwire(False, node.now)
    node.loses(node.claims(), Cell(10, 6, B, mask(B)))
    assert (node.role.state, node.role.cause) == (State.FENCED, Cause.LOST_REGISTER)
    node.hears(State.PRIMARY, 6, 6, 12)
    assert (node.role.state, node.role.epoch, node.role.primary) == (State.STANDBY, 6, B)


def test_primary_that_meets_a_later_epoch_is_fenced_before_it_follows() -> None:
    node = primary_in_sync()
    node.hears(State.PRIMARY, 6, 6, 12)
    assert (node.role.state, node.role.cause, node.role.release) == (State.FENCED, Cause.LATER_EPOCH, Release.NOTHING)
    node.hears(State.PRIMARY, 6, 6, 12)
    assert node.role.state is State.STANDBY


def test_primary_ignores_a_primary_of_an_older_epoch() -> None:
    node = primary_in_sync()
    node.hears(State.PRIMARY, 4, 4, 12)
    assert node.role.state is State.PRIMARY


def test_fenced_node_that_nobody_replaced_needs_a_new_epoch() -> None:
    node = primary_in_sync()
    node.role.on_tripwire(False, node.now)
    node.claims()
    node.passes(FENCE / MS + 20)
    assert node.role.state is State.FENCED
    claim = None
    for _ in range(1_000):
        node.passes(10)
        request = node.role.take_request()
        if request is None:
            continue
        if request.kind is RequestKind.COMPARE_AND_SET and request.desired.epoch == 6:
            claim = request
            break
        node.answer(request, RegisterOutcome.VALUE, Cell(9, 5, A, mask(A, B)))
    assert claim is not None
    node.wins(claim)
    assert (node.role.state, node.role.epoch) == (State.PRIMARY, 6)


def test_operator_can_drop_the_standby() -> None:
    node = primary_in_sync()
    assert node.role.command(Command.SOLO, node.now) is CommandStatus.ACCEPTED
    node.wins(node.claims())
    assert node.role.release is Release.ALL
    node.passes(500, hearing=(State.STANDBY, 5))
    assert node.role.release is Release.ALL, "it stays dropped until it has left and joined again"
    node.acked(0, joined=False)
    node.acked(11)
    assert node.role.release is Release.ACKED


# --- switchover -----------------------------------------------------------------------------------------------------


def test_switchover_stops_intake_and_waits_for_the_whole_log() -> None:
    node = primary_in_sync()
    node.log_ends_at(15, 5)
    assert node.role.command(Command.SWITCHOVER, node.now) is CommandStatus.ACCEPTED
    assert not node.role.intake
    assert node.quiet()
    assert node.role.command(Command.SWITCHOVER, node.now) is CommandStatus.BUSY
    node.acked(15)
    request = node.claims()
    assert request.desired[1:] == (6, B, mask(A, B))
    node.wins(request)
    assert (node.role.state, node.role.epoch, node.role.primary) == (State.STANDBY, 6, B)
    assert node.role.cause is Cause.SWITCHOVER
    assert node.role.handovers_given_up == 0


def test_switchover_that_cannot_finish_is_given_up() -> None:
    node = primary_in_sync()
    node.log_ends_at(15, 5)
    node.role.command(Command.SWITCHOVER, node.now)
    node.passes(FENCE / MS + 20, hearing=(State.STANDBY, 5))
    assert node.role.state is State.PRIMARY
    assert node.role.intake
    assert node.role.handovers_given_up == 1


def test_unanswered_switchover_that_took_effect_is_recognised_when_the_standby_is_lost() -> None:
    node = primary_in_sync()
    node.role.command(Command.SWITCHOVER, node.now)
    node.answer(node.claims(), RegisterOutcome.UNKNOWN)
    node.role.on_tripwire(False, node.now)
    assert node.role.intake
    node.passes(RETRY / MS + 15)
    node.loses(node.claims(), Cell(10, 6, B, mask(A, B)))
    assert (node.role.state, node.role.epoch) == (State.STANDBY, 6)


def test_handover_makes_the_standby_primary_with_the_old_one_in_sync() -> None:
    node = standby_in_sync()
    node.role.on_handover(5, node.now)
    assert (node.role.state, node.role.epoch, node.role.release) == (State.PRIMARY, 5, Release.ACKED)
    assert node.role.cause is Cause.SWITCHOVER


def test_lost_handover_is_read_from_the_register() -> None:
    node = standby_in_sync()
    node.passes(RETRY / MS, hearing=(State.PRIMARY, 4))
    node.hears(State.STANDBY, 5, 4, 10)
    node.reads(Cell(8, 5, B, mask(A, B)))
    assert (node.role.state, node.role.epoch, node.role.release) == (State.PRIMARY, 5, Release.ACKED)


def test_switchover_is_refused_without_an_in_sync_standby() -> None:
    assert primary_solo().role.command(Command.SWITCHOVER, 0) is CommandStatus.NOT_IN_SYNC
    assert standby_in_sync().role.command(Command.SWITCHOVER, 0) is CommandStatus.NOT_PRIMARY


# --- requests -------------------------------------------------------------------------------------------------------


def test_request_is_given_out_once_and_again_with_a_new_id_after_the_time_out() -> None:
    node = Node(A)
    first = node.asks()
    assert node.quiet()
    node.passes(TIMEOUT / MS + 20)
    second = node.asks()
    assert second.id > first.id


def test_late_answer_informs_but_an_older_one_changes_nothing() -> None:
    node = Node(A)
    first = node.asks()
    node.passes(TIMEOUT / MS + 20)
    node.asks()
    node.answer(first, RegisterOutcome.VALUE, Cell(7, 4, B, mask(B)))
    assert node.role.cell.version == 7
    node.role.on_register(0, RegisterOutcome.VALUE, Cell(6, 3, A, mask(A)), node.now)
    assert node.role.cell == Cell(7, 4, B, mask(B))


def test_deadline_is_ahead_of_the_timer_in_every_state() -> None:
    for node in (Node(A), standby_in_sync(), primary_solo(), primary_in_sync()):
        for _ in range(200):
            before = node.role.deadline
            node.now = max(node.now + 1, before)
            node.role.on_timer(node.now)
            assert node.role.deadline > node.now


@pytest.mark.parametrize(("node", "peer"), [(0, 0), (0, 8), (-1, 0)])
def test_impossible_node_indices_are_refused(node: int, peer: int) -> None:
    with pytest.raises(ValueError, match="node"):
        Role(node, peer, now=0)


def test_standby_that_makes_no_use_of_its_claim_does_not_hold_up_a_restarted_node_for_ever() -> None:
    node = starting(Cell(7, 4, A, mask(A, B)), node=A, lsn=10, epoch=4)
    node.passes(STARTUP / MS - 20, hearing=(State.STANDBY, 4))
    assert node.asks().kind is RequestKind.READ
    node.passes(40, hearing=(State.STANDBY, 4))
    assert node.claims().desired.epoch == 5
