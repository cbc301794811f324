"""The broker simulator as a process, on both engines: orders in, executions out, a ledger that says the same."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway.broker.ledger import read_ledger
from gateway.demo.world import free_ports
from tests.support.command import gateway
from tests.support.initiator import DEADLINE_S, LOOPBACK, Initiator

NO_QUICKFIX = pytest.mark.skipif(find_spec("quickfix") is None, reason="the quickfix package is not installed")
ENGINES = ["native", pytest.param("quickfix", marks=NO_QUICKFIX)]
Start = Callable[..., "Broker"]


class Broker:
    """One running broker simulator."""

    def __init__(self, ledger: Path, engine: str, *options: str) -> None:
        self.ledger = ledger
        port = 0 if engine == "native" else free_ports(1)[0]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gateway", "broker-sim", "--engine", engine, "--port", str(port)),
                *("--ledger", str(ledger), *(options or ("--session", "FIX.4.4:BROKER:GATEWAY"))),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("listening on "):
                self.port = int(line.rpartition(":")[2])
                return
        raise AssertionError(f"the broker did not start: {self.process.communicate()[1]}")

    def entries(self) -> list[dict]:
        return list(read_ledger(self.ledger))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    brokers: list[Broker] = []

    def start_one(engine: str, *options: str) -> Broker:
        brokers.append(Broker(tmp_path / "ledger", engine, *options))
        return brokers[-1]

    yield start_one
    for broker in brokers:
        if broker.process.poll() is None:
            broker.process.kill()
        broker.process.communicate()


@pytest.mark.parametrize("engine", ENGINES)
def test_orders_are_answered_and_the_ledger_says_what_was_answered(start: Start, engine: str):
    broker = start(engine)
    client = Initiator().connect(broker.port)
    client.order("A", 10)
    client.order("B", 10, price=1)
    client.order("B", 10, price=1)
    reports = client.receive(5)
    assert [(r[11], r[39]) for r in reports] == [("A", "0"), ("A", "1"), ("A", "2"), ("B", "0"), ("B", "8")]
    entries = broker.entries()
    last = client.session.next_out - 1
    assert [(e["cl_ord_id"], e["action"], e["processed"], e["seq"]) for e in entries] == [
        ("A", "new", True, last - 2),
        ("B", "new", True, last - 1),
        ("B", "duplicate", True, last),
    ]
    told = [(e["exec_id"], e["seq"]) for entry in entries for e in entry["executions"]]
    assert told == [(report[17], int(report[34])) for report in reports]
    client.logout()
    assert broker.stop() == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_client_missed_is_sent_again_when_it_comes_back(start: Start, engine: str):
    broker = start(engine)
    client = Initiator().connect(broker.port)
    client.order("A", 10)
    client.cut()  # before it has read the answers
    client.connect(broker.port)
    client.order("B", 10)
    reports = client.receive(6)
    assert [(r[11], r[39]) for r in reports] == [(name, status) for name in "AB" for status in "012"]
    assert len({report[17] for report in reports}) == 6
    assert [entry["cl_ord_id"] for entry in broker.entries()] == ["A", "B"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_repeated_message_is_not_processed_again(start: Start, engine: str):
    broker = start(engine)
    client = Initiator().connect(broker.port)
    client.order("A", 10, price=1)
    client.receive()
    sent = next(r.payload for r in client.session.journal.records() if b"\x0111=A\x01" in r.payload and r.kind == 1)
    assert client.socket is not None
    client.socket.sendall(_as_duplicate(sent))
    client.order("B", 10, price=1)
    assert client.receive()[0][11] == "B"
    assert [entry["cl_ord_id"] for entry in broker.entries()] == ["A", "B"]


@pytest.mark.parametrize("engine", ENGINES)
def test_open_orders_are_canceled_when_the_connection_is_lost_and_the_client_is_told(start: Start, engine: str):
    broker = start(engine, "--session", "FIX.4.4:BROKER:GATEWAY", "--cancel-on-disconnect")
    client = Initiator().connect(broker.port)
    client.order("A", 10, price=1)
    client.order("B", 10)
    client.receive(4)
    client.cut()
    client.connect(broker.port)
    (report,) = client.receive()
    assert (report[11], report[150], report[39], report[151]) == ("A", "4", "4", "0")
    assert [(e["action"], len(e["executions"])) for e in broker.entries()][-1] == ("canceled on disconnect", 1)
    assert broker.entries()[-1]["executions"][0]["exec_id"] == report[17]


@pytest.mark.parametrize("engine", ENGINES)
def test_two_sessions_have_books_of_their_own(start: Start, engine: str):
    broker = start(engine, "--session", "FIX.4.4:BROKER:GATEWAY", "--session", "FIX.4.2:BROKER:OTHER")
    one, two = Initiator().connect(broker.port), Initiator("FIX.4.2", "OTHER").connect(broker.port)
    for client in (one, two):
        client.order("A", 1, price=1)
        (report,) = client.receive()
        assert (report[8], report[39]) == ("FIX.4.4" if client is one else "FIX.4.2", "0")
    assert {entry["session"] for entry in broker.entries()} == {"FIX.4.4:BROKER:GATEWAY", "FIX.4.2:BROKER:OTHER"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stranger_is_refused(start: Start, engine: str):
    broker = start(engine)
    with pytest.raises(AssertionError, match="closed"):
        Initiator(sender="STRANGER").connect(broker.port)
    client = Initiator().connect(broker.port)
    client.order("A")
    assert client.receive()[0][11] == "A"


def test_a_broker_with_a_store_goes_on_at_its_numbers_after_a_restart(start: Start, tmp_path: Path):
    options = ("--session", "FIX.4.4:BROKER:GATEWAY", "--store", str(tmp_path / "store"))
    broker = start("native", *options)
    client = Initiator().connect(broker.port)
    client.order("A", 1, price=1)
    client.receive()
    client.logout()
    assert broker.stop() == 0
    client.connect(start("native", *options).port)
    client.order("B", 1, price=1)
    assert client.receive()[0][11] == "B"


def test_a_second_connection_replaces_the_first_or_is_refused(start: Start):
    replacing = start("native")
    first = Initiator().connect(replacing.port)
    second = socket.create_connection((LOOPBACK, replacing.port), timeout=DEADLINE_S)
    second.sendall(_logon(3))
    assert _closed(first.socket)
    second.close()
    refusing = start("native", "--session", "FIX.4.4:BROKER:GATEWAY", "--on-duplicate-connection", "refuse")
    first = Initiator().connect(refusing.port)
    second = socket.create_connection((LOOPBACK, refusing.port), timeout=DEADLINE_S)
    second.sendall(_logon(3))
    assert _closed(second)
    first.order("A")
    assert first.receive()[0][11] == "A"


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\n\r\n" * 300, b"\x00" * 8192, b"8=FIX.4.4\x019=5\x0135=0\x0110=000\x01"]
)
def test_what_is_no_logon_is_cut_off_and_the_others_are_served(start: Start, noise: bytes):
    broker = start("native")
    stranger = socket.create_connection((LOOPBACK, broker.port), timeout=DEADLINE_S)
    stranger.sendall(noise)
    assert _closed(stranger)
    Initiator().connect(broker.port).logout()


@pytest.mark.parametrize("text", ["FIX.4.4", "FIX.4.4:A", "FIX.4.4::B", "FIX.5.0:A:B", "FIX.4.4:A:B:C"])
def test_a_session_that_cannot_be_is_refused_with_an_example(tmp_path: Path, text: str):
    done = gateway("broker-sim", "--port", "0", "--session", text)
    assert done.returncode != 0
    assert text in done.stderr
    assert "FIX.4.4:BROKER:GATEWAY" in done.stderr


def _closed(sock: socket.socket | None) -> bool:
    """Whether the other side closes; reads until it does."""
    assert sock is not None
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def _logon(seq: int) -> bytes:
    fields = f"35=A\x0149=GATEWAY\x0156=BROKER\x0134={seq}\x0152=20260101-00:00:00.000\x0198=0\x01108=30\x01"
    return _message(fields.encode())


def _as_duplicate(sent: bytes) -> bytes:
    """The same message again with PossDupFlag (43), as a counterparty gets it after a resend."""
    fields = sent.split(b"\x01")[2:-2]
    sending_time = next(field[3:] for field in fields if field.startswith(b"52="))
    at = next(i for i, field in enumerate(fields) if field.startswith(b"52="))
    fields[at + 1 : at + 1] = [b"43=Y", b"122=" + sending_time]
    return _message(b"\x01".join(fields) + b"\x01")


def _message(body: bytes) -> bytes:
    start = b"8=FIX.4.4\x019=%d\x01" % len(body) + body
    return start + b"10=%03d\x01" % (sum(start) % 256)
