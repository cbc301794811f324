"""The client's protocol core against a simulated pair: whatever breaks, each message comes once and in order.

No sockets, no clock, no sleeping: the world below moves bytes and time as hypothesis chooses.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.client.errors import BackPressure, ClientClosed, InvalidRequest, NotConnected
from gateway.client.events import Connected, Message
from gateway.client.links import (
    BACKOFF_MAX_NS,
    BACKOFF_START_NS,
    CONNECT_TIMEOUT_NS,
    LOGIN_TIMEOUT_NS,
    MS,
    PING_INTERVAL_NS,
    SILENCE_LIMIT_NS,
    Phase,
    WishKind,
)
from gateway.client.protocol import ClientCore
from gateway.client.submission import REASON_TEXTS, Outcome, Submission
from gateway.native import clientwire as wire

SESSION = 5
NAME = "BROKER"
ORDER = b"55=A\x0154=1\x01"


class SimNode:
    """One node; what it writes waits in `to_client` until the world lets it through."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.epoch = 0  # of which it believes to be primary; 0: standby
        self.up = True
        self.connected = False
        self.logged_in = False
        self.reads = bytearray()
        self.to_client = bytearray()
        self.login: wire.Login | None = None

    def reset_connection(self) -> None:
        self.connected = self.logged_in = False
        self.reads.clear()
        self.to_client.clear()


