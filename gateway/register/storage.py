"""A register value as a small JSON file: the one place that formats, parses and durably writes it.

May depend on: base. Blocking; the registers call it on a thread of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from .base import RegisterCorrupt, RegisterUnavailable, RegisterValue, check_value

T = TypeVar("T")


class Worker:
    """Runs blocking file calls off the event loop.

    A call takes well below a millisecond, but fsync can take any time on a busy disk, and the event loop also serves
    clients and the control API. The pool is the register's own: a hung disk must not take the loop's default pool.
    """

    def __init__(self, name: str, timeout_s: float, threads: int = 1) -> None:
        if timeout_s <= 0:
            raise ValueError(f"register time-out {timeout_s} s: must be more than 0")
        self.name, self.timeout_s = name, timeout_s
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="register")

    async def run(self, call: Callable[[], T]) -> T:
        """Return what `call` returns. Raises RegisterUnavailable for an OSError or after the time-out.

        A call that ran out of time goes on and may still take effect.
        """
        future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        try:
            return await asyncio.wait_for(future, self.timeout_s)
        except TimeoutError as error:
            raise RegisterUnavailable(
                f"register {self.name}: no answer from the file system within {self.timeout_s:g} s; check the disk"
            ) from error
        except OSError as error:
            raise RegisterUnavailable(
                f"register {self.name}: {error.strerror or error} ({error.filename or self.name}); check that the "
                "directory exists, is writable and on a file system with hard links"
            ) from error

    def close(self) -> None:
        """Start no more calls; one under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def format_value(value: RegisterValue) -> bytes:
    """JSON with a newline; `in_sync` as a list of node indices, for readers."""
    nodes = [node for node in range(8) if value.in_sync >> node & 1]
    document = {"version": value.version, "epoch": value.epoch, "primary": value.primary, "in_sync": nodes}
    return json.dumps(document).encode() + b"\n"


def parse_value(data: bytes, path: Path) -> RegisterValue:
    """Raises RegisterCorrupt, naming the file, for anything that `format_value` did not write."""
    try:
        document = json.loads(data)
        numbers = [document[key] for key in ("version", "epoch", "primary")]
        nodes = document["in_sync"]
        if not all(type(number) is int for number in [*numbers, *nodes]) or numbers[0] < 1:
            raise ValueError("version, epoch, primary and in_sync must be whole numbers")
        value = RegisterValue(numbers[0], numbers[1], numbers[2], sum({1 << node for node in nodes}))
        check_value(value)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        reason = f"missing {error}" if isinstance(error, KeyError) else error
        raise RegisterCorrupt(
            f"register file {path}: not a register value ({reason}). Stop both nodes, find out which log is the later "
            "one, move the file away and start that node first"
        ) from error
    return value


def write_durably(path: Path, data: bytes) -> None:
    """Create `path` with `data`, on disk when this returns. Raises FileExistsError if it is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_directory(path: Path) -> None:
    """Put names created in or removed from the directory on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
