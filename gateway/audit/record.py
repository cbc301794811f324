"""The client's own record of what it submitted and what it was told: evidence for an audit. One JSON object a line."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import orjson


class ClientRecorder:
    """Appends to a file; every line reaches the operating system at once, so a killed client leaves all it knew."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("ab", buffering=0)

    def submitted(self, cl_ord_id: str, wall_ns: int) -> None:
        """An order was handed in."""
        self._write({"what": "submitted", "cl_ord_id": cl_ord_id, "wall_ns": wall_ns})

    def accepted(self, cl_ord_id: str, wall_ns: int, seq: int) -> None:
        """The gateway said: in the log, numbered, released."""
        self._write({"what": "accepted", "cl_ord_id": cl_ord_id, "wall_ns": wall_ns, "seq": seq})

    def rejected(self, cl_ord_id: str, wall_ns: int, reason: str) -> None:
        """The gateway refused the order."""
        self._write({"what": "rejected", "cl_ord_id": cl_ord_id, "wall_ns": wall_ns, "reason": reason})

    def not_sent_again(self, cl_ord_id: str, wall_ns: int) -> None:
        """After a takeover the gateway filled the order's number: the counterparty may not have it."""
        self._write({"what": "not_sent_again", "cl_ord_id": cl_ord_id, "wall_ns": wall_ns})

    def execution(self, cl_ord_id: str, wall_ns: int, exec_id: str, seq: int) -> None:
        """An ExecutionReport was delivered."""
        self._write({"what": "execution", "cl_ord_id": cl_ord_id, "wall_ns": wall_ns, "exec_id": exec_id, "seq": seq})

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
