"""Two roles, a model register, model logs and a hostile world, checked after every step.

Of the invariants of the design: 2 (no number twice), 5 (one releases), 6 (log prefix) and 7 (settles).

The world loses, delays and reorders datagrams, cuts the network one way or both, pauses and kills processes, takes the
power away with the unflushed tail of a log, drops the tripwire for no reason, and answers register requests late, twice
too late, or never, whether they took effect or not. Everything is drawn from one seed, so a failure can be run again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.native.role import Command, RegisterOutcome, Release, Request, RequestKind, Role, State
from gateway.native.role import RegisterValue as Cell

MS = 1_000_000
HEARTBEAT_MS = 10
SKIP_AHEAD = 1_000
FAULTY_MS = 4_000
SETTLE_MS = 8_000


@dataclass(frozen=True)
class Record:
    """One record of the model log. `number` is the MsgSeqNum; of an EPOCH record the one before its first order's."""

    epoch: int
    number: int
    ident: int
    order: bool = True


@dataclass(frozen=True)
class Faults:
    """How hostile the world is; each a probability per millisecond, node or message."""

    loss: float = 0.05
    delay_ms: int = 20
    cut: float = 0.001
    pause: float = 0.001
    kill: float = 0.0005
    power_loss: float = 0.3
    tripwire: float = 0.0005
    register_loss: float = 0.2
    register_late: float = 0.1
    register_down: float = 0.001
    command: float = 0.001


PROFILES = {
    "kills": Faults(kill=0.002, register_loss=0.05, register_late=0.02, register_down=0.0),
    "pauses": Faults(kill=0.0, pause=0.004, register_loss=0.05),
    "network": Faults(loss=0.3, delay_ms=60, cut=0.004, kill=0.0002),
    "register": Faults(cut=0.002, register_loss=0.5, register_late=0.4, register_down=0.004),
    "commands": Faults(command=0.01, kill=0.0005, register_loss=0.3, register_late=0.3),
    "everything": Faults(loss=0.15, cut=0.002, pause=0.002, kill=0.001, command=0.004, register_late=0.3),
}
CALM = Faults(0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class Node:
    """The owner of a role, reduced to what matters here: a log, a view of the standby, a released watermark."""

    def __init__(self, world: World, index: int) -> None:
        self.world, self.index = world, index
        self.log: tuple[Record, ...] = ()
        self.incarnation = 0
        self.alive = False
        self.paused_until = 0
        self.inbox: list[tuple[int, int, dict[str, Any]]] = []
        self.lost_tail = False

    def start(self) -> None:
        self.incarnation += 1
        self.alive, self.paused_until, self.inbox = True, 0, []
        self.peer_incarnation = 0
        self.joined, self.acked, self.following, self.seen_epoch = False, 0, False, 0
        self.tripwire = False
        self.role = Role(
            self.index,
            1 - self.index,
            now=self.world.now,
            own_last_lsn=len(self.log),
            own_last_epoch=self.last_epoch,
            suspect_after_ns=50 * MS,
            fence_timeout_ns=400 * MS,
            register_timeout_ns=100 * MS,
            register_retry_ns=30 * MS,
            startup_wait_ns=300 * MS,
            preferred=self.index == 0,
            lost_tail=self.lost_tail,
        )
        self.after_input()

    @property
    def last_epoch(self) -> int:
        return self.log[-1].epoch if self.log else 0

    @property
    def running(self) -> bool:
        return self.alive and self.world.now >= self.paused_until

    # Inputs. Each tells first where the log ends, as the contract asks.

    def before_input(self) -> int:
        self.role.on_log(len(self.log), self.last_epoch)
        return self.world.now

    def after_input(self) -> None:
        role = self.role
        self.world.check_node(self)
        if role.state is State.PRIMARY and role.epoch != self.seen_epoch:
            self.world.check_promotion(self)
            self.joined, self.acked, self.seen_epoch = False, 0, role.epoch
            number = max((record.number for record in self.log), default=0)
            if role.skip_ahead:
                number += SKIP_AHEAD
            self.log = (*self.log, Record(role.epoch, number, self.world.fresh(), order=False))
            self.next_number = number + 1
        if role.state is not State.STANDBY or role.epoch != self.seen_epoch:
            self.following = False
        if role.state is State.STANDBY:
            self.seen_epoch = role.epoch
        self.release()
        request = role.take_request()
        if request is not None:
            self.world.register.submit(self, request)

    def release(self) -> None:
        if self.role.release is Release.ALL:
            self.world.released(self, self.log)
        elif self.role.release is Release.ACKED and self.joined:
            self.world.released(self, self.log[: self.acked])

    def timer(self) -> None:
        self.role.on_timer(self.before_input())
        self.after_input()

    def set_tripwire(self, connected: bool) -> None:
        self.tripwire = connected
        self.role.on_tripwire(connected, self.before_input())
        self.after_input()

    def command(self, command: Command) -> None:
        self.role.command(command, self.before_input())
        self.after_input()

    def number_order(self) -> None:
        if self.role.state is State.PRIMARY and self.role.intake:
            self.log = (*self.log, Record(self.role.epoch, self.next_number, self.world.fresh()))
            self.next_number += 1

    def receive(self, message: dict[str, Any]) -> None:
        if message["to"] not in (0, self.incarnation) or message["from"] < self.peer_incarnation:
            return
        if message["from"] > self.peer_incarnation:
            self.peer_incarnation = message["from"]
            self.report_standby(False, 0)
        if message["to"] == 0:
            return  # a greeting: it only makes the incarnations known
        now = self.before_input()
        self.role.on_peer(message["role"], message["epoch"], message["last_epoch"], message["length"], now)
        self.after_input()
        if message["epoch"] == self.role.epoch:
            self.replicate(message)

    def replicate(self, message: dict[str, Any]) -> None:
        kind, state = message["kind"], self.role.state
        if kind == "join" and state is State.PRIMARY:
            common = common_length(self.log, message["log"])
            self.report_standby(True, common)
            self.world.send(self, kind="reply", common=common, log=self.log)
        elif kind == "ack" and state is State.PRIMARY and self.joined:
            self.report_standby(True, max(self.acked, message["acked"]))
        elif kind == "reply" and state is State.STANDBY and not self.following:
            self.log = message["log"][: message["common"]]
            self.following = True
        elif kind == "data" and state is State.STANDBY and self.following and len(message["log"]) > len(self.log):
            assert message["log"][: len(self.log)] == self.log, "log prefix"
            self.log = message["log"]
            self.world.send(self, kind="ack", acked=len(self.log))
        elif kind == "handover":
            self.role.on_handover(message["epoch"], self.before_input())
            self.after_input()

    def report_standby(self, joined: bool, acked: int) -> None:
        self.joined, self.acked = joined, acked
        self.role.on_standby(joined, acked, self.before_input())
        self.after_input()

    def heartbeat(self) -> None:
        if self.peer_incarnation == 0:
            self.world.send(self, kind="hello", greeting=True)
            return
        self.world.send(self, kind="heartbeat")
        if self.role.state is State.PRIMARY:
            self.world.send(self, kind="data", log=self.log)
        elif self.role.state is State.STANDBY and self.following:
            self.world.send(self, kind="ack", acked=len(self.log))
        elif self.role.state is State.STANDBY:
            self.world.send(self, kind="join", log=self.log)


def common_length(a: tuple[Record, ...], b: tuple[Record, ...]) -> int:
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))


