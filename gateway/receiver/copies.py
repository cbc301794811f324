"""Drop copies: each application message of the log as a line of JSON, once, in the log's order.

A file is its own memory: after a restart it goes on behind the last whole line. Records that the pair took back (they
were never released by a primary in sync) are followed by a line of kind TRUNCATED.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import orjson

from gateway.errors import GatewayError
from gateway.journal.export import as_object
from gateway.native import record as names
from gateway.native.journal import Journal

TAIL_BYTES = 1 << 17  # longer than any line
BATCH = 1_000


class Copies:
    """Writes what is new in `journal` to a file or to standard output. Raises GatewayError."""

    def __init__(self, journal: Journal, sessions: list[str], output: Path | None, from_lsn: int | None) -> None:
        self._journal = journal
        self._sessions = sessions
        self._next_lsn = from_lsn if from_lsn is not None else journal.last_lsn + 1
        self._file: BinaryIO
        if output is None:
            self._file = sys.stdout.buffer
            return
        try:
            self._file = output.open("ab")
            written = _last_lsn(output)
        except OSError as error:
            raise GatewayError(f"{output}: {error.strerror}") from None
        self._next_lsn = written + 1 if written is not None else from_lsn or 1

    def write_new(self) -> int:
        """Writes what has come; how many lines. At most BATCH records at a time."""
        last = min(self._journal.last_lsn, self._next_lsn + BATCH - 1)
        lines = [self._line(lsn) for lsn in range(self._next_lsn, last + 1)]
        whole = [line for line in lines if line]
        if whole:
            self._file.write(b"".join(whole))
            self._file.flush()
        self._next_lsn = max(last + 1, self._next_lsn)
        return len(whole)

    @property
    def behind(self) -> bool:
        """Whether there is more to write."""
        return self._next_lsn <= self._journal.last_lsn

    def truncated(self) -> None:
        """The journal was cut: what was written beyond its end does not count any more."""
        last = self._journal.last_lsn
        if self._next_lsn > last + 1:
            line = {"lsn": last, "kind": "TRUNCATED", "text": "messages after this LSN are not in the log any more"}
            self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()
            self._next_lsn = last + 1

    def close(self) -> None:
        """Closes a file, and leaves standard output open."""
        if self._file is not sys.stdout.buffer:
            self._file.close()

    def _line(self, lsn: int) -> bytes:
        record = self._journal.at(lsn)
        if record.kind not in (names.OUT, names.IN) or not record.flags & names.APPLICATION:
            return b""
        name = self._sessions[record.session] if record.session < len(self._sessions) else str(record.session)
        return orjson.dumps({**as_object(record), "session_name": name}, option=orjson.OPT_APPEND_NEWLINE)


def _last_lsn(path: Path) -> int | None:
    """LSN of the last whole line; half a line behind it, which a kill left, is cut off. None: there is none."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(max(0, size - TAIL_BYTES))
        tail = file.read()
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            file.truncate(size - len(tail) + whole)
            file.flush()
            os.fsync(file.fileno())
    lines = tail[:whole].splitlines()
    if not lines:
        return None
    try:
        return int(orjson.loads(lines[-1])["lsn"])
    except (ValueError, KeyError, TypeError):
        raise GatewayError(f"{path}: its last line is none of a drop copy: name another file") from None