class World(RuleBasedStateMachine):
    """Two nodes, one log, one client; every fault that the client protocol must hide."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.core = ClientCore("alpha", b"t", ["a", "b"], id_prefix="id-", max_events=50)
        self.nodes = [SimNode(0), SimNode(1)]
        self.epoch = 0
        self.orders: dict[str, int] = {}
        self.refused: set[str] = set()
        self.unreleased: list[str] = []  # numbered, not yet told
        self.log: list[tuple[int, int]] = []  # (generation, seq) of every message of the counterparty
        self.generation = 0
        self.submissions: list[Submission] = []
        self.outcomes: dict[str, int] = {}
        self.delivered: list[tuple[int, int]] = []
        self.followed = 0  # highest epoch that the client said it follows

    # --- faults and traffic -------------------------------------------------------------------------------------------

    @initialize()
    def start(self) -> None:
        self.promote(0)

    @rule(which=st.integers(0, 1))
    def take_over(self, which: int) -> None:
        """The other node may go on believing in its epoch: a stale primary."""
        if self.nodes[which].up and self.nodes[which].epoch != self.epoch:
            self.promote(which)

    @rule(which=st.integers(0, 1))
    def step_down(self, which: int) -> None:
        node = self.nodes[which]
        if node.epoch:
            node.epoch = 0
            self.greet(node)

    @rule(which=st.integers(0, 1))
    def kill(self, which: int) -> None:
        node = self.nodes[which]
        node.up = False
        node.epoch = 0
        self.drop(which)

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.nodes[which].up = True

    @rule(which=st.integers(0, 1))
    def drop(self, which: int) -> None:
        """Bytes under way are lost with the connection."""
        node = self.nodes[which]
        if node.connected:
            node.reset_connection()
            self.core.on_disconnected(which, self.now, "dropped")

    @rule()
    def submit(self) -> None:
        try:
            submission = self.core.submit(SESSION, "D", ORDER)
        except BackPressure:
            return
        submission.add_done_callback(self.count_outcome)
        self.submissions.append(submission)

    @rule()
    def message(self) -> None:
        self.log.append((self.generation, len([1 for g, _ in self.log if g == self.generation]) + 1))
        for node in self.nodes:
            if node.epoch and node.logged_in:
                self.feed(node, self.log[-1])

    @rule()
    def day_change(self) -> None:
        self.generation += 1

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A primary feeds something again."""
        place = data.draw(st.sampled_from(self.log))
        if place <= self.core.positions.get(SESSION, (-1, 0)):
            for node in self.nodes:
                if node.epoch and node.logged_in:
                    self.feed(node, place)

    @rule()
    def release(self) -> None:
        """What the log holds may be told now."""
        primary = self.primary()
        unreleased, self.unreleased = self.unreleased, []
        if primary is not None and primary.logged_in:
            for cl_ord_id in unreleased:
                primary.to_client += wire.accepted(SESSION, 0, self.orders[cl_ord_id], cl_ord_id)

    @rule(which=st.integers(0, 1), size=st.integers(1, 400))
    def let_through(self, which: int, size: int) -> None:
        node = self.nodes[which]
        if node.connected and node.to_client and self.core.wants_to_read(which):
            data = bytes(node.to_client[:size])
            del node.to_client[:size]
            self.core.on_bytes(which, data, self.now)
            self.carry_out()

    @rule(mode=st.sampled_from(["accept", "accept later", "hold", "refuse", "lose"]))
    def hear(self, mode: str) -> None:
        """The nodes read what the client wrote."""
        for node in self.nodes:
            node.reads += self.core.take_output(node.index) if node.connected else b""
            frames, used = wire.decode(node.reads)
            del node.reads[:used]
            for frame in frames:
                self.take(node, frame, mode)

    @rule(by_ms=st.integers(0, 3000))
    def time_passes(self, by_ms: int) -> None:
        self.now += by_ms * MS
        self.core.tick(self.now)
        self.carry_out()

    @rule()
    def read_events(self) -> None:
        while self.core.events:
            event = self.core.events.popleft()
            if isinstance(event, Message):
                self.delivered.append((event.generation, event.seq))
            elif isinstance(event, Connected):
                assert event.epoch >= self.followed
                self.followed = event.epoch

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def messages_come_once_and_in_order(self) -> None:
        assert self.delivered == self.log[: len(self.delivered)]

    @invariant()
    def no_submission_has_two_outcomes(self) -> None:
        assert all(count == 1 for count in self.outcomes.values())

    @invariant()
    def an_outcome_is_true(self) -> None:
        for submission in self.submissions:
            if submission.outcome is Outcome.ACCEPTED:
                assert submission.seq == self.orders[submission.cl_ord_id]
            elif submission.outcome is Outcome.REJECTED:
                assert submission.cl_ord_id in self.refused

    @invariant()
    def only_the_latest_epoch_is_followed(self) -> None:
        active = self.core.active
        assert active is None or (active.phase is Phase.PRIMARY and active.epoch == self.core.epoch)

    def teardown(self) -> None:
        """When the faults stop, everything is settled within bounded time."""
        self.nodes[0].up = self.nodes[1].up = True
        if self.primary() is None:
            self.promote(0)
        for _ in range(60):
            self.time_passes(100)
            self.hear("accept")
            self.release()
            for which in (0, 1):
                self.let_through(which, 1 << 20)
            self.read_events()
        assert self.delivered == self.log
        assert all(submission.done for submission in self.submissions)
        assert len(self.outcomes) == len(self.submissions)
        numbers = [self.orders[s.cl_ord_id] for s in self.submissions if s.outcome is Outcome.ACCEPTED]
        assert len(numbers) == len(set(numbers)) == len(self.orders)

    # --- the pair -----------------------------------------------------------------------------------------------------

    def primary(self) -> SimNode | None:
        return next((node for node in self.nodes if node.epoch == self.epoch and node.up), None)

    def promote(self, which: int) -> None:
        self.epoch += 1
        self.nodes[which].epoch = self.epoch
        self.greet(self.nodes[which])

    def greet(self, node: SimNode) -> None:
        if not node.logged_in:
            return
        if not node.epoch:
            node.to_client += wire.standby(node.index)
            return
        info = wire.SessionInfo(SESSION, NAME, 4, self.generation, len(self.orders) + 1)
        node.to_client += wire.welcome(node.index, node.epoch, [info])
        assert node.login is not None
        read = {session: (generation, seq) for session, generation, seq in node.login.positions}.get(SESSION, (-1, 0))
        for place in self.log:
            if place > read:
                self.feed(node, place)

    def feed(self, node: SimNode, place: tuple[int, int]) -> None:
        node.to_client += wire.message(SESSION, *place, b"35=8\x01")

    def take(self, node: SimNode, frame: wire.Frame, mode: str) -> None:
        if isinstance(frame, wire.Login):
            node.login = frame
            node.logged_in = True
            self.greet(node)
        elif isinstance(frame, wire.Ping):
            node.to_client += wire.pong(frame.seq)
        elif isinstance(frame, wire.Submit) and node.epoch == self.epoch:  # a stale primary can promise nothing
            self.decide(node, frame, mode)

    def decide(self, node: SimNode, frame: wire.Submit, mode: str) -> None:
        cl_ord_id = wire.find_cl_ord_id(frame.fields)
        assert cl_ord_id is not None
        if cl_ord_id in self.refused:
            node.to_client += wire.order_state(SESSION, 0, 0, wire.OrderStatus.REFUSED, cl_ord_id, 10)
        elif cl_ord_id in self.unreleased:
            pass  # told when it is released
        elif cl_ord_id in self.orders:
            node.to_client += wire.order_state(SESSION, 0, self.orders[cl_ord_id], 1, cl_ord_id)
        elif mode == "hold":
            node.to_client += wire.held(SESSION, cl_ord_id)
            self.number(cl_ord_id)
            self.unreleased.append(cl_ord_id)
        elif mode == "refuse":
            self.refused.add(cl_ord_id)
            node.to_client += wire.rejected(SESSION, 10, cl_ord_id, "too much")
        elif mode.startswith("accept"):
            self.number(cl_ord_id)
            if mode == "accept":
                node.to_client += wire.accepted(SESSION, 0, self.orders[cl_ord_id], cl_ord_id)
            else:
                self.unreleased.append(cl_ord_id)
        else:
            self.drop(node.index)  # "lose": the node dies before it logs the order

    def number(self, cl_ord_id: str) -> None:
        self.orders[cl_ord_id] = len(self.orders) + 1

    def carry_out(self) -> None:
        for wish in self.core.take_wishes():
            node = self.nodes[wish.node]
            node.reset_connection()
            if wish.kind is WishKind.CONNECT and node.up:
                node.connected = True
                self.core.on_connected(wish.node, self.now)
            else:
                self.core.on_disconnected(wish.node, self.now, "refused")

    def count_outcome(self, submission: Submission) -> None:
        self.outcomes[submission.cl_ord_id] = self.outcomes.get(submission.cl_ord_id, 0) + 1


