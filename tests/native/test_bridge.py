"""A client with a FIX session of its own, over a node without I/O: each order has one outcome."""

from __future__ import annotations

import random

import pytest

from gateway.native.driven import DrivenNode
from gateway.native.encoder import utc_timestamp
from gateway.native.journal import Journal
from gateway.native.node import Node
from tests.fuzz.rig import KEY, MS, PAIR, Cell, Clock
from tests.support.sessions import SECOND, fields_of, messages_in

RESET = 3  # session_command
HOLD_S = 60
LOGOUT, RESUME, RESET, SET_SEQ = 1, 2, 3, 4
ORDER = ((55, "ABC"), (54, 1), (38, 100), (40, 1))
Fields = dict[int, str]


class Stage:
    """A primary with a broker's session and an OMS's. `life`: one process; the log outlives it."""

    def __init__(self, journal: Journal | None = None, *, oms: int = 1, lossy: bool = False, **client: int) -> None:
        self.journal = journal or Journal.memory(
            segment_bytes=1 << 22, max_records=1 << 17, max_sessions=4, max_seq=1 << 16
        )
        self.oms, self.broker = oms, 1 - oms
        self.lossy = lossy
        self.client = client
        self.heard: dict[int, list[Fields]] = {0: [], 1: []}
        self.passed_ns = 0
        self.version = 1
        self.epoch = 1
        self.live()

    def live(self, pause_s: float = 0, skip: int = 0) -> None:
        """A new process over the log, until it is primary."""
        self.passed_ns += int(pause_s * SECOND)
        owner = Node(
            self.journal,
            node=0,
            pair_id=PAIR,
            key=KEY,
            incarnation=self.version,
            order_capacity=1 << 17,
            reorder_slots=16,
            window_records=1 << 16,
            startup_wait_ns=20 * MS,
            preferred=True,
        )
        for i in (0, 1):
            target = "OMS" if i == self.oms else "BROKER"
            owner.add_session(
                target,
                begin_string="FIX.4.4",
                sender_comp_id="GW",
                target_comp_id=target,
                logon_barrier=False,
                acceptor=i == self.oms,
                skip_ahead=10 if self.lossy else 0,
                sync=not self.lossy,
                sending_time_tolerance_ns=0,
                resend_max_age_ns=1 << 62,
                hold_max_age_ns=HOLD_S * SECOND,
            )
        client = owner.add_client("oms", unrouted=False, **self.client)
        owner.bridge(self.oms, client, self.broker)
        self.owner = owner
        self.node = DrivenNode(owner)
        self.clock = Clock(self.node)
        self.clock.move(self.passed_ns)
        self.up: set[int] = set()
        cell = Cell((self.version, self.epoch, 0, 1))
        deadline = self.clock.passed_ns + SECOND
        while owner.status()["role"] != "PRIMARY":
            assert self.clock.passed_ns < deadline, "it does not become primary"
            self.clock.move(10 * MS)
            cell.serve(self.node)
            self.node.turn()
            self.journal.flush()
        self.node.turn()
        self.version, self.epoch = cell.value[0] + 1, cell.value[1]

    def pass_time(self, seconds: float) -> None:
        self.clock.move(int(seconds * SECOND))
        self.turn()

    def turn(self) -> None:
        for _ in range(4):
            self.node.turn()
            for session in list(self.up):
                data, closes = self.node.session_reads(session)
                self.heard[session] += [fields_of(raw) for raw in messages_in(data)]
                if closes:
                    self.hang_up(session)

    def log_on(self, session: int) -> None:
        """With a gap on neither side."""
        if session == self.oms:
            assert self.node.session_arrives(session)
        else:
            for _ in range(200):
                if self.node.wants_connection(session):
                    break
                self.clock.move(10 * MS)
                self.node.turn()
            self.node.session_connects(session)
        self.up.add(session)
        self.turn()
        self.say(session, "A", (98, 0), (108, 30))
        self.turn()
        assert self.state(session) == "READY"

    def hang_up(self, session: int) -> None:
        self.up.discard(session)
        self.node.session_leaves(session)
        self.passed_ns = self.clock.passed_ns

    def die(self) -> None:
        self.passed_ns = self.clock.passed_ns
        self.up.clear()
        self.heard = {0: [], 1: []}

    def state(self, session: int) -> str:
        return self.owner.status()["sessions"][session]["state"]

    def encode(self, session: int, ahead: int, msg_type: str, body: bytes) -> bytes:
        target = "OMS" if session == self.oms else "BROKER"
        seq = self.owner.status()["sessions"][session]["next_in"] + ahead
        stamp = utc_timestamp(self.clock.wall_ns).decode()
        content = f"35={msg_type}\x0149={target}\x0156=GW\x0134={seq}\x0152={stamp}\x01".encode() + body
        raw = b"8=FIX.4.4\x019=%d\x01" % len(content) + content
        return raw + b"10=%03d\x01" % (sum(raw) % 256)

    def say(self, session: int, msg_type: str, *fields: tuple[int, object]) -> None:
        self.say_all(session, (msg_type, *fields))

    def say_all(self, session: int, *messages: tuple) -> None:
        """All in one piece."""
        raw = b"".join(self.encode(session, i, m[0], body_of(m[1:])) for i, m in enumerate(messages))
        assert self.node.session_sends(session, raw) == len(raw)

    def ask(self, *fields: tuple[int, object]) -> None:
        """An order of the OMS."""
        self.say(self.oms, "D", *fields)
        self.turn()

    def at_broker(self, msg_type: str = "D") -> list[str]:
        return [m[11] for m in self.heard[self.broker] if m[35] == msg_type]

    def told(self) -> list[Fields]:
        """What the OMS got, but for session messages."""
        return [m for m in self.heard[self.oms] if m[35] in "89j3"]

    def outcomes(self) -> list[tuple[str, str]]:
        """ClOrdID and OrdStatus of each execution that the OMS got."""
        return [(m[11], m[39]) for m in self.told() if m[35] == "8"]