@dataclass
class Register:
    """The compare-and-set cell, linearizable, behind a network that is not to be trusted."""

    world: World
    cell: Cell = field(default_factory=lambda: Cell(0, 0, 0, 0))
    queue: list[tuple[int, Node, int, Request]] = field(default_factory=list)
    answers: list[tuple[int, Node, int, int, RegisterOutcome, Cell]] = field(default_factory=list)
    down_until: list[int] = field(default_factory=lambda: [0, 0])

    def submit(self, node: Node, request: Request) -> None:
        draw, faults, now = self.world.draw, self.world.faults, self.world.now
        if now < self.down_until[node.index]:
            if draw.random() < 0.5:
                self.answers.append((now + MS, node, node.incarnation, request.id, RegisterOutcome.UNKNOWN, self.cell))
            return
        if draw.random() < faults.register_loss / 2:
            return
        late = draw.random() < faults.register_late
        delay = draw.randint(100, 1_500) if late else draw.randint(1, 8)
        self.queue.append((now + delay * MS, node, node.incarnation, request))

    def step(self) -> None:
        draw, faults, now = self.world.draw, self.world.faults, self.world.now
        for item in [item for item in self.queue if item[0] <= now]:
            self.queue.remove(item)
            _, node, incarnation, request = item
            outcome = self.apply(node, request)
            if draw.random() >= faults.register_loss / 2:
                delay = draw.randint(1, 300 if draw.random() < faults.register_late else 8)
                self.answers.append((now + delay * MS, node, incarnation, request.id, outcome, self.cell))
        for answer in [answer for answer in self.answers if answer[0] <= now and answer[1].running]:
            self.answers.remove(answer)
            _, node, incarnation, ident, outcome, value = answer
            if incarnation == node.incarnation:
                node.role.on_register(
                    ident, outcome, None if outcome is RegisterOutcome.UNKNOWN else value, node.before_input()
                )
                node.after_input()

    def apply(self, node: Node, request: Request) -> RegisterOutcome:
        if request.kind is RequestKind.READ:
            return RegisterOutcome.VALUE
        if request.expected.version != self.cell.version:
            return RegisterOutcome.LOST
        self.check_transition(node.index, request.desired)
        self.cell = request.desired._replace(version=self.cell.version + 1)
        return RegisterOutcome.WON

    def check_transition(self, node: int, new: Cell) -> None:
        old, both = self.cell, 3
        one = 1 << node
        allowed = (
            (old.version == 0 and new[1:] == (1, node, one))
            or (old.in_sync & one and new[1:] == (old.epoch + 1, node, one))
            or (old.primary == node and new[1:] in ((old.epoch, node, one), (old.epoch, node, both)))
            or (old.primary == node and old.in_sync == both and new[1:] == (old.epoch + 1, 1 - node, both))
        )
        assert allowed, f"node {node} wrote {new} over {old}"


