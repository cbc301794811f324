"""What every register offers, and what the pair's safety asks of it. May depend on: native.role. Does no I/O itself.

A register holds one `RegisterValue`. It must be linearizable, and its version must grow with every change and never be
used again: the role concludes from a later version that an unanswered compare-and-set of an earlier one is decided.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator
from typing import NamedTuple

from gateway.errors import GatewayError
from gateway.native.role import RegisterOutcome, RegisterValue, Request, RequestKind

__all__ = [
    "EMPTY",
    "Outcome",
    "Register",
    "RegisterCorrupt",
    "RegisterError",
    "RegisterUnavailable",
    "RegisterValue",
    "check_value",
    "perform",
]

EMPTY = RegisterValue(version=0, epoch=0, primary=0, in_sync=0)
"""What a register holds before the first compare-and-set."""

MAX_NODE_INDEX = 1
MAX_EPOCH = 2**32 - 1


class RegisterError(GatewayError):
    """Something is wrong with the register; the message says what, where and what to do."""


class RegisterUnavailable(RegisterError):
    """No answer in time, or not reachable. It may pass by itself."""


class RegisterCorrupt(RegisterError):
    """The register holds something that is no value. It needs an operator."""


class Outcome(NamedTuple):
    """Answer to a request. `value` is None exactly for UNKNOWN; `error` then says why."""

    kind: RegisterOutcome
    value: RegisterValue | None
    error: RegisterError | None = None


class Register(abc.ABC):
    """The cell, behind asyncio. Each method answers within the time-out that the register was opened with.

    One register object serves one node. Methods may be called while others are under way.
    """

    @abc.abstractmethod
    async def read(self) -> RegisterValue:
        """Return what the cell holds now; `EMPTY` if it was never written.

        Raises RegisterUnavailable or RegisterCorrupt.
        """

    @abc.abstractmethod
    async def compare_and_set(
        self, expected: RegisterValue, desired: RegisterValue, *, act_alone: bool = False
    ) -> Outcome:
        """Write `desired` if the cell still has the version of `expected`; the register gives the next version.

        WON carries the value now held, LOST the other value that was there. UNKNOWN: it may or may not have taken
        effect, now or later. `act_alone`: an operator vouches that the peer is dead; only `static` asks for it.
        Raises RegisterCorrupt, and ValueError for a value that no cell can hold.
        """

    def watch(self) -> AsyncIterator[RegisterValue] | None:
        """Changes of the cell as they happen, where the register can tell them cheaply; else None."""
        return None

    async def close(self) -> None:
        """Let go of connections and threads. The cell stays."""
        return


async def perform(register: Register, request: Request) -> Outcome:
    """Make a role's request. Never raises RegisterError: the role is told UNKNOWN, and `error` is for the log."""
    try:
        if request.kind is RequestKind.READ:
            return Outcome(RegisterOutcome.VALUE, await register.read())
        return await register.compare_and_set(request.expected, request.desired, act_alone=request.act_alone)
    except RegisterError as error:
        return Outcome(RegisterOutcome.UNKNOWN, None, error)


def check_value(value: RegisterValue) -> None:
    """Raise ValueError unless a cell can hold `value`: node indices 0 and 1, epoch from 1, the primary is in sync."""
    if not 1 <= value.epoch <= MAX_EPOCH:
        raise ValueError(f"epoch {value.epoch}: must be from 1 to {MAX_EPOCH}")
    if not 0 <= value.primary <= MAX_NODE_INDEX:
        raise ValueError(f"primary {value.primary}: must be a node index, 0 or 1")
    if not 1 <= value.in_sync < 1 << (MAX_NODE_INDEX + 1):
        raise ValueError(f"in_sync {value.in_sync}: must be a bit mask of node indices, from 1 to 3")
    if not value.in_sync >> value.primary & 1:
        raise ValueError(f"in_sync {value.in_sync:#04b}: must contain the primary, {value.primary}")
