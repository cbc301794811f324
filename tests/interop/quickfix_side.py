"""The quickfix package as counterparty: a child process that a test talks to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PUBLIC = Path(sys.prefix) / "share" / "quickfix"


class Theirs:
    """quickfix's session, from the outside."""

    def __init__(
        self, role: str, port: int, begin_string: str, appl_ver_id: str = "9", extra: dict[str, str] | None = None
    ) -> None:
        self._arguments = [role, str(port), begin_string, appl_ver_id, json.dumps(extra or {})]
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.interop.quickfix_process", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "started"

    def __enter__(self) -> Theirs:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def restart(self) -> None:
        """SIGKILL, and a new life; with FileStorePath it knows its numbers."""
        self._kill()
        self._start()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            stream.close()

    @property
    def logons(self) -> int:
        """How often it was logged on."""
        return self.state()["logons"]

    @property
    def logged_on(self) -> bool:
        """Whether it is."""
        return self.state()["logged_on"]

    @property
    def received(self) -> list[str]:
        """Text of every News it was given."""
        return self.state()["received"]

    @property
    def rejects(self) -> list[str]:
        """Every Reject (35=3) it sent or got."""
        return self.state()["rejects"]

    @property
    def numbers(self) -> tuple[int, int]:
        """(next number to send, next number expected)."""
        return tuple(self.state()["numbers"])

    def state(self) -> dict[str, Any]:
        """All of it at once."""
        return self.ask("state")

    def send(self, text: str) -> None:
        """Sends a News (35=B)."""
        self.ask("send", text)

    def ask(self, *command: object) -> Any:
        """Runs a command of quickfix_process.Peer."""
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        assert line, f"quickfix ended with status {self._process.wait()}"
        return json.loads(line)
