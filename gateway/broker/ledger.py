"""The broker's ledger: evidence of every application message that reached the broker's application, in order.

One JSON object a line: wall_ns, session, seq (MsgSeqNum), msg_type, poss_dup, poss_resend, cl_ord_id, action, processed
(it reached the order book as a new order, cancel or replace), executions (exec_id, exec_type, seq). Each line is one
unbuffered append, so a kill loses nothing that was answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson


class Ledger:
    """Appends entries; with no path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file: IO[bytes] | None = path.open("ab", buffering=0) if path is not None else None
        if path is not None and self._file is not None:
            self._file.truncate(_end_of_last_line(path))

    def write(self, entry: dict[str, Any]) -> None:
        """Appends one entry."""
        if self._file is not None:
            self._file.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


def _end_of_last_line(path: Path) -> int:
    """Where an entry that a kill cut short starts; without one, the end of the file."""
    data = path.read_bytes()
    return data.rfind(b"\n") + 1


def read_ledger(path: Path) -> Iterator[dict[str, Any]]:
    """Entries of a ledger, oldest first. An incomplete last line (the broker was killed) is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield orjson.loads(line)
