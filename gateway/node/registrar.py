"""Carries out what the role machine asks of the register, on the control thread, and brings the answers back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway.native.node import RegisterRequest
from gateway.register.base import Outcome, Register, RegisterValue

log = structlog.get_logger("register")

# register_outcome of role.pxd.
VALUE, WON, LOST, UNKNOWN = 1, 2, 3, 4

# (request id, register_outcome, value) -> None
Answer = Callable[[int, int, RegisterValue], None]


class Registrar:
    """One request at a time is normal; several may be under way after a time-out. Each gets exactly one answer."""

    def __init__(self, register: Register, answer: Answer) -> None:
        self._register = register
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, request: RegisterRequest) -> None:
        """Starts the request; its answer comes from the event loop."""
        task = asyncio.get_running_loop().create_task(self._carry_out(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancels what is under way and closes the register."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._register.close()

    async def _carry_out(self, request: RegisterRequest) -> None:
        try:
            outcome, value = await self._ask(request)
        except Exception as error:  # whatever a register raises, the role machine must get an answer
            log.error("register_failed", request=request.id, error=str(error))
            outcome, value = UNKNOWN, RegisterValue(0, 0, 0, 0)
        self._answer(request.id, outcome, value)

    async def _ask(self, request: RegisterRequest) -> tuple[int, RegisterValue]:
        if not request.compare_and_set:
            return VALUE, await self._register.read()
        outcome: Outcome = await self._register.compare_and_set(
            RegisterValue(*request.expected), RegisterValue(*request.desired)
        )
        return (WON if outcome.won else LOST), outcome.value