World.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestEverythingArrivesOnceWhateverBreaks = World.TestCase


# --- timers and limits ---------------------------------------------------------------------------------------------


def fresh(**options: Any) -> ClientCore:
    return ClientCore("alpha", b"t", ["a", "b"], **options)


def connected(**options: Any) -> ClientCore:
    """A core that follows node a in epoch 1, at time 0."""
    core = fresh(**options)
    core.tick(0)
    core.take_wishes()
    core.on_connected(0, 0)
    info = wire.SessionInfo(SESSION, NAME, 4, 0, 1)
    core.on_bytes(0, wire.welcome(0, 1, [info]), 0)
    core.take_output(0)
    return core


def test_back_off_doubles_up_to_its_limit_and_jitter_is_added() -> None:
    core = ClientCore("alpha", b"t", ["a"], jitter=lambda: 0.5)
    now, waits = 0, []
    for _ in range(10):
        core.tick(now)
        assert [wish.kind for wish in core.take_wishes()] == [WishKind.CONNECT]
        core.on_disconnected(0, now, "refused")
        waits.append(core.deadline() - now)
        now = core.deadline()
    start = BACKOFF_START_NS * 5 // 4
    assert waits[:4] == [start, 2 * start, 4 * start, 8 * start]
    assert waits[-1] == BACKOFF_MAX_NS * 5 // 4


def test_a_connection_that_is_not_made_in_time_is_given_up() -> None:
    core = fresh()
    core.tick(0)
    assert [wish.kind for wish in core.take_wishes()] == [WishKind.CONNECT] * 2
    core.tick(CONNECT_TIMEOUT_NS)
    assert [wish.kind for wish in core.take_wishes()] == [WishKind.CLOSE] * 2


def test_a_login_that_is_not_answered_in_time_is_given_up() -> None:
    core = ClientCore("alpha", b"t", ["a"])
    core.tick(0)
    core.take_wishes()
    core.on_connected(0, 0)
    core.tick(LOGIN_TIMEOUT_NS - 1)
    assert not core.take_wishes()
    core.tick(LOGIN_TIMEOUT_NS)
    assert [wish.kind for wish in core.take_wishes()] == [WishKind.CLOSE]


@pytest.mark.parametrize("again", [False, True])
def test_an_order_of_an_earlier_life_is_marked_as_such(again: bool) -> None:
    core = connected()
    core.take_output(0)
    core.submit(SESSION, "D", ORDER, "mine", again=again)
    frame = core.take_output(0)
    assert (frame == wire.submit_again(frame)) is again


def test_a_silent_node_is_pinged_and_then_given_up() -> None:
    core = connected()
    core.tick(PING_INTERVAL_NS)
    ((ping,), _) = wire.decode(core.take_output(0))
    assert isinstance(ping, wire.Ping)
    core.tick(SILENCE_LIMIT_NS)
    assert (WishKind.CLOSE, 0) in [(wish.kind, wish.node) for wish in core.take_wishes()]
    assert core.active is None


def test_a_node_that_answers_pings_is_kept() -> None:
    core = connected()
    for now in range(0, 10 * SILENCE_LIMIT_NS, PING_INTERVAL_NS):
        core.tick(now)
        core.on_bytes(0, wire.pong(1), now)
    assert core.active is not None


def test_silence_is_not_held_against_a_node_that_is_not_listened_to() -> None:
    core = connected(max_events=1)
    assert not core.wants_to_read(0)  # Connected is unread
    core.tick(10 * SILENCE_LIMIT_NS)
    assert core.active is not None


def test_messages_from_a_standby_are_a_protocol_error() -> None:
    core = fresh()
    core.tick(0)
    core.take_wishes()
    core.on_connected(0, 0)
    core.on_bytes(0, wire.standby(0) + wire.message(SESSION, 0, 1, b""), 0)
    assert [wish.kind for wish in core.take_wishes()] == [WishKind.CLOSE]
    assert core.counters.malformed == 1


