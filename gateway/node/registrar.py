"""Carries out what the role machine asks of the register, on the control thread, and brings the answers back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import structlog

from gateway.native.role import RegisterOutcome, RegisterValue, Request
from gateway.node.tasks import Tasks
from gateway.register import Register, perform
from gateway.register.base import EMPTY

log = structlog.get_logger("register")

TOLD_AGAIN_S = 10.0  # a register that cannot be reached is asked ten times a second
NOT_ASKED = 0  # id of what the register tells by itself; requests have others

# (request id, outcome, value) -> None
Answer = Callable[[int, RegisterOutcome, RegisterValue], None]


class Registrar:
    """One request at a time is normal; after a time-out several may be under way. Each gets exactly one answer."""

    def __init__(self, register: Register, answer: Answer) -> None:
        self._register = register
        self._answer = answer
        self._tasks = Tasks()
        self._complaint = ""  # of the latest request that failed; "" when one has succeeded since
        self._complaints = 0  # since the latest line
        self._told_at = 0.0
        news = register.watch()
        if news is not None:
            self._tasks.start(self._follow(news), "the register's changes are followed")

    def submit(self, request: Request) -> None:
        """Starts the request; its answer comes from the event loop."""
        self._tasks.start(self._carry_out(request), "the register is asked")

    async def close(self) -> None:
        """Cancels what is under way and closes the register."""
        await self._tasks.cancel()
        await self._register.close()

    async def _follow(self, news: AsyncIterator[RegisterValue]) -> None:
        async for value in news:
            self._answer(NOT_ASKED, RegisterOutcome.VALUE, value)

    async def _carry_out(self, request: Request) -> None:
        outcome = await perform(self._register, request)
        self._tell(str(outcome.error) if outcome.error is not None else "")
        self._answer(request.id, outcome.kind, outcome.value or EMPTY)

    def _tell(self, complaint: str) -> None:
        """A line for each new complaint, for the same one now and then, and for the end of it."""
        now = asyncio.get_running_loop().time()
        self._complaints += 1
        if complaint and (complaint != self._complaint or now - self._told_at >= TOLD_AGAIN_S):
            log.error("register_failed", error=complaint, requests=self._complaints)
            self._told_at, self._complaints = now, 0
        elif self._complaint and not complaint:
            log.info("register_answers")
        if not complaint:
            self._complaints = 0
        self._complaint = complaint