def body_of(fields: tuple) -> bytes:
    return b"".join(b"%d=%s\x01" % (tag, v if isinstance(v, bytes) else str(v).encode()) for tag, v in fields)


def ready(**options) -> Stage:
    stage = Stage(**options)
    stage.log_on(stage.broker)
    stage.log_on(stage.oms)
    return stage


def test_an_order_goes_out_and_its_execution_comes_back():
    stage = ready()
    stage.ask((11, "a"), *ORDER)
    assert stage.at_broker() == ["a"]
    stage.say(stage.broker, "8", (37, "o"), (11, "a"), (17, "e"), (150, "F"), (39, "2"))
    stage.turn()
    assert stage.outcomes() == [("a", "2")]


def test_a_clordid_that_cannot_be_logged_blocks_nothing():
    stage = ready()
    stage.ask((11, b"caf\xe9"), *ORDER)
    stage.ask((11, "after"), *ORDER)
    assert stage.at_broker() == ["after"]
    (refusal,) = stage.told()
    assert (refusal[11], refusal[39]) == ("caf\xe9", "8")


@pytest.mark.parametrize("before", [70, 600, 2100])
def test_an_order_is_not_lost_behind_many_fields(before: int):
    stage = ready()
    stage.ask(*[(5000 + i, "x") for i in range(before)], (11, "late"), *ORDER)
    stage.ask((11, "after"), *ORDER)
    sent = stage.at_broker()
    assert sent in (["late", "after"], ["after"])
    assert len(stage.told()) == (sent == ["after"])


@pytest.mark.parametrize("many", [600, 2100])
def test_an_order_of_too_many_fields_is_refused(many: int):
    stage = ready()
    stage.ask((11, "wide"), *ORDER, *[(5000 + i, "x") for i in range(many)])
    stage.ask((11, "after"), *ORDER)
    assert stage.at_broker() == ["after"]
    assert [m[11] for m in stage.told()] == ["wide"]


def with_an_order_that_waits(name: str) -> Stage:
    """The OMS has sent it; the broker is not there."""
    stage = Stage()
    stage.log_on(stage.oms)
    stage.ask((11, name), *ORDER)
    return stage


def test_an_order_of_before_a_long_pause_does_not_go_out():
    stage = with_an_order_that_waits("old")
    stage.die()
    stage.live(pause_s=3600)
    stage.log_on(stage.broker)
    stage.log_on(stage.oms)
    stage.turn()
    assert stage.at_broker() == []
    assert stage.outcomes() == [("old", "8")]


def test_an_order_waits_no_longer_because_of_a_restart():
    stage = with_an_order_that_waits("old")
    stage.pass_time(HOLD_S - 10)
    stage.die()
    stage.live()
    stage.turn()
    stage.pass_time(20)
    stage.log_on(stage.broker)
    stage.log_on(stage.oms)
    assert stage.at_broker() == []
    assert stage.outcomes() == [("old", "8")]


