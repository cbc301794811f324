"""Register `file`: a directory with one file per version, for two nodes on one host (demo, tests, development).

A version is written to a temporary file and then linked to its name, `00000000000000000007.json`. Linking fails if the
name is there, so exactly one of two rivals creates a version, and a reader never sees half of one. There is no lock: a
process that is paused at any point blocks nobody. The file with the highest version is what the cell holds.

It does not work over a network file system, and it is as available as this host: both nodes and the register die with
it.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from gateway.native.role import RegisterOutcome

from .base import EMPTY, Outcome, Register, RegisterCorrupt, RegisterUnavailable, RegisterValue, check_value
from .storage import Worker, flush_directory, format_value, parse_value, write_durably

KEPT_VERSIONS = 64
"""Newest versions that are never removed; see `_is_stale` for why this must be more than a few."""

WORKER_THREADS = 2
"""One may hang in a system call on a broken disk while the other answers."""

VERSION_DIGITS = 20
DEFAULT_TIMEOUT_S = 0.5
READ_TRIES = 5

_VERSION_NAME = re.compile(r"(\d{20})\.json")
_TEMPORARY_NAME = re.compile(r"\.(\d{20})\.[0-9a-f]+\.tmp")


class FileRegister(Register):
    """The cell in `directory`, which is created when missing (not its parents).

    Raises ValueError for a time-out that is not positive.
    """

    def __init__(self, directory: Path | str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.directory = Path(directory)
        self._worker = Worker(str(self.directory), timeout_s, WORKER_THREADS)

    async def read(self) -> RegisterValue:
        """Return the value of the highest version."""
        return await self._worker.run(self._read)

    async def compare_and_set(
        self, expected: RegisterValue, desired: RegisterValue, *, act_alone: bool = False
    ) -> Outcome:
        """Create the next version, if nobody else does."""
        check_value(desired)
        try:
            return await self._worker.run(lambda: self._compare_and_set(expected, desired))
        except RegisterUnavailable as error:
            return Outcome(RegisterOutcome.UNKNOWN, None, error)

    async def close(self) -> None:
        """End the register's threads."""
        self._worker.close()

    # On the worker's thread from here on.

    def _read(self) -> RegisterValue:
        for _ in range(READ_TRIES):
            version = self._highest()
            if version == 0:
                return EMPTY
            path = self._path(version)
            try:
                value = parse_value(path.read_bytes(), path)
            except FileNotFoundError:
                continue  # so much newer ones came meanwhile that it was removed
            if value.version != version:
                raise RegisterCorrupt(
                    f"register file {path}: holds version {value.version}; it was renamed or copied. "
                    "Put the name right, or move it away"
                )
            return value
        raise RegisterUnavailable(f"register {self.directory}: changes faster than it can be read")

    def _compare_and_set(self, expected: RegisterValue, desired: RegisterValue) -> Outcome:
        self.directory.mkdir(exist_ok=True)
        current = self._read()
        if current.version != expected.version:
            return Outcome(RegisterOutcome.LOST, current)
        value = desired._replace(version=current.version + 1)
        temporary = self.directory / f".{value.version:0{VERSION_DIGITS}}.{secrets.token_hex(8)}.tmp"
        write_durably(temporary, format_value(value))
        try:
            os.link(temporary, self._path(value.version))
        except (FileExistsError, FileNotFoundError):
            # Somebody else created this version, or so much later ones that our temporary file was removed.
            current = self._read()
            if current.version <= expected.version:
                raise  # neither: the directory was taken away
            return Outcome(RegisterOutcome.LOST, current)
        finally:
            temporary.unlink(missing_ok=True)
        if self._is_stale(value.version):
            self._path(value.version).unlink(missing_ok=True)
            return Outcome(RegisterOutcome.LOST, self._read())
        flush_directory(self.directory)
        self._prune(value.version)
        return Outcome(RegisterOutcome.WON, value)

    def _is_stale(self, version: int) -> bool:
        """Whether the name was free only because its first bearer has been removed.

        That happens to a process that was paused between reading and linking while others wrote many versions. A
        version is removed only when there is one KEPT_VERSIONS later, so then that one is seen here.
        """
        return self._highest() >= version + KEPT_VERSIONS

    def _prune(self, newest: int) -> None:
        for name in os.listdir(self.directory):
            match = _VERSION_NAME.fullmatch(name) or _TEMPORARY_NAME.fullmatch(name)
            if match and int(match[1]) + KEPT_VERSIONS <= newest:
                (self.directory / name).unlink(missing_ok=True)

    def _highest(self) -> int:
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            if not self.directory.parent.is_dir():
                raise
            return 0
        return max((int(match[1]) for match in map(_VERSION_NAME.fullmatch, names) if match), default=0)

    def _path(self, version: int) -> Path:
        return self.directory / f"{version:0{VERSION_DIGITS}}.json"
