"""What a node derives from the log does not depend on when it does so: live, or from a log that goes on behind it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.native import clientwire as wire
from gateway.native.driven import DrivenNode
from gateway.native.encoder import utc_timestamp
from gateway.native.journal import Journal
from gateway.native.node import Node
from tests.fuzz.rig import KEY, MS, PAIR, Cell, Clock
from tests.support.sessions import SECOND

RESET = 3  # session_command
ORDER = b"55=A\x0154=1\x0138=1\x0140=1\x01"
E8 = 10**8
ORDERS = ("a", "b", "c")


def node_of_pair(number: int, journal: Journal) -> Node:
    """With a broker's session and a client."""
    owner = Node(
        journal,
        node=number,
        pair_id=PAIR,
        key=KEY,
        incarnation=1 + number,
        order_capacity=1 << 12,
        reorder_slots=64,
        window_records=1 << 12,
        startup_wait_ns=20 * MS,
        preferred=number == 0,
    )
    owner.add_session(
        "ONE",
        begin_string="FIX.4.4",
        sender_comp_id="GW",
        target_comp_id="BROKER",
        logon_barrier=False,
        sending_time_tolerance_ns=0,
    )
    owner.add_client("strategy", unrouted=True, max_open_qty_e8=4 * E8)
    return owner


def memory() -> Journal:
    return Journal.memory(segment_bytes=1 << 20, max_records=1 << 14, max_sessions=4, max_seq=1 << 12)


class Stage:
    """A primary that is logged on, and three orders at the broker."""

    def __init__(self) -> None:
        journal = memory()
        self.owner = node_of_pair(0, journal)
        self.node = DrivenNode(self.owner)
        self.clock = Clock(self.node)
        self.sent: list[bytes] = []  # to the standby
        self.cell = cell = Cell((1, 1, 0, 1))
        while self.owner.status()["role"] != "PRIMARY":
            self.clock.move(10 * MS)
            cell.serve(self.node)
            self.turn()
            journal.flush()
        self.log_on()
        self.client = self.login()
        for name in ORDERS:
            self.submit(name)
        self.turn()
        self.told()

    def turn(self) -> None:
        self.sent += self.node.turn()
        self.node.session_reads(0)

    def log_on(self) -> None:
        while not self.node.wants_connection(0):
            self.clock.move(10 * MS)
            self.turn()
        self.node.session_connects(0)
        self.turn()
        self.say("A", (98, 0), (108, 30))

    def login(self) -> int:
        slot = self.node.client_connects()
        self.node.client_sends(slot, wire.login("strategy", b""))
        self.turn()
        return slot

    def submit(self, name: str) -> None:
        self.node.client_sends(self.client, wire.submit(0, "D", name, ORDER))

    def told(self, slot: int | None = None) -> list[object]:
        data, _ = self.node.client_reads(self.client if slot is None else slot)
        return wire.decode(data)[0]

    def encode(self, seq: int, msg_type: str, *fields: tuple[int, object]) -> bytes:
        stamp = utc_timestamp(self.clock.wall_ns).decode()
        body = "".join(f"{tag}={value}\x01" for tag, value in fields)
        content = f"35={msg_type}\x0149=BROKER\x0156=GW\x0134={seq}\x0152={stamp}\x01{body}".encode()
        raw = b"8=FIX.4.4\x019=%d\x01" % len(content) + content
        return raw + b"10=%03d\x01" % (sum(raw) % 256)

    @property
    def next_in(self) -> int:
        return self.owner.status()["sessions"][0]["next_in"]

    def say(self, msg_type: str, *fields: tuple[int, object]) -> None:
        self.node.session_sends(0, self.encode(self.next_in, msg_type, *fields))
        self.turn()

    def grow_old(self) -> None:
        """Nothing of what was sent would be sent again."""
        for _ in range(20):
            self.clock.move(29 * SECOND)
            self.say("0")

    def day_change(self) -> None:
        self.node.session_leaves(0)
        assert self.node.session_command(0, RESET) == 0
        self.turn()


def states(owner: Node) -> dict[str, str]:
    return {name: owner.order(1, name.encode())["state"] for name in ORDERS}


def restarted(stage: Stage) -> None:
    stage.owner.rebuild()


def test_an_order_rejected_before_a_day_change_is_so_after_a_restart():
    stage = Stage()
    stage.say("3", (45, 2), (373, 5), (372, "D"))
    stage.say("3", (45, 3), (373, 5), (372, "D"))
    stage.day_change()
    before = states(stage.owner)
    assert before == {"a": "REJECTED", "b": "REJECTED", "c": "SENT"}
    restarted(stage)
    assert states(stage.owner) == before


def test_it_is_not_open_after_a_restart_either():
    stage = Stage()
    stage.say("3", (45, 2), (373, 5), (372, "D"))
    stage.say("3", (45, 3), (373, 5), (372, "D"))
    stage.day_change()
    restarted(stage)
    stage.log_on()
    for name in ("d", "e", "f"):  # with one open before: as many as there may be
        stage.submit(name)
        stage.turn()
    assert [frame.cl_ord_id for frame in stage.told() if isinstance(frame, wire.Accepted)] == ["d", "e", "f"]


def test_an_order_that_became_gap_fill_before_a_day_change_is_unknown_after_a_restart():
    stage = Stage()
    stage.grow_old()
    stage.say("2", (7, 1), (16, 0))
    stage.day_change()
    before = states(stage.owner)
    assert set(before.values()) == {"UNKNOWN"}
    restarted(stage)
    assert states(stage.owner) == before


