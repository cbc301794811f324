"""Cost of the Python client per message, without sockets: frames built and read, the protocol core on top of them.

Run: pytest bench/bench_client.py. One round is 1,000 messages; divide by that.
"""

from pytest_benchmark.fixture import BenchmarkFixture

from gateway.client.orders import Order, Side
from gateway.client.protocol import ClientCore
from gateway.native import clientwire as wire

MESSAGES = 1000
BODY = Order(symbol="AAPL", side=Side.BUY, quantity=100, price="190.25", transact_time=0).body()
REPORT = b"x" * 290  # as long as an ExecutionReport with 28 fields


def connected() -> ClientCore:
    core = ClientCore("alpha", b"", ["a"])
    core.tick(0)
    core.on_connected(0, 0)
    core.on_bytes(0, wire.welcome(0, 1, [wire.SessionInfo(0, "BROKER", 4, 0, 1)]), 0)
    core.take_output(0)
    return core


def test_decode_1000_messages(benchmark: BenchmarkFixture) -> None:
    stream = b"".join(wire.message(0, 0, seq, REPORT) for seq in range(1, MESSAGES + 1))
    frames, _ = benchmark(wire.decode, stream)
    assert len(frames) == MESSAGES


def test_submit_and_accept_1000_orders(benchmark: BenchmarkFixture) -> None:
    core = connected()

    def round_trip() -> None:
        submissions = [core.submit(0, "D", BODY) for _ in range(MESSAGES)]
        core.take_output(0)
        core.on_bytes(0, b"".join(wire.accepted(0, 0, 1, s.cl_ord_id) for s in submissions), 0)

    benchmark(round_trip)
    assert core.pending == 0


def test_deliver_1000_messages(benchmark: BenchmarkFixture) -> None:
    core = connected()
    stream = b"".join(wire.message(0, 0, seq, REPORT) for seq in range(1, MESSAGES + 1))

    def deliver() -> None:
        core.positions.clear()
        core.events.clear()
        core.on_bytes(0, stream, 0)

    benchmark(deliver)
    assert len(core.events) == MESSAGES
