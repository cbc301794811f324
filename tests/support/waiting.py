"""Waiting for a condition, with a deadline that says what never came. Looks again and again; does no I/O of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 10.0  # by default nothing is waited for longer; a test that gets there has failed
POLL_S = 0.002


class _Deadline:
    def __init__(self, what: str, timeout_s: float) -> None:
        self._message = f"waited {timeout_s:g} s in vain until {what}"
        self._end = time.monotonic() + timeout_s

    def check(self) -> None:
        assert time.monotonic() < self._end, self._message


def wait_for(condition: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """What the condition returned when it first held. AssertionError, with `what`, if it does not hold in time."""
    deadline = _Deadline(what, timeout_s)
    while not (held := condition()):
        deadline.check()
        time.sleep(POLL_S)
    return held


async def wait_until(condition: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """The same for a test on an event loop, which runs meanwhile."""
    deadline = _Deadline(what, timeout_s)
    while not (held := condition()):
        deadline.check()
        await asyncio.sleep(POLL_S)
    return held


async def turns(count: int) -> None:
    """Lets the event loop do so often what there is to do."""
    for _ in range(count):
        await asyncio.sleep(0)
