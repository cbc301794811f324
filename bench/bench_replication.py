"""A record's way to the standby and back: appended, sent, appended there, acknowledged; over UDP on loopback.

Run: pytest bench/bench_replication.py. Primary and standby take turns in one thread, so no wake-up of another thread or
core is in it: the cost of the protocol and of four system calls.
"""

import socket

from bench.conftest import Distribution
from gateway.native.datagram import Channel
from gateway.native.journal import Journal
from gateway.native.receiver import Receiver
from gateway.native.sender import Sender
from gateway.native.timing import measure_round_trip

KEY = bytes(range(16))
HELLO, HEARTBEAT = 1, 2
RECORDS = 50_000
PAYLOAD_BYTES = 180


def _journal() -> Journal:
    return Journal.memory(segment_bytes=1 << 26, max_records=1 << 18, max_sessions=1, max_seq=1 << 18)


def test_record_to_the_standby_and_back(distribution: Distribution) -> None:
    a, b = Channel(KEY, node=0, incarnation=5), Channel(KEY, node=1, incarnation=6)
    b.open(a.seal(HELLO, 1))
    a.open(b.seal(HELLO, 0, to_incarnation=5))
    b.open(a.seal(HEARTBEAT, 1))
    sender, receiver = Sender(_journal(), a), Receiver(_journal(), b)
    sender.start(1)
    receiver.follow(0, 1, 1)
    with socket.socket(type=socket.SOCK_DGRAM) as primary, socket.socket(type=socket.SOCK_DGRAM) as standby:
        for sock in (primary, standby):
            sock.bind(("127.0.0.1", 0))
        primary.connect(standby.getsockname())
        standby.connect(primary.getsockname())
        fds = primary.fileno(), standby.fileno()
        measure_round_trip(sender, receiver, *fds, PAYLOAD_BYTES, RECORDS // 10)
        distribution("record there and back", measure_round_trip(sender, receiver, *fds, PAYLOAD_BYTES, RECORDS))