def test_an_order_that_waits_goes_out_after_a_short_restart():
    stage = with_an_order_that_waits("young")
    stage.die()
    stage.live(pause_s=5)
    stage.log_on(stage.broker)
    stage.turn()
    assert stage.at_broker() == ["young"]


def test_a_refusal_after_a_day_change_names_no_other_order():
    stage = with_an_order_that_waits("yesterday")  # MsgSeqNum 2, and waits
    stage.hang_up(stage.oms)
    assert stage.node.session_command(stage.oms, RESET) == 0
    stage.turn()
    stage.log_on(stage.oms)
    stage.pass_time(HOLD_S - 1)
    stage.ask((11, "today"), *ORDER)  # MsgSeqNum 2 again
    stage.pass_time(2)
    stage.log_on(stage.broker)
    stage.turn()
    assert stage.at_broker() == ["today"]
    assert stage.outcomes() == [("yesterday", "8")]


@pytest.mark.parametrize("oms", [0, 1])
def test_an_unknown_destination_is_refused_once(oms: int):
    stage = ready(oms=oms)
    stage.ask((11, "astray"), (128, "NOWHERE"), *ORDER)
    assert stage.outcomes() == [("astray", "8")]
    stage.die()
    stage.live()
    stage.log_on(stage.broker)
    stage.log_on(stage.oms)
    assert stage.at_broker() == []
    assert stage.outcomes() == []


@pytest.mark.parametrize("oms", [0, 1])
def test_records_without_a_session_are_taken_wherever_the_oms_stands(oms: int):
    stage = ready(oms=oms)
    other = Node(stage.journal, node=0, pair_id=PAIR, key=KEY, incarnation=99, order_capacity=1024)
    for i in (0, 1):
        target = "OMS" if i == oms else "ELSEWHERE"
        other.add_session(target, begin_string="FIX.4.4", sender_comp_id="GW", target_comp_id=target, acceptor=i == oms)
    other.bridge(oms, other.add_client("oms"), 1 - oms)
    other.rebuild()
    assert other.fit() == (1, 1 - oms)


def test_a_question_does_not_overtake_its_order():
    stage = ready()
    stage.say_all(stage.oms, ("D", (11, "a"), *ORDER), ("H", (11, "a"), (55, "ABC"), (54, 1)))
    stage.turn()
    assert [m[35] for m in stage.heard[stage.broker] if m[35] in "DH"] == ["D", "H"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (((11, "x"), (55, ""), (54, 1), (38, 100)), "field 55 is empty"),
        (((11, "x"), (55, "Y"), (54, 1), (38, 10), (38, 1)), "OrderQty (38) is there twice"),
        (((11, "x"), (55, "Y"), (54, 1), (38, 0)), "OrderQty (38) is not at least 0.00000001"),
        (((11, "x"), (55, "Y"), (54, 1), (38, -1)), "OrderQty (38) is not at least 0.00000001"),
        (((11, "x"), (55, "Y"), (54, 1), (38, "ten")), "OrderQty (38) is no number, or one that is too large"),
        (((11, "x"), (55, "Y"), (54, 1), (38, 10), (44, "-")), "Price (44) is no number, or one that is too large"),
        (((11, "x"), (55, "Y" * 1000), (54, 1), (38, 100)), "above the limit on OrderQty (38)"),
        (((11, "x" * 1000), (55, "Y"), (54, 1), (38, 100)), "ClOrdID (11) is missing or too long"),
        (((11, "\x7f"), (55, "Y"), (54, 1), (38, 1)), "ClOrdID (11) has a character that is not printable ASCII"),
    ],
)
def test_a_refusal_is_whole(fields: tuple, text: str):
    stage = ready(max_order_qty_e8=10 * 10**8)
    stage.ask(*fields)
    (refusal,) = stage.told()
    assert all(refusal.values())
    assert (refusal[39], refusal[150], refusal[151], refusal[14], refusal[6]) == ("8", "8", "0", "0", "0")
    assert refusal[58] == f"gateway: {text}"


@pytest.mark.parametrize("kind", ["3", "j"])
def test_a_reject_of_the_broker_is_about_the_order(kind: str):
    stage = ready()
    stage.ask((11, "a"), *ORDER)
    seq = next(m[34] for m in stage.heard[stage.broker] if m[35] == "D")
    stage.say(stage.broker, kind, (45, seq), (372, "D"), *([(380, 3)] if kind == "j" else []))
    stage.turn()
    (refusal,) = stage.told()
    assert (refusal[35], refusal[11], refusal[39]) == ("8", "a", "8")
    assert all(refusal.values())


