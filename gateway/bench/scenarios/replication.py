"""A record's way to the standby and back: appended, sealed with its MAC, sent, checked, appended there, acknowledged.

Primary and standby take turns in one thread, so no wake-up of another thread or core is in it: the cost of the protocol
and of the system calls. The floor is datagrams of the same size without protocol, journal or MAC: the channel itself
has a MAC always.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import numpy as np

from gateway.bench.processes import pinned, placed, udp_pair
from gateway.bench.scenario import Calls, Instrument, Opener, Round, Scenario, Setting, Subject
from gateway.native.datagram import Channel
from gateway.native.journal import Journal
from gateway.native.pieces import time_datagrams
from gateway.native.receiver import Receiver
from gateway.native.sender import Sender
from gateway.native.timing import measure_round_trip

KEY = bytes(range(16))
HELLO, HEARTBEAT = 1, 2
PAYLOAD_BYTES = 180
DATAGRAM_BYTES = 300  # about those of a sealed record of such a payload
ACKNOWLEDGEMENT_BYTES = 80
ROOM = 1 << 20


def _journal() -> Journal:
    return Journal.memory(segment_bytes=1 << 28, max_records=ROOM, max_sessions=1, max_seq=ROOM)


def _joined() -> tuple[Sender, Receiver]:
    """A primary's sender and a standby's receiver that have heard of each other."""
    a, b = Channel(KEY, node=0, incarnation=5), Channel(KEY, node=1, incarnation=6)
    b.open(a.seal(HELLO, 1))
    a.open(b.seal(HELLO, 0, to_incarnation=5))
    b.open(a.seal(HEARTBEAT, 1))
    sender, receiver = Sender(_journal(), a), Receiver(_journal(), b)
    sender.start(1)
    receiver.follow(0, 1, 1)
    return sender, receiver


@contextlib.contextmanager
def _sockets(paths: int) -> Iterator[tuple[list[int], list[int]]]:
    with contextlib.ExitStack() as stack:
        pairs: list[tuple[socket.socket, socket.socket]] = [udp_pair(stack) for _ in range(paths)]
        yield [one.fileno() for one, _ in pairs], [other.fileno() for _, other in pairs]


def _gateway(paths: int) -> Opener:
    @contextlib.contextmanager
    def opened(setting: Setting) -> Iterator[Instrument]:
        with _sockets(paths) as (primary, standby):

            def measure() -> Round:
                sender, receiver = _joined()
                with pinned(placed().gateway):
                    measure_round_trip(sender, receiver, primary, standby, PAYLOAD_BYTES, setting.operations // 10)
                    there, back = measure_round_trip(
                        sender, receiver, primary, standby, PAYLOAD_BYTES, setting.operations
                    )
                return Round({"there and back": np.asarray(back), "one way": np.asarray(there)})

            yield Calls(measure)

    return opened


def _floor(paths: int) -> Opener:
    @contextlib.contextmanager
    def opened(setting: Setting) -> Iterator[Instrument]:
        with _sockets(paths) as (primary, standby):

            def measure() -> Round:
                with pinned(placed().gateway):
                    there, back = time_datagrams(
                        primary, standby, DATAGRAM_BYTES, ACKNOWLEDGEMENT_BYTES, setting.operations
                    )
                return Round({"there and back": np.asarray(back), "one way": np.asarray(there)})

            yield Calls(measure)

    return opened


def _scenario(paths: int) -> Scenario:
    text = f"a record of {PAYLOAD_BYTES} bytes to the standby and its acknowledgement back, one thread, {paths} path"
    subjects = (Subject("gateway", "gateway", _gateway(paths)), Subject("floor", "floor", _floor(paths)))
    return Scenario(f"replication.paths{paths}", text + "s" * (paths > 1), subjects, 20_000, 500)


SCENARIOS = tuple(_scenario(paths) for paths in (1, 2))
