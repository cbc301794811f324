"""A client OMS over FIX: its orders go to the broker and what follows comes back, through kills, once."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.evidence import read_broker
from gateway.demo.world import LOOPBACK, free_ports
from tests.support.initiator import DEADLINE_S, Initiator
from tests.support.running import RunningPair
from tests.support.waiting import wait_for

OMS = """
[[client]]
name = "oms"
unrouted = true    # async: executions of an order that the dead primary alone knew come before the order is known again
limits = { max_order_qty = 1000 }

[[session]]
name = "OMS"
begin_string = "FIX.4.4"
sender_comp_id = "GATEWAY"
target_comp_id = "OMS"
role = "acceptor"
client = "oms"
route = "BROKER"
"""


class Desk(RunningPair):
    """A broker, a pair with a door for an OMS, and the OMS."""

    def __init__(self, directory: Path, mode: str) -> None:
        super().__init__(directory, mode=mode)
        self.world.broker_store = directory / "broker-store"
        self.doors = dict(zip("ab", free_ports(2), strict=True))
        text = self.world.config.read_text()
        for node, port in self.doors.items():
            text = text.replace(f"[node.{node}]\n", f'[node.{node}]\nfix_listen = ["{LOOPBACK}:{port}"]\n')
        self.world.config.write_text(text + OMS)

    def log_on(self, oms: Initiator) -> None:
        """To whichever node takes it, as an OMS with two addresses does."""

        def taken() -> bool:
            for port in self.doors.values():
                with contextlib.suppress(OSError, AssertionError):
                    oms.connect(port)
                    return True
                if oms.socket is not None:
                    oms.cut()
            return False

        wait_for(taken, "a node takes the OMS")

    def at_broker(self) -> Counter[str]:
        """How often the broker took each ClOrdID."""
        broker = read_broker(self.world.ledger)
        return Counter(order.cl_ord_id for order in broker.orders)


@pytest.fixture(params=["sync", "async"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "world", request.param)
    try:
        desk.start()
        yield desk
    finally:
        desk.stop()


def oms() -> Initiator:
    return Initiator(sender="OMS", target="GATEWAY")


def filled(us: Initiator, cl_ord_id: str) -> dict[int, str]:
    """The ExecutionReport that ends the order; nothing else may come before it but what is about it."""
    while True:
        (report,) = us.receive()
        assert (report[35], report[11]) == ("8", cl_ord_id)
        if report[39] == "2":
            return report


def test_an_order_goes_out_and_its_execution_comes_back(desk: Desk):
    us = oms()
    desk.log_on(us)
    us.order("first")
    report = filled(us, "first")
    assert (report[14], report[55]) == ("100", "ABC")
    assert (report[49], report[56]) == ("GATEWAY", "OMS")
    assert 115 not in report  # it came from where the session's route goes
    assert desk.at_broker() == {"first": 1}


def test_what_the_gateway_refuses_is_said_in_fix(desk: Desk):
    us = oms()
    desk.log_on(us)
    us.order("too-much", quantity=1001)
    (report,) = us.receive()
    assert (report[35], report[11], report[150], report[39]) == ("8", "too-much", "8", "8")
    assert (report[55], report[54], report[38], report[151]) == ("ABC", "1", "1001", "0")
    assert "limit on OrderQty" in report[58]
    us.send("F", (11, "cancel"), (41, "nothing"), (55, "ABC"), (54, 1), (60, "20260101-00:00:00"), (128, "ELSEWHERE"))
    (reject,) = us.receive()
    assert (reject[35], reject[11], reject[41], reject[434]) == ("9", "cancel", "nothing", "1")
    assert "no such destination" in reject[58]
    us.send("E", (66, "list"), (394, 3), (68, 1), (73, 1), (11, "in-a-list"), (67, 1))
    (reject,) = us.receive()
    assert (reject[35], reject[372], reject[380]) == ("j", "E", "3")
    assert desk.at_broker() == {}


def test_a_clordid_is_taken_once(desk: Desk):
    us = oms()
    desk.log_on(us)
    us.order("twice")
    filled(us, "twice")
    us.order("twice")
    (report,) = us.receive()
    assert (report[11], report[150], report[103]) == ("twice", "8", "6")
    us.send("D", (97, "Y"), (11, "twice"), (55, "ABC"), (54, 1), (38, 100), (40, 1))
    us.order("other")
    filled(us, "other")
    assert desk.at_broker() == {"twice": 1, "other": 1}


def test_who_is_no_session_is_refused_and_counted(desk: Desk):
    stranger = Initiator(sender="STRANGER", target="GATEWAY")
    with pytest.raises(AssertionError, match="connection is closed"):
        stranger.connect(desk.doors["a"])
    us = oms()
    desk.log_on(us)
    with pytest.raises(AssertionError, match="connection is closed"):
        oms().connect(desk.doors["a"])
    us.order("still-here")
    filled(us, "still-here")
    status = desk.status()
    assert status["door"]["refused.unknown_session"] == 1
    assert status["reactor"]["refused_sessions"] == 1
    assert (status["door"]["welcomed"], status["door"]["open"]) == (2, 1)


def test_bytes_that_are_no_fix_cost_nothing(desk: Desk):
    with socket.create_connection((LOOPBACK, desk.doors["a"]), timeout=DEADLINE_S) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(100) == b""
    us = oms()
    desk.log_on(us)
    us.order("after")
    filled(us, "after")


def test_nothing_is_lost_or_doubled_when_the_primary_is_killed_again_and_again(desk: Desk):
    us = oms()
    desk.log_on(us)
    reports: list[dict[int, str]] = []
    sent = 0
    for victim in ("a", "b", "a"):
        for _ in range(50):
            us.order(f"order-{sent}")
            sent += 1
        desk.kill(victim)
        with contextlib.suppress(AssertionError, OSError):
            us.until(lambda: False)  # what came before the end
        desk.log_on(us)
        for _ in range(20):
            us.order(f"order-{sent}")
            sent += 1
        while count_of(reports, "2") < sent:
            reports += us.receive()
        desk.restart(victim)
    told = Counter(report[11] for report in reports if report[39] == "2")
    wanted = {f"order-{i}": 1 for i in range(sent)}
    assert told == wanted
    assert desk.at_broker() == wanted
    assert len({report[17] for report in reports}) == len(reports)


def count_of(reports: list[dict[int, str]], status: str) -> int:
    return sum(report[39] == status for report in reports)