def test_a_reject_of_a_number_that_was_not_given_is_about_no_order():
    stage = ready()
    for name in "ab":
        stage.ask((11, name), *ORDER)
    seq = {m[11]: m[34] for m in stage.heard[stage.broker] if m[35] == "D"}
    stage.node.session_command(stage.broker, LOGOUT)
    stage.hang_up(stage.broker)
    next_in = stage.owner.status()["sessions"][stage.broker]["next_in"]
    assert stage.node.session_command(stage.broker, SET_SEQ, next_out=1, next_in=next_in) == 0
    stage.node.session_command(stage.broker, RESUME)
    stage.log_on(stage.broker)
    stage.say(stage.broker, "j", (45, seq["b"]), (372, "D"), (379, "a"), (380, 3))
    stage.turn()
    (passed,) = stage.told()
    assert (passed[35], passed[379]) == ("j", "a")


def test_a_start_over_of_the_numbers_ends_no_order():
    stage = ready()
    stage.ask((11, "a"), *ORDER)
    stage.node.session_command(stage.broker, LOGOUT)
    stage.hang_up(stage.broker)
    assert stage.node.session_command(stage.broker, RESET) == 0
    stage.node.session_command(stage.broker, RESUME)
    stage.log_on(stage.broker)
    assert stage.owner.status()["sessions"][stage.broker]["generation"] == 1
    assert stage.owner.order(1, b"a")["state"] == "SENT"
    stage.say(stage.broker, "8", (37, "o"), (11, "a"), (17, "e"), (150, "C"), (39, "C"), (151, 0), (14, 0), (6, 0))
    stage.turn()
    assert stage.owner.order(1, b"a")["state"] == "EXPIRED"
    assert stage.outcomes() == [("a", "C")]


def test_orders_that_wait_behind_many_others_survive_a_restart():
    stage = with_an_order_that_waits("waits")
    for first in range(0, 20000, 500):
        batch = [("D", (11, f"n{i}"), (128, "NOWHERE"), *ORDER) for i in range(first, first + 500)]
        stage.say_all(stage.oms, *batch)
        stage.turn()
    stage.die()
    stage.live()
    stage.log_on(stage.broker)
    stage.turn()
    assert stage.at_broker() == ["waits"]


def test_the_tail_of_an_async_session_is_told_when_it_is_refused():
    stage = ready(lossy=True)
    stage.die()
    stage.live()
    stage.log_on(stage.broker)
    stage.log_on(stage.oms)
    stage.ask((11, "again"), (97, "Y"), *ORDER)
    stage.say(stage.oms, "F", (11, "cancel"), (41, "again"), (55, "ABC"), (54, 1))
    stage.turn()
    assert stage.at_broker() == []
    assert stage.at_broker("H") == ["again"]
    stage.say(
        stage.broker, "8", (37, "NONE"), (11, "again"), (17, "0"), (150, "I"), (39, "8"), (103, 5), (58, "unknown")
    )
    stage.turn()
    assert stage.at_broker() == []
    assert [m[11] for m in stage.told() if m[35] == "8"] == ["again"]


def test_a_message_that_can_never_be_passed_on_blocks_nothing():
    stage = ready()
    stage.ask((11, "a"), *ORDER)
    stage.say(stage.broker, "UNHEARDOF", (11, "a"))
    stage.say(stage.broker, "8", (37, "o"), (11, "a"), (17, "e"), (150, "F"), (39, "2"))
    stage.turn()
    assert stage.outcomes() == [("a", "2")]
    assert [n.code for n in stage.owner.take_notes()].count("not_passed_on") == 1


def test_orders_that_wait_are_bounded_and_each_has_its_outcome():
    stage = Stage()
    stage.log_on(stage.oms)
    many = 17_500
    for first in range(0, many, 500):
        stage.say_all(stage.oms, *(("D", (11, i)) for i in range(first, first + 500)))
        stage.turn()
    refused = [m[11] for m in stage.told()]
    assert 0 < len(refused) <= many - (1 << 14) + 1
    assert {m[58] for m in stage.told()} == {"gateway: too much is waiting already"}
    stage.die()
    stage.live()
    stage.log_on(stage.broker)
    stage.log_on(stage.oms)
    for _ in range(40):
        stage.turn()
    assert sorted(stage.at_broker() + refused, key=int) == [str(i) for i in range(many)]
    assert stage.told() == []


