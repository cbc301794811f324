"""Orders in doubt, as the log tells of them: what settles a doubt, and what must not."""

import struct
from collections.abc import Callable

import pytest

from gateway.native import record as names
from gateway.native.clientwire import RejectReason
from gateway.native.journal import Journal
from gateway.native.node import Node

KEY = b"0123456789abcdef"
CLIENT = 1
STATE_DOUBTS = 5
CANCELED = RejectReason.CANCELED
LATER_ANSWER = {"FIX.4.4": (150, "I"), "FIX.4.2": (20, "3")}


def fix(version: str, msg_type: str, seq: int, *fields: tuple[int, object]) -> bytes:
    """A whole message of the given version."""
    body = b"".join(
        b"%d=%s\x01" % (tag, str(value).encode())
        for tag, value in ((35, msg_type), (34, seq), (49, "US"), (56, "THEM"), (52, "20260101-00:00:00"), *fields)
    )
    message = b"8=%s\x019=%d\x01%s" % (version.encode(), len(body), body)
    return message + b"10=%03d\x01" % (sum(message) % 256)


class Log:
    """A log with one session, written by several primaries in turn, and what a node derives from it."""

    def __init__(self, version: str = "FIX.4.4") -> None:
        self.version = version
        self.journal = Journal.memory(segment_bytes=1 << 20, max_records=1 << 12, max_sessions=2, max_seq=1 << 10)
        self.epoch = 1
        self.next_out = 1
        self.next_in = 1
        self.new_primary()

    def new_primary(self) -> None:
        self.epoch += 1
        self.journal.append(names.EPOCH, 0, bytes(8), epoch=self.epoch)

    def doubt(self, clordid: bytes, msg_type: bytes = b"D", *more: tuple[int, bytes]) -> None:
        """The client handed it in again."""
        fields = b"".join(b"%d=%s\x01" % field for field in ((11, clordid), (38, b"10"), *more))
        payload = struct.pack("<H", len(clordid)) + clordid + bytes([len(msg_type)]) + msg_type + fields
        self.journal.append(names.DOUBT, 0, payload, epoch=self.epoch, client=CLIENT)

    def sends(self, msg_type: str, *fields: tuple[int, object], flags: int = 0, client: int = 0) -> int:
        message = fix(self.version, msg_type, self.next_out, *fields)
        at = message.find(b"\x0111=") + 4
        aux = at << 16 | message.index(b"\x01", at) - at if flags & names.ORDER else 0
        self.journal.append(
            names.OUT,
            0,
            message,
            seq=self.next_out,
            epoch=self.epoch,
            flags=names.APPLICATION | flags,
            client=client,
            aux=aux,
        )
        self.next_out += 1
        return self.next_out - 1

    def asks(self, clordid: str) -> int:
        return self.sends("H", (11, clordid))

    def hears(self, msg_type: str, *fields: tuple[int, object], client: int = 0) -> None:
        message = fix(self.version, msg_type, self.next_in, *fields)
        self.next_in += 1
        self.journal.append(
            names.IN,
            0,
            message,
            seq=self.next_in - 1,
            epoch=self.epoch,
            aux=self.next_in,
            flags=names.APPLICATION,
            client=client,
        )

    def hears_that_it_is_unknown(self, clordid: str) -> None:
        self.hears("8", (11, clordid), LATER_ANSWER[self.version], (39, 8), (103, 5))

    def node(self) -> Node:
        node = Node(self.journal, node=0, pair_id=1, key=KEY, incarnation=1, order_capacity=1024)
        node.add_session("BROKER", begin_string=self.version, sender_comp_id="US", target_comp_id="THEM", sync=False)
        node.add_client("C")
        node.rebuild()
        return node

    def state(self, clordid: bytes) -> str:
        order = self.node().order(CLIENT, clordid)
        assert order is not None
        return order["state"]


@pytest.fixture(params=LATER_ANSWER)
def log(request: pytest.FixtureRequest) -> Log:
    return Log(request.param)


