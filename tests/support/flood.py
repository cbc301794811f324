"""Floods a replication port with datagrams that look as if they came from the peer, at a steady rate. Loopback only.

Run: python -m tests.support.flood 7001 7011 --rate 100000 --seconds 10. Needs raw sockets (root, or CAP_NET_RAW): the
source address is forged, and what the pair says to itself is listened to, so that it can be replayed and damaged.
Prints one line of JSON: datagrams sent by kind, seconds.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence

LOOPBACK = socket.inet_aton("127.0.0.1")
IP_UDP_HEADER = struct.Struct("!BBHHHBBH4s4sHHHH")
IP_HEADER_BYTES = 20
HEADER_BYTES, MAC_BYTES = 96, 16
AT_MAGIC, AT_VERSION, AT_TO_NODE, AT_PAIR = 0, 2, 5, 8
MAX_DATAGRAM_BYTES = 9000
LISTEN_S = 0.5
BATCH = 50
POOL = 1800  # different datagrams, sent round and round

KINDS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "forged": lambda chance, real: real[:-MAC_BYTES] + chance.randbytes(MAC_BYTES),
    "replayed": lambda chance, real: real,
    "truncated": lambda chance, real: real[: chance.randrange(len(real))],
    "bit_flipped": lambda chance, real: _flipped(real, chance.randrange(8 * HEADER_BYTES, 8 * len(real))),
    "wrong_magic": lambda chance, real: chance.randbytes(len(real)),
    "wrong_version": lambda chance, real: _with(real, AT_VERSION, bytes([chance.randrange(2, 256)])),
    "wrong_pair": lambda chance, real: _with(real, AT_PAIR, chance.randbytes(4)),
    "wrong_node": lambda chance, real: _with(real, AT_TO_NODE, bytes([chance.randrange(2, 256)])),
    "oversized": lambda chance, real: (
        real + chance.randbytes(MAX_DATAGRAM_BYTES + 1 + chance.randrange(400) - len(real))
    ),
}


def _with(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _flipped(data: bytes, bit: int) -> bytes:
    return _with(data, bit // 8, bytes([data[bit // 8] ^ 1 << bit % 8]))


def may_flood() -> bool:
    """Whether this process may open raw sockets."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).close()
    except PermissionError:
        return False
    return True


def overheard(source: int, target: int) -> list[bytes]:
    """Datagrams that go from port to port while it listens. Raises RuntimeError when there are none."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as sock:
        until = time.monotonic() + LISTEN_S
        while time.monotonic() < until:
            sock.settimeout(max(until - time.monotonic(), 0.001))
            try:
                packet = sock.recv(65536)
            except TimeoutError:
                break
            if struct.unpack_from("!HH", packet, IP_HEADER_BYTES) == (source, target):
                found.append(packet[IP_HEADER_BYTES + 8 :])
    if not found:
        raise RuntimeError(f"nothing goes from port {source} to port {target}")
    return found


class Message(ctypes.Structure):
    """`struct mmsghdr` with its `struct msghdr` inside (man 2 sendmmsg)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vector", ctypes.c_void_p),
        ("vector_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_uint32),
        ("sent", ctypes.c_uint32),
    )


class Vector(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class Flood:
    """Prepared packets, sent in batches with one system call each."""

    def __init__(self, datagrams: Sequence[bytes], source: int, target: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self.stopped = False
        self._packets = [packet(data, source, target) for data in datagrams]
        self._address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 0, LOOPBACK)
        count = len(datagrams)
        self._vectors = (Vector * count)()
        self._messages = (Message * count)()
        for i, data in enumerate(self._packets):
            self._vectors[i] = Vector(data, len(data))
            self._messages[i].name = ctypes.cast(self._address, ctypes.c_void_p)
            self._messages[i].name_length = len(self._address)
            self._messages[i].vector = ctypes.addressof(self._vectors[i])
            self._messages[i].vector_length = 1

    def send(self, first: int, count: int) -> int:
        """Sends so many from `first` on; how many went. Raises OSError."""
        place = ctypes.byref(self._messages, first * ctypes.sizeof(Message))
        sent = self._libc.sendmmsg(self._socket.fileno(), place, count, 0)
        if sent < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return int(sent)

    def run(self, rate: float, seconds: float) -> tuple[int, float]:
        """At `rate` a second for so long: (datagrams sent, seconds). Late ones are sent in a bunch."""
        total, started, count = 0, time.monotonic(), len(self._packets)
        while not self.stopped and (passed := time.monotonic() - started) < seconds:
            due = int(passed * rate) - total
            while due > 0:
                first = total % count
                sent = self.send(first, min(BATCH, count - first))
                total += sent
                due -= sent
            time.sleep(BATCH / rate)
        return total, time.monotonic() - started


def packet(data: bytes, source: int, target: int) -> bytes:
    """IPv4 and UDP headers before `data`; the kernel fills in what is 0."""
    length = len(data) + 8
    header = IP_UDP_HEADER.pack(
        0x45,
        0,
        length + IP_HEADER_BYTES,
        0,
        0,
        64,
        socket.IPPROTO_UDP,
        0,
        LOOPBACK,
        LOOPBACK,
        source,
        target,
        length,
        0,
    )
    return header + data


def datagrams(kinds: Sequence[str], real: Sequence[bytes], count: int, seed: int = 1) -> list[bytes]:
    """So many, of each kind in turn, made of `real` ones."""
    chance = random.Random(seed)
    return [KINDS[kinds[i % len(kinds)]](chance, chance.choice(real)) for i in range(count)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=int, help="port that it claims to come from: the peer's")
    parser.add_argument("target", type=int, help="port that is flooded")
    parser.add_argument("--at", type=int, help="flood this port instead, with the same datagrams")
    parser.add_argument("--rate", type=float, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--tell", action="store_true", help="print a line when it begins")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    arguments = parser.parse_args()
    made = datagrams(arguments.kinds, overheard(arguments.source, arguments.target), POOL)
    flood = Flood(made, arguments.source, arguments.at or arguments.target)
    signal.signal(signal.SIGTERM, lambda *_: setattr(flood, "stopped", True))
    if arguments.tell:
        print("begins", flush=True)
    total, seconds = flood.run(arguments.rate, arguments.seconds)
    print(json.dumps({"sent": total, "seconds": seconds, "rate": total / seconds, "kinds": arguments.kinds}))


if __name__ == "__main__":
    main()