def test_positions_follow_a_session_that_is_numbered_differently_now() -> None:
    core = fresh(positions={1: (0, 7), 2: (3, 9)}, session_names={1: "X", 2: "Y"})
    core.tick(0)
    core.take_wishes()
    core.on_connected(0, 0)
    infos = [wire.SessionInfo(1, "Y", 4, 3, 1), wire.SessionInfo(4, "X", 4, 0, 1)]
    core.on_bytes(0, wire.welcome(0, 1, infos), 0)
    assert core.active is None  # the LOGIN named wrong positions: it must be said again
    assert core.positions == {1: (3, 9), 4: (0, 7)}
    assert core.session_index("X") == 4


def test_an_order_that_the_gateway_had_already_is_shown_as_such() -> None:
    core = connected()
    submission = core.submit(NAME, "D", ORDER, "o")
    core.on_bytes(0, wire.order_state(SESSION, 2, 8, wire.OrderStatus.FILLED, "o"), 0)
    assert "accepted, seq 8 of generation 2, which the gateway had already (filled)" in repr(submission)


@pytest.mark.parametrize("reason", wire.RejectReason)
def test_a_refusal_without_a_text_is_explained(reason: wire.RejectReason) -> None:
    core = connected()
    submission = core.submit(NAME, "D", ORDER, "o")
    core.on_bytes(0, wire.rejected(SESSION, reason, "o", ""), 0)
    assert f"rejected, {reason.name.lower()}: {REASON_TEXTS[reason]}>" in repr(submission)


def test_checkpoints_show_their_key_and_progress() -> None:
    core = connected()
    store, fetch = core.store(b"k", b"secret"), core.fetch(b"k")
    assert repr(store) == "<CheckpointStore b'k': pending>"
    assert repr(fetch) == "<CheckpointFetch b'k': pending>"
    core.on_bytes(0, wire.checkpoint_stored(b"k"), 0)
    core.close(ClientClosed("closed"))
    assert repr(store) == "<CheckpointStore b'k': done>"
    assert repr(fetch) == "<CheckpointFetch b'k': given up>"


def test_an_unknown_fate_is_not_called_accepted() -> None:
    core = connected()
    submission = core.submit(NAME, "D", ORDER, "o")
    core.on_bytes(0, wire.order_state(SESSION, 2, 8, wire.OrderStatus.UNKNOWN, "o"), 0)
    assert (submission.outcome, submission.seq, submission.generation) == (Outcome.UNKNOWN, 8, 2)


def test_a_newer_nodes_unknown_numbers_are_passed_on() -> None:
    core = connected()
    submission = core.submit(NAME, "D", ORDER, "o")
    core.on_bytes(0, wire.rejected(SESSION, 200, "o", "") + wire.fate(SESSION, 0, 1, 99, "o"), 0)
    assert submission.reason == 200
    assert core.events[-1].kind == 99
    assert "reason 200" in repr(submission)


def test_a_full_core_refuses_and_keeps_what_it_has() -> None:
    core = connected(max_pending=2)
    core.submit(NAME, "D", ORDER)
    core.submit(NAME, "D", ORDER)
    with pytest.raises(BackPressure):
        core.submit(NAME, "D", ORDER)
    assert core.pending == 2


def test_a_session_name_means_nothing_before_the_first_welcome() -> None:
    with pytest.raises(NotConnected, match="a waiting; b waiting"):
        fresh().submit(NAME, "D", ORDER)


@pytest.mark.parametrize("options", [{"max_pending": 0}, {"max_events": 0}])
def test_limits_must_be_positive(options: Any) -> None:
    with pytest.raises(InvalidRequest):
        fresh(**options)


@pytest.mark.parametrize("name", ["", "m\u00f6mentum"])
def test_a_name_that_no_login_can_carry_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="client"):
        ClientCore(name, b"", ["a"])


def test_a_closed_client_is_shown_as_closed() -> None:
    core = connected()
    core.close(ClientClosed("closed"))
    assert repr(core).endswith(" closed>")


def test_a_client_left_to_the_parent_process_calls_nobody() -> None:
    core = connected()
    called: list[Submission] = []
    submission = core.submit(NAME, "D", ORDER, "o")
    submission.add_done_callback(called.append)
    core.leave(ClientClosed("forked"))
    assert (submission.done, str(submission.error), called) == (True, "forked", [])
    assert core.closed
    assert not core.events


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_noise_on_a_connection_never_escapes(chunks: list[bytes]) -> None:
    core = connected()
    for chunk in chunks:
        core.on_bytes(0, chunk, 0)
        core.take_wishes()


def test_connected_tells_the_sessions() -> None:
    event = connected().events[0]
    assert isinstance(event, Connected)
    assert (event.address, event.epoch, event.sessions[0].session) == ("a", 1, NAME)