class World:
    def __init__(self, seed: int, faults: Faults) -> None:
        self.draw, self.faults = random.Random(seed), faults
        self.now = 1_000 * MS
        self.idents = 0
        self.register = Register(self)
        self.numbers: dict[int, int] = {}
        self.must_hold: dict[int, Record] = {}
        self.primaries: dict[int, tuple[int, int]] = {}
        self.mail: list[tuple[int, int, dict[str, Any]]] = []
        self.cut_until = [0, 0]
        self.restart_at = [0, 0]
        self.tripwire_at = 0
        self.nodes = [Node(self, 0), Node(self, 1)]
        for node in self.nodes:
            node.start()

    def fresh(self) -> int:
        self.idents += 1
        return self.idents

    # Invariants.

    def check_node(self, node: Node) -> None:
        role, cell = node.role, self.register.cell
        if role.release is Release.ALL:
            assert cell[1:] == (role.epoch, node.index, 1 << node.index), (
                f"{role!r} releases all, the register says {cell}"
            )
        assert (role.release is Release.NOTHING) == (role.state is not State.PRIMARY)
        assert not role.intake or role.state is State.PRIMARY

    def check_promotion(self, node: Node) -> None:
        epoch = node.role.epoch
        life = (node.index, node.incarnation)
        assert self.primaries.setdefault(epoch, life) == life, f"epoch {epoch} has two primaries"
        assert epoch > node.last_epoch, "never in an epoch that it had before"
        if epoch < max(self.primaries):
            # It learns late that it was made primary, and was replaced before that: nobody acknowledges to it.
            assert node.role.release is Release.ACKED
            return
        held = {record.ident for record in node.log}
        missing = [record for record in self.must_hold.values() if record.ident not in held]
        if node.role.skip_ahead:
            for record in missing:  # loss that the node knows of: it skips their numbers and reconciles
                del self.must_hold[record.ident]
        else:
            assert not missing, f"{node.role!r} was promoted without {missing}"

    def released(self, node: Node, log: tuple[Record, ...]) -> None:
        for record in log[node.world.known(node) :]:
            if record.order:
                first = self.numbers.setdefault(record.number, record.ident)
                assert first == record.ident, f"number {record.number} was given to two messages"
                self.must_hold[record.ident] = record

    def known(self, node: Node) -> int:
        """Where to start looking: a released prefix of the same log is not looked at again (only to save time)."""
        log, done = node.log, getattr(node, "done", ())
        start = len(done) if log[: len(done)] == done else 0
        node.done = log if node.role.release is Release.ALL else log[: node.acked]  # type: ignore[attr-defined]
        return start

    # The network.

    def send(self, sender: Node, *, kind: str, greeting: bool = False, **body: Any) -> None:
        role = sender.role
        if self.now < self.cut_until[sender.index] or self.draw.random() < self.faults.loss:
            return
        message = {
            "kind": kind,
            "from": sender.incarnation,
            "to": 0 if greeting else sender.peer_incarnation,
            "role": int(role.state),
            "epoch": role.epoch,
            "last_epoch": sender.last_epoch,
            "length": len(sender.log),
            **body,
        }
        self.mail.append((self.now + self.draw.randint(0, self.faults.delay_ms) * MS, 1 - sender.index, message))

    def deliver(self) -> None:
        due = [item for item in self.mail if item[0] <= self.now]
        self.mail = [item for item in self.mail if item[0] > self.now]
        for item in due:
            node = self.nodes[item[1]]
            if node.running:
                node.receive(item[2])
            elif node.alive and len(node.inbox) < 50:
                node.inbox.append(item)

    # Time.

    def step(self) -> None:
        self.now += MS
        self.inject()
        self.connect_tripwire()
        for node in self.nodes:
            if node.running and node.inbox:
                waiting, node.inbox = node.inbox, []
                if self.draw.random() < 0.5:
                    node.timer()
                for item in waiting:
                    node.receive(item[2])
        self.deliver()
        self.register.step()
        for node in self.nodes:
            if not node.running:
                continue
            if self.now >= node.role.deadline:
                node.timer()
            if self.draw.random() < 0.05:
                node.number_order()
                node.before_input()
                node.release()
            if (self.now // MS) % HEARTBEAT_MS == 0:
                node.heartbeat()
        self.repeat_handover()

    def repeat_handover(self) -> None:
        for node in self.nodes:
            role = node.role
            if node.running and role.state is State.STANDBY and role.cell[1:] == (role.epoch, role.primary, 3):
                last = self.primaries.get(role.epoch)
                if last is None and self.draw.random() < 0.1:
                    self.send(node, kind="handover")

    def inject(self) -> None:
        draw, faults = self.draw, self.faults
        for node in self.nodes:
            if not node.alive:
                if self.now >= self.restart_at[node.index]:
                    node.start()
                continue
            if draw.random() < faults.pause:
                node.paused_until = self.now + draw.randint(5, 600) * MS
            if draw.random() < faults.cut:
                self.cut_until[node.index] = self.now + draw.randint(20, 700) * MS
            if draw.random() < faults.register_down:
                self.register.down_until[node.index] = self.now + draw.randint(50, 1_500) * MS
            if draw.random() < faults.kill:
                self.kill(node)
            elif draw.random() < faults.tripwire:
                self.drop_tripwire(1)
            if node.running and draw.random() < faults.command:
                node.command(draw.choice([Command.TAKEOVER, Command.SWITCHOVER, Command.SWITCHOVER, Command.SOLO]))

    def kill(self, node: Node) -> None:
        node.alive = False
        self.restart_at[node.index] = self.now + self.draw.randint(20, 900) * MS
        if self.draw.random() < self.faults.power_loss:
            # A host that lost power is not back before it is missed.
            self.restart_at[node.index] += 200 * MS
            # An EPOCH record is flushed before anything of its epoch is released: it keeps what was skipped.
            flushed = max((index for index, record in enumerate(node.log) if not record.order), default=-1) + 1
            keep = max(flushed, len(node.log) - self.draw.randint(0, 5))
            node.log, node.lost_tail = node.log[:keep], True
        else:
            node.lost_tail = node.role.tail_suspect
        self.drop_tripwire(self.draw.randint(1, 3))

    def end_of_command_solo(self) -> None:
        """A standby that an operator dropped comes back when its process is started again."""
        for node in self.nodes:
            standby = self.nodes[1 - node.index]
            if node.alive and node.role.solo_wanted and standby.alive and standby.role.state is State.STANDBY:
                self.kill(standby)

    def drop_tripwire(self, after_ms: int) -> None:
        self.tripwire_at = self.now + after_ms * MS

    def connect_tripwire(self) -> None:
        if self.now < self.tripwire_at:
            return
        both = all(node.alive for node in self.nodes)
        for node in self.nodes:
            if not node.running:
                continue
            if node.tripwire and (self.tripwire_at or not both):
                node.set_tripwire(False)
            elif not node.tripwire and both and not self.tripwire_at:
                node.set_tripwire(True)
        self.tripwire_at = 0

    def settled(self) -> bool:
        states = sorted(node.role.state for node in self.nodes if node.alive)
        if states != [State.STANDBY, State.PRIMARY] or self.register.cell.in_sync != 3:
            return False
        primary = next(node for node in self.nodes if node.role.state is State.PRIMARY)
        standby = self.nodes[1 - primary.index]
        return (
            primary.role.release is Release.ACKED
            and primary.role.intake
            and standby.role.cell.in_sync == 3
            and self.register.cell.primary == primary.index
        )

    def story(self) -> str:
        return f"register {self.register.cell}; " + "; ".join(
            f"{node.index}: {node.role!r} log {len(node.log)} of epoch {node.last_epoch}" for node in self.nodes
        )


def run(seed: int, faults: Faults) -> None:
    world = World(seed, faults)
    for _ in range(FAULTY_MS):
        world.step()
    world.faults = CALM
    world.cut_until = [0, 0]
    world.register.down_until = [0, 0]
    for node in world.nodes:
        node.paused_until = 0
    for _ in range(SETTLE_MS):
        world.step()
        world.end_of_command_solo()
        if world.settled():
            break
    assert world.settled(), f"did not settle after the faults stopped: {world.story()}"
    before = len(world.must_hold)
    for _ in range(500):
        world.step()
    assert world.settled(), f"did not stay settled: {world.story()}"
    assert len(world.must_hold) > before, "orders flow again"


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_pair_is_safe_in_a_hostile_world_and_settles_after_it(profile: str, seed: int) -> None:
    run(seed, PROFILES[profile])


def test_pair_in_a_calm_world_gets_in_sync() -> None:
    run(1, CALM)
