"""A UDP relay between two nodes that loses, doubles, delays and reorders datagrams, from a seed. Loopback only."""

from __future__ import annotations

import random
import selectors
import socket
import threading
import time
from dataclasses import dataclass
from heapq import heappop, heappush

LOOPBACK = "127.0.0.1"
MAX_DATAGRAM = 65535


@dataclass(slots=True)
class Faults:
    """Probabilities per datagram, the longest delay of one that is held back (which reorders it), and every one's."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    max_delay_s: float = 0.005
    distance_s: float = 0.0


class Relay:
    """Carries datagrams between node a and node b on one path.

    Node a is configured with `a_peer` as its peer's address and node b with `b_peer`; the relay sends on from those
    very sockets, so that each node's connected socket sees its peer's configured address as the source.
    """

    def __init__(self, a_address: tuple[str, int], b_address: tuple[str, int], faults: Faults, seed: int = 1) -> None:
        self.faults = faults
        self.cut = False
        self.lost = self.doubled = self.delayed = self.carried = 0
        self._random = random.Random(seed)
        self._towards_b = self._socket()  # node a sends here; what comes from b reaches a from here
        self._towards_a = self._socket()
        self._a_address, self._b_address = a_address, b_address
        self._held: list[tuple[float, int, bytes, bool]] = []
        self._number = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    @property
    def a_peer(self) -> tuple[str, int]:
        """Where node a must send to."""
        host, port = self._towards_b.getsockname()
        return host, port

    @property
    def b_peer(self) -> tuple[str, int]:
        """Where node b must send to."""
        host, port = self._towards_a.getsockname()
        return host, port

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._towards_a.close()
        self._towards_b.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._towards_b, selectors.EVENT_READ, True)
            selector.register(self._towards_a, selectors.EVENT_READ, False)
            while not self._stop.is_set():
                wait = max(0.0, self._held[0][0] - time.monotonic()) if self._held else 0.05
                for key, _ in selector.select(min(wait, 0.05)):
                    self._receive(self._towards_b if key.data else self._towards_a, key.data)
                now = time.monotonic()
                while self._held and self._held[0][0] <= now:
                    _, _, datagram, to_b = heappop(self._held)
                    self._send(datagram, to_b)

    def _receive(self, sock: socket.socket, to_b: bool) -> None:
        for _ in range(64):
            try:
                datagram = sock.recv(MAX_DATAGRAM)
            except (BlockingIOError, ConnectionError):
                return
            self._judge(datagram, to_b)

    def _judge(self, datagram: bytes, to_b: bool) -> None:
        faults, draw = self.faults, self._random.random
        if self.cut or draw() < faults.loss:
            self.lost += 1
            return
        copies = 1
        if draw() < faults.duplicate:
            self.doubled += 1
            copies = 2
        for _ in range(copies):
            late = draw() < faults.delay
            if late or faults.distance_s:
                self.delayed += late
                self._number += 1
                at = time.monotonic() + faults.distance_s + late * draw() * faults.max_delay_s
                heappush(self._held, (at, self._number, datagram, to_b))
            else:
                self._send(datagram, to_b)

    def _send(self, datagram: bytes, to_b: bool) -> None:
        self.carried += 1
        # What goes to b leaves from the socket that b knows as its peer.
        sock, address = (self._towards_a, self._b_address) if to_b else (self._towards_b, self._a_address)
        try:
            sock.sendto(datagram, address)
        except OSError:
            self.lost += 1

    @staticmethod
    def _socket() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((LOOPBACK, 0))
        sock.setblocking(False)
        return sock