def test_what_the_counterparty_does_not_know_may_be_numbered(log: Log):
    log.doubt(b"A")
    assert log.state(b"A") == "IN_DOUBT"
    log.asks("A")
    log.hears_that_it_is_unknown("A")
    assert log.state(b"A") == "NOT_THERE"
    log.sends("D", (11, "A"), flags=names.ORDER, client=CLIENT)
    assert log.state(b"A") == "SENT"


def test_a_new_primary_asks_again_since_its_predecessor_may_have_sent_what_was_not_there(log: Log):
    log.doubt(b"A")
    log.asks("A")
    log.hears_that_it_is_unknown("A")
    log.new_primary()
    assert log.state(b"A") == "IN_DOUBT"
    log.asks("A")
    log.hears_that_it_is_unknown("A")
    assert log.state(b"A") == "NOT_THERE"


def test_an_answer_to_the_question_of_an_earlier_primary_settles_nothing(log: Log):
    log.doubt(b"A")
    log.asks("A")
    log.new_primary()
    log.hears_that_it_is_unknown("A")  # resent to the new primary
    assert log.state(b"A") == "IN_DOUBT"


def test_what_was_heard_before_the_order_was_handed_in_again_settles_it(log: Log):
    heard = (("8", (11, "A"), (20, "0"), (150, "0"), (39, "0")), ("8", (11, "C"), (41, "B"), (150, "4"), (39, "4")))
    for report in (*heard, ("B", (148, "news"))):
        log.hears(*report)
    for order in (b"A", b"B", b"D"):
        log.doubt(order)
    assert [log.state(order) for order in (b"A", b"B", b"D")] == ["NEW", "CANCELED", "IN_DOUBT"]


def test_a_refused_question_settles_nothing(log: Log):
    log.doubt(b"A")
    seq = log.asks("A")
    log.hears("j", (45, seq), (372, "H"), (379, "A"), (380, 3))
    log.hears("3", (45, seq), (373, 11))
    assert log.state(b"A") == "IN_DOUBT"


@pytest.mark.parametrize(("not_there", "state"), [(1, "NOT_THERE"), (0, "UNKNOWN")])
@pytest.mark.parametrize("answered", [False, True])
def test_an_operator_settles_what_the_counterparty_does_not(log: Log, not_there: int, state: str, answered: bool):
    log.doubt(b"A")
    log.asks("A")
    if answered:
        log.hears_that_it_is_unknown("A")
    log.journal.append(names.STATE, 0, bytes([not_there]), aux=STATE_DOUBTS, epoch=log.epoch)
    assert log.state(b"A") == state
    log.new_primary()
    assert log.state(b"A") == ("IN_DOUBT" if not_there else state)


def cancels(log: Log) -> None:
    log.sends("F", (11, "C"), (41, "A"), flags=names.ORDER, client=CLIENT)


def hands_in_a_cancel_again(log: Log) -> None:
    log.doubt(b"C", b"F", (41, b"A"))


@pytest.mark.parametrize("cancel", [cancels, hands_in_a_cancel_again])
def test_what_its_client_has_canceled_meanwhile_is_not_to_be_sent(log: Log, cancel: Callable[[Log], None]):
    log.doubt(b"A")
    log.doubt(b"B")
    log.asks("A")
    cancel(log)
    log.hears_that_it_is_unknown("A")
    orders = [log.node().order(CLIENT, name) for name in (b"A", b"B")]
    states = [(order["state"], order["reason"]) for order in orders if order]
    assert states == [("NOT_THERE", CANCELED), ("IN_DOUBT", 0)]


@pytest.mark.parametrize(("status", "state"), [("0", "NEW"), ("2", "FILLED"), ("8", "REJECTED")])
def test_what_the_counterparty_says_of_an_order_settles_it_whoever_asked(log: Log, status: str, state: str):
    log.doubt(b"A")
    log.hears("8", (11, "A"), (20, "0"), (150, status), (39, status))
    assert log.state(b"A") == state
    log.new_primary()
    assert log.state(b"A") == state
