"""An order through a real pair with a further receiver: none, one that follows, one that catches up all the time.

Run: pytest bench/bench_receivers.py, on a machine with nothing else to do. The receiver is a thread of this process on
the second core. `follows` takes what comes; `catches up` begins anew whenever it holds everything, so that the feeder
sends as fast as it can.
"""

import secrets
import socket
import threading
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.conftest import Distribution
from gateway.bench.pairconfig import PairSpec
from gateway.bench.probed_pair import probed_pair
from gateway.demo.world import LOOPBACK, free_ports, write_secret
from gateway.native.datagram import Channel
from gateway.native.journal import Journal
from gateway.receiver.follower import Follower

ORDERS = 4_000
WARM_UP = 1_000
PAUSE_NS = 20_000
INDEX = 2
UNHURRIED = "1s"  # on a busy machine a node may have to wait for its core
SECTION = """
[[receiver]]
name = "far"
kind = "disaster-recovery"
address = "{host}:{port}"
nodes = {{ a = "{host}:{a}", b = "{host}:{b}" }}
data_dir = "far"
key_file = "receiver.key"
round_trip = "20ms"
"""


class ReceiverThread:
    """A receiver in memory; `again`: it forgets everything whenever it holds everything."""

    def __init__(self, port: int, nodes: list[int], key: bytes, *, again: bool) -> None:
        self.held = self.records = 0
        self._nodes, self._key, self._again = nodes, key, again
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind((LOOPBACK, port))
        self._socket.settimeout(0.002)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "ReceiverThread":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        follower = self._fresh()
        while not self._stopping:
            try:
                data = self._socket.recv(9001)
                follower.on_datagram(data, time.monotonic_ns())
            except (TimeoutError, ConnectionError):
                pass
            for node, datagram in follower.due(time.monotonic_ns()):
                self._socket.sendto(datagram, (LOOPBACK, self._nodes[node]))
            self.held = follower.journal.last_lsn
            view = follower.primary
            if self._again and view is not None and 0 < view.released_lsn <= self.held:
                self.records += self.held
                follower = self._fresh()
        self.records += self.held

    def _fresh(self) -> Follower:
        journal = Journal.memory(segment_bytes=1 << 26, max_records=1 << 20, max_sessions=2)
        channel = Channel(self._key, pair_id=1, node=INDEX, incarnation=time.time_ns())
        return Follower(journal, channel, datagram_bytes=1400, round_trip_ns=20_000_000, reorder_slots=1 << 12)


@pytest.mark.parametrize("kind", ["none", "follows", "catches up"])
def test_order_beside_a_receiver(
    benchmark: BenchmarkFixture, distribution: Distribution, tmp_path: Path, kind: str
) -> None:
    port, a, b = free_ports(3)
    key = secrets.token_hex(16)
    write_secret(tmp_path / "receiver.key", key)
    section = "" if kind == "none" else SECTION.format(host=LOOPBACK, port=port, a=a, b=b)
    with probed_pair(tmp_path, PairSpec(suspect_after=UNHURRIED, more=section)) as pair:
        pair.measure(WARM_UP, pause_ns=PAUSE_NS)
        if kind == "none":
            times = benchmark.pedantic(pair.measure, (ORDERS,), {"pause_ns": PAUSE_NS}, rounds=1)
            name = "no receiver"
        else:
            with ReceiverThread(port, [a, b], bytes.fromhex(key), again=kind == "catches up") as receiver:
                while receiver.held == 0:
                    pair.probe.pump()
                started = time.monotonic()
                times = benchmark.pedantic(pair.measure, (ORDERS,), {"pause_ns": PAUSE_NS}, rounds=1)
                seconds = time.monotonic() - started
            name = f"one that {kind} ({receiver.records / seconds:,.0f} records/s)"
    distribution(f"{name}: order to broker", times[:, 2] - times[:, 0])
    distribution(f"{name}: order to execution", times[:, 4] - times[:, 0])