@pytest.mark.parametrize("old", [True, False])
def test_what_a_resend_did_to_old_numbers_is_not_told_of_new_ones(old):
    stage = Stage()
    if old:
        stage.grow_old()
    resend = stage.encode(stage.next_in, "2", (7, 1), (16, 0))
    stage.node.session_sends(0, resend + stage.encode(1, "A", (98, 0), (108, 30), (141, "Y")))  # read by one call
    stage.turn()
    stage.told()
    for name in ("d", "e", "f"):
        stage.submit(name)
        stage.turn()
    late = stage.login()
    fates = [frame for frame in stage.told(late) if isinstance(frame, wire.Fate)]
    assert {(fate.cl_ord_id, fate.generation) for fate in fates} == {(name, 0) for name in ORDERS}


def test_what_became_gap_fill_is_told_though_a_reset_was_read_with_it():
    stage = Stage()
    stage.grow_old()
    resend = stage.encode(stage.next_in, "2", (7, 1), (16, 0))
    stage.node.session_sends(0, resend + stage.encode(1, "A", (98, 0), (108, 30), (141, "Y")))
    stage.turn()
    assert [frame.cl_ord_id for frame in stage.told() if isinstance(frame, wire.Fate)] == list(ORDERS)


def test_an_order_keeps_the_generation_in_which_it_was_numbered():
    stage = Stage()
    stage.submit("d")
    stage.node.session_leaves(0)  # all of it in one turn
    assert stage.node.session_command(0, RESET) == 0
    stage.turn()
    stage.told()
    stage.submit("d")
    (answer,) = [frame for frame in stage.told() if isinstance(frame, wire.OrderState)]
    assert (answer.generation, answer.seq) == (0, 5)


class Standby:
    """Follows the primary of a stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.owner = node_of_pair(1, memory())
        self.node = DrivenNode(self.owner)
        self.clock = Clock(self.node)
        self.clock.move(stage.clock.passed_ns)
        for _ in range(100):
            self.exchange()
        assert self.owner.status()["role"] == "STANDBY"

    def exchange(self) -> None:
        self.stage.clock.move(10 * MS)
        self.clock.move(self.stage.clock.passed_ns - self.clock.passed_ns)
        for node in (self.stage.node, self.node):
            self.stage.cell.serve(node)
        self.stage.turn()
        self.receive()

    def receive(self) -> None:
        """All that was sent since the last time, in one turn."""
        for datagram in self.stage.sent:
            self.node.receive_datagram(datagram)
        self.stage.sent.clear()
        for datagram in self.node.turn():
            self.stage.node.receive_datagram(datagram)


def test_a_standby_that_receives_a_reject_and_a_day_change_at_once_knows_what_was_rejected():
    stage = Stage()
    standby = Standby(stage)
    stage.say("3", (45, 2), (373, 5), (372, "D"))
    stage.say("3", (45, 3), (373, 5), (372, "D"))
    stage.day_change()
    standby.receive()
    assert states(standby.owner) == states(stage.owner) == {"a": "REJECTED", "b": "REJECTED", "c": "SENT"}


class Day:
    """What may happen between a primary, its client and its broker, in any order, with or without a turn between."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.names = list(ORDERS)
        self.data = b""  # that the broker has sent and the node has not read yet
        self.ahead = 0

    def order(self, _number: int) -> None:
        self.names.append(f"n{len(self.names)}")
        self.stage.submit(self.names[-1])

    def broker_says(self, msg_type: str, *fields: tuple[int, object]) -> None:
        self.data += self.stage.encode(self.stage.next_in + self.ahead, msg_type, *fields)
        self.ahead += 1

    def execution(self, number: int) -> None:
        name = self.names[number % len(self.names)]
        self.broker_says("8", (37, 1), (11, name), (17, number), (150, "0"), (39, "0"), (151, 1), (14, 0), (6, 0))

    def reject(self, number: int) -> None:
        self.broker_says("3", (45, 1 + number % 12), (373, 5), (372, "D"))

    def resend(self, number: int) -> None:
        self.broker_says("2", (7, 1 + number % 3), (16, 0))

    def reads(self, _number: int) -> None:
        data, self.data, self.ahead = self.data, b"", 0
        self.stage.node.session_sends(0, data)

    def logs_on_anew(self, number: int) -> None:
        """Both start at 1 again."""
        self.data += self.stage.encode(1, "A", (98, 0), (108, 30), (141, "Y"))
        self.reads(number)

    def day_change(self, number: int) -> None:
        self.reads(number)
        self.stage.node.session_leaves(0)
        self.stage.node.session_command(0, RESET)

    def log_on(self, _number: int) -> None:
        if self.stage.owner.status()["sessions"][0]["state"] == "DISCONNECTED":
            self.stage.log_on()

    def grow_old(self, number: int) -> None:
        self.log_on(number)
        self.reads(number)
        self.stage.turn()
        self.stage.grow_old()

    def turn(self, _number: int) -> None:
        self.stage.turn()


STEPS = [name for name in vars(Day) if not name.startswith("_") and name != "broker_says"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 20), st.booleans()), max_size=25))
def test_live_behind_and_after_a_restart_the_same_is_known_of_every_order(steps):
    stage = Stage()
    standby = Standby(stage)
    day = Day(stage)
    for step, number, together in steps:
        getattr(day, step)(number)
        if not together:
            stage.turn()
            standby.receive()
    day.reads(0)
    for _ in range(3):
        standby.exchange()
    known = {name: stage.owner.order(1, name.encode()) for name in day.names}
    assert {name: standby.owner.order(1, name.encode()) for name in day.names} == known
    restarted(stage)
    assert {name: stage.owner.order(1, name.encode()) for name in day.names} == known
