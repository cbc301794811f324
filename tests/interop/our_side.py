"""One of our sessions over a real socket on the loopback, driven by the test's own thread."""

from __future__ import annotations

import contextlib
import select
import socket
import time

from gateway.native.journal import Journal
from gateway.native.session import Event, Session
from tests.support.sessions import fields_of

STEP_S = 0.01
PATIENCE_S = 15.0


class Ours:
    """Connects or accepts, reads, writes, and lets time pass whenever it is pumped."""

    def __init__(self, role: str, begin_string: str, skew_ns: int = 0, **options) -> None:
        self.role = role
        self.skew_ns = skew_ns
        journal = Journal.memory(segment_bytes=1 << 20, max_records=1 << 13, max_seq=1 << 12)
        self._options = dict(
            role=role,
            begin_string=begin_string,
            sender_comp_id="OURS",
            target_comp_id="THEIRS",
            heartbeat_s=30,
            **options,
        )
        self.session = Session(journal, **self._options)
        self.events: list[Event] = []
        self._socket: socket.socket | None = None
        self._pending = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        if role == "initiator":
            self._listener.close()

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._listener.close()

    @property
    def now(self) -> tuple[int, int]:
        """Monotonic and wall time in ns."""
        return time.monotonic_ns(), time.time_ns() + self.skew_ns

    def hang_up(self) -> None:
        """Drops the connection with whatever is on the wire."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._pending = b""
            self.session.disconnected(*self.now)
            self._collect()

    def garble(self) -> None:
        """Puts bytes that are no message onto the wire in both directions."""
        if self._socket is not None:
            noise = b"8=FIX.4.4\x019=10\x0135=0\x0134=x\x0110=000\x01"
            with contextlib.suppress(OSError):
                self._socket.sendall(self.session.output(None, *self.now) + noise)
            if not self._pending:
                self.session.receive(noise, *self.now)

    def restart(self) -> None:
        """A new process over the same journal."""
        self.hang_up()
        self.session = Session(self.session.journal, **self._options)

    def step(self) -> None:
        """A hundredth of a second of work, at most."""
        if self._socket is None:
            self._open()
            return
        with contextlib.suppress(OSError):
            self._socket.sendall(self.session.output(None, *self.now))
        if select.select([self._socket], [], [], STEP_S)[0] and not self._read():
            return
        self.session.timer(*self.now)
        self._collect()
        if self._socket is not None and self.session.closing:
            with contextlib.suppress(OSError):
                self._socket.sendall(self.session.output(None, *self.now))
            self.hang_up()

    def until(self, condition, what: str) -> None:
        """Works until the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
            self.step()

    def ready(self) -> None:
        """Works until the session is READY."""
        self.until(lambda: self.session.status == "READY", f"ready, is {self.session.status}: {self.events[-5:]}")

    def send(self, text: str) -> int:
        """Sends a News (35=B) of one line."""
        headline = b"" if self._options["begin_string"] == "FIX.4.0" else b"148=news\x01"
        return self.session.send("B", headline + b"33=1\x0158=%s\x01" % text.encode(), *self.now)

    def received(self) -> list[str]:
        """Text of every News that was delivered."""
        return [fields_of(event.data)[58] for event in self.events if event.kind == "MESSAGE"]

    def _open(self) -> None:
        if self.session.status == "STOPPED":
            time.sleep(STEP_S)
            return
        try:
            if self.role == "initiator":
                self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=1)
            else:
                self._socket, _ = self._listener.accept()
        except OSError:
            time.sleep(STEP_S)
            return
        self._socket.setblocking(True)
        self.session.connected(*self.now)

    def _read(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.hang_up()
            return False
        self._pending += data
        self._pending = self._pending[self.session.receive(self._pending, *self.now) :]
        self._collect()
        return True

    def _collect(self) -> None:
        self.events += self.session.take_events()
