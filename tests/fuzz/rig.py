"""A small node for targets: driven by hand, its time in the target's hands."""

from __future__ import annotations

from gateway.native.driven import DrivenNode
from gateway.native.journal import Journal
from gateway.native.node import Node
from gateway.native.role import RegisterOutcome, RequestKind

KEY = b"0123456789abcdef"
PAIR = 7
MS = 1_000_000
MONO_NS, WALL_NS = 10**9, 1_700_000_000 * 10**9
STARTUP_WAIT_NS = 20 * MS


def small_node(journal: Journal, *, node: int, incarnation: int = 1) -> Node:
    """With a session and two clients; little memory, so that a target can have a new one for each input."""
    made = Node(
        journal,
        node=node,
        pair_id=PAIR,
        key=KEY,
        incarnation=incarnation,
        order_capacity=256,
        reorder_slots=16,
        window_records=64,
        startup_wait_ns=STARTUP_WAIT_NS,
        preferred=node == 0,
    )
    for name, target in (("ONE", "BROKER"), ("TWO", "OTHER")):
        made.add_session(
            name, begin_string="FIX.4.4", sender_comp_id="GW", target_comp_id=target, logon_barrier=False, skip_ahead=5
        )
    made.add_client("strategy", unrouted=True)
    made.add_client("limited", b"token", sessions=1, max_order_qty_e8=100 * 10**8, max_notional_e8=10**11)
    return made


def small_journal() -> Journal:
    """In memory."""
    return Journal.memory(segment_bytes=1 << 18, max_records=1 << 11, max_sessions=4, max_seq=1 << 10)


class Clock:
    """The time of one driven node."""

    def __init__(self, node: DrivenNode) -> None:
        self._node = node
        self.passed_ns = 0
        node.start(MONO_NS, WALL_NS)

    @property
    def mono_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return MONO_NS + self.passed_ns

    @property
    def wall_ns(self) -> int:
        """CLOCK_REALTIME."""
        return WALL_NS + self.passed_ns

    def move(self, ns: int) -> None:
        """So much time passes."""
        self.passed_ns += ns
        self._node.move_to(self.mono_ns, self.wall_ns)


class Cell:
    """A register that answers at once."""

    def __init__(self, value: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
        self.value = value

    def serve(self, node: DrivenNode) -> None:
        """Answers what the node has asked."""
        for _ in range(4):
            request = node.take_request()
            if request is None:
                return
            outcome = RegisterOutcome.VALUE
            if request.kind is RequestKind.COMPARE_AND_SET:
                outcome = RegisterOutcome.LOST
                if request.expected.version == self.value[0]:
                    outcome = RegisterOutcome.WON
                    self.value = (self.value[0] + 1, *request.desired[1:])
            node.answer_register(request.id, outcome, self.value)


def check_log(journal: Journal) -> None:
    """LSNs without a gap, epochs that never go back, every record as long as it says. AssertionError."""
    epoch = 0
    for lsn, record in enumerate(journal.records(), journal.first_lsn):
        assert record.lsn == lsn
        assert record.epoch >= epoch
        epoch = record.epoch
