"""A FIX initiator on a blocking socket: what a test sends orders with, to a broker of either engine."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable

from gateway.fix.fields import decode_fields, encode_body
from gateway.native.journal import Journal
from gateway.native.session import Session

DEADLINE_S = 10.0  # nothing is waited for longer; a test that gets there has failed
READ_BYTES = 1 << 16
LOOPBACK = "127.0.0.1"


class Initiator:
    """One session, over one connection after the other."""

    def __init__(self, begin_string: str = "FIX.4.4", sender: str = "GATEWAY", target: str = "BROKER") -> None:
        self.session = Session(
            Journal.memory(segment_bytes=1 << 20, max_records=1 << 14, max_sessions=1, max_seq=1 << 14),
            role="initiator",
            begin_string=begin_string,
            sender_comp_id=sender,
            target_comp_id=target,
        )
        self.messages: list[dict[int, str]] = []
        self.socket: socket.socket | None = None
        self._unread = bytearray()

    def connect(self, port: int, tls: ssl.SSLContext | None = None) -> Initiator:
        """Connects, and returns when the session is ready."""
        self.socket = socket.create_connection((LOOPBACK, port), timeout=DEADLINE_S)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=LOOPBACK)
        self._unread.clear()
        self.session.connected(*now())
        self.until(lambda: self.session.status == "READY")
        return self

    def cut(self) -> None:
        """Closes the connection without a Logout, ignoring what comes; the other side has noticed on return."""
        assert self.socket is not None
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(READ_BYTES):
                pass
        self.socket.close()
        self.socket = None
        self.session.disconnected(*now())

    def send(self, msg_type: str, *fields: tuple[int, object]) -> None:
        """Sends one application message."""
        self.session.send(msg_type, encode_body(fields), *now())
        self._write()

    def order(self, cl_ord_id: str, quantity: object = 100, price: object = None, **more: str) -> None:
        """Sends a new order: to buy at `price`, or at the market."""
        limit = [] if price is None else [(44, price)]
        extra = [(int(tag.removeprefix("tag")), value) for tag, value in more.items()]
        kind = "1" if price is None else "2"
        self.send("D", (11, cl_ord_id), (55, "ABC"), (54, 1), (38, quantity), (40, kind), *limit, *extra)

    def receive(self, count: int = 1) -> list[dict[int, str]]:
        """The next `count` application messages."""
        self.until(lambda: len(self.messages) >= count)
        taken, self.messages = self.messages[:count], self.messages[count:]
        return taken

    def logout(self) -> None:
        """Logs out, and returns when the other side has answered and closed."""
        self.session.logout("", *now())
        self.until(lambda: self.socket is None)

    def until(self, condition: Callable[[], bool]) -> None:
        """Reads and writes until the condition holds."""
        deadline = time.monotonic() + DEADLINE_S
        self._write()
        while not condition():
            assert self.socket is not None, "the connection is closed"
            assert time.monotonic() < deadline, f"waited in vain; the session is {self.session.status}"
            self._read()

    def _write(self) -> None:
        output = self.session.output()
        if output and self.socket is not None:
            with contextlib.suppress(ConnectionError):  # the next read says that it is gone
                self.socket.sendall(output)

    def _read(self) -> None:
        assert self.socket is not None
        try:
            data = self.socket.recv(READ_BYTES)
        except ConnectionResetError:
            data = b""
        self._unread += data
        used = self.session.receive(self._unread, *now())
        del self._unread[:used]
        for event in self.session.take_events():
            if event.kind == "MESSAGE":
                self.messages.append(dict(reversed(decode_fields(event.data))))
        self._write()
        if not data or self.session.closing:
            self.cut()


def now() -> tuple[int, int]:
    return time.monotonic_ns(), time.time_ns()