class Lives:
    """One log through many lives: whatever the OMS and the broker do, and whenever the node dies."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stage = Stage(oms=self.random.choice([0, 1]))
        self.asked: list[str] = []
        self.at_broker: list[str] = []
        self.told: list[Fields] = []
        self.working: list[str] = []
        self.executed = 0

    def step(self) -> None:
        """Something happens."""
        stage, r, chance = self.stage, self.random, self.random.random()
        if chance < 0.06:
            stage.die()
            stage.live(pause_s=r.choice([0, 0, 1, 30, 100]))
        elif chance < 0.16:
            self.log_on()
        elif chance < 0.2 and stage.up:
            stage.hang_up(r.choice(sorted(stage.up)))
        elif chance < 0.22 and stage.oms not in stage.up:
            stage.node.session_command(stage.oms, RESET)
            stage.turn()
        elif chance < 0.3:
            stage.pass_time(r.choice([0.1, 5, 25]))
        elif chance < 0.7 and stage.oms in stage.up:
            stage.say_all(stage.oms, *(self.message() for _ in range(r.randint(1, 4))))
            stage.turn()
        elif stage.broker in stage.up and self.working:
            self.execute(r.choice(self.working))
        self.collect()

    def log_on(self) -> None:
        for session in (0, 1):
            if session in self.stage.up and self.stage.state(session) != "READY":
                self.stage.hang_up(session)
            if session not in self.stage.up:
                self.stage.log_on(session)

    def message(self) -> tuple:
        r, kind = self.random, self.random.random()
        earlier = r.choice(self.asked) if self.asked else "none"
        if kind < 0.7 or not self.asked:
            self.asked.append(f"o{len(self.asked)}")
            if kind < 0.1:
                return "F", (11, self.asked[-1]), (41, earlier), (55, "ABC"), (54, 1)
            more = r.choice([[], [], [(128, "NOWHERE")], [(58, "x" * 30000)], [(97, "Y")]])
            many = [(7000 + i, "y") for i in range(r.choice([0, 0, 0, 10, 600, 2100]))]
            return "D", (11, self.asked[-1]), *ORDER, *more, *many
        if kind < 0.8:
            return "H", (11, earlier), (55, "ABC")
        if kind < 0.9:
            return "D", (11, earlier), (97, "Y"), *ORDER
        return "D", (11, r.choice([b"\xff", b"z" * 65, b""])), *ORDER

    def execute(self, cl_ord_id: str) -> None:
        self.executed += 1
        fields = ((37, "o"), (11, cl_ord_id), (17, f"e{self.executed}"), (150, "F"), (39, "1"))
        self.stage.say(self.stage.broker, "8", *fields)

    def collect(self) -> None:
        self.stage.turn()
        orders = self.stage.at_broker()
        self.working += orders
        self.at_broker += orders + self.stage.at_broker("F")
        self.told += self.stage.told()
        self.stage.heard = {0: [], 1: []}


@pytest.mark.parametrize("seed", range(40))
def test_through_many_lives_each_order_has_one_outcome_and_each_execution_comes_once(seed: int):
    lives = Lives(seed)
    for _ in range(150):
        lives.step()
    for _ in range(3):
        lives.stage.pass_time(HOLD_S / 2)
        lives.log_on()
        lives.collect()
    passed = [m[17] for m in lives.told if m[35] == "8" and not m[17].startswith("GW")]
    assert passed == [f"e{i + 1}" for i in range(lives.executed)]
    known = set(lives.asked)
    refused = [m[11] for m in lives.told if m.get(39) == "8" and m.get(103) != "6" and m.get(11) in known]
    assert sorted(lives.at_broker + refused) == sorted(lives.asked)


def test_a_length_is_not_moved_to_other_data():
    stage = ready()
    apart = ((95, 5), (57, "desk"), (96, "x"))
    stage.ask(*apart, (11, "apart"), *ORDER)
    stage.ask((11, "after"), *ORDER)
    assert stage.at_broker() == ["after"]
    assert stage.outcomes() == [("apart", "8")]
    stage.say(stage.broker, "8", (37, "o"), (11, "after"), (17, "e1"), *apart, (150, "F"), (39, "1"))
    stage.say(stage.broker, "8", (37, "o"), (11, "after"), (17, "e2"), (150, "F"), (39, "2"))
    stage.turn()
    assert stage.outcomes()[1:] == [("after", "2")]
