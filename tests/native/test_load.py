"""The load itself: a run returns only if every order arrived once and in order, or a figure would mean nothing."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from gateway.native import clientwire as wire
from gateway.native.journal import Journal
from gateway.native.load import Load
from gateway.native.session import Session

FIELDS = b"1=ACCT\x0155=AAPL\x0154=1\x0138=100\x01"
EXECUTION = b"37=X\x0111=o-000000000\x01150=F\x0139=2\x01"
HEADER = struct.Struct("<IBBHQII")
SESSIONS = 3
MONO_NS, WALL_NS = 1, 1_700_000_000 * 10**9

Orders = list[wire.Submit]


def session(role: str, index: int) -> Session:
    here, there = ("GATEWAY", f"BROKER{index}") if role == "initiator" else (f"BROKER{index}", "GATEWAY")
    return Session(
        Journal.memory(max_sessions=SESSIONS),
        role=role,
        begin_string="FIX.4.4",
        sender_comp_id=here,
        target_comp_id=there,
        index=index,
        logon_barrier=False,
    )


class Gateway:
    """Numbers what it is handed in, as `shuffle` leaves it, tells that it was accepted, and passes answers on."""

    def __init__(self, shuffle: Callable[[Orders], Orders], execution: bytes = b"") -> None:
        self.shuffle = shuffle
        self.stack = ExitStack()
        self.client, own = self._pair()
        self.load = Load(own.fileno(), prefix=b"o-", fields=FIELDS, execution=execution)
        self.sessions = [session("initiator", i) for i in range(SESSIONS)]
        self.counterparties = [session("acceptor", i) for i in range(SESSIONS)]
        self.brokers = []
        for there in self.counterparties:
            broker, own = self._pair()
            self.brokers.append(broker)
            there.connected(MONO_NS, WALL_NS)
            self.load.add(there, own.fileno())
        for here, broker in zip(self.sessions, self.brokers, strict=True):
            here.connected(MONO_NS, WALL_NS)
            broker.sendall(here.output())
        assert self.load.pump()
        self._carry()
        assert all(here.status == "READY" for here in self.sessions)

    def _pair(self) -> tuple[socket.socket, socket.socket]:
        ends = socket.socketpair()
        for end in ends:
            self.stack.enter_context(end)
            end.setblocking(False)
        return ends

    def _carry(self) -> None:
        for i, (here, broker) in enumerate(zip(self.sessions, self.brokers, strict=True)):
            try:
                here.receive(broker.recv(1 << 20), MONO_NS, WALL_NS)
            except BlockingIOError:
                continue
            for event in here.take_events():
                if event.kind == "MESSAGE":
                    self.client.sendall(HEADER.pack(HEADER.size + len(event.data), 22, 0, i, 0, 0, 0) + event.data)

    def serve(self, stop: threading.Event) -> None:
        received = b""
        while not stop.wait(0.001):
            with suppress(BlockingIOError):
                received += self.client.recv(1 << 20)
            frames, used = wire.decode(received)
            received = received[used:]
            for order in self.shuffle([frame for frame in frames if isinstance(frame, wire.Submit)]):
                name = wire.find_cl_ord_id(order.fields).encode()
                here = self.sessions[order.session]
                here.send("D", order.fields, MONO_NS, WALL_NS, clordid=name)
                self.brokers[order.session].sendall(here.output())
                self.client.sendall(HEADER.pack(HEADER.size + len(name), 18, 0, order.session, 0, 0, 0) + name)
            self._carry()


@pytest.fixture
def served() -> Iterator[Callable[..., Load]]:
    stop = threading.Event()
    threads: list[threading.Thread] = []
    gateways: list[Gateway] = []

    def serve(shuffle: Callable[[Orders], Orders], execution: bytes = b"") -> Load:
        gateways.append(Gateway(shuffle, execution))
        threads.append(threading.Thread(target=gateways[-1].serve, args=(stop,)))
        threads[-1].start()
        return gateways[-1].load

    yield serve
    stop.set()
    for thread in threads:
        thread.join()
    for gateway in gateways:
        gateway.stack.close()


def test_orders_that_arrive_once_and_in_order_are_a_run(served: Callable[..., Load]) -> None:
    load = served(lambda orders: orders)
    assert load.go(500, 64)["orders"] == 500
    assert load.go(7, 64)["orders"] == 7


def test_answers_are_waited_for(served: Callable[..., Load]) -> None:
    load = served(lambda orders: orders, EXECUTION)
    assert load.go(100, 16)["orders"] == 100


def test_a_lost_order_is_seen(served: Callable[..., Load]) -> None:
    load = served(lambda orders: [o for o in orders if b"o-000000004" not in o.fields])
    with pytest.raises(RuntimeError, match="not the one that comes next"):
        load.go(20, 64)


def test_an_order_that_is_sent_twice_is_seen(served: Callable[..., Load]) -> None:
    load = served(lambda orders: [o for order in orders for o in (order, order)])
    with pytest.raises(RuntimeError, match="not the one that comes next"):
        load.go(20, 64)


def test_an_execution_without_the_orders_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no ClOrdID"):
        Load(0, prefix=b"o-", fields=FIELDS, execution=b"37=X\x01150=F\x01")
