"""Requests to the register: each gets exactly one answer, whatever the register does."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.native.role import RegisterOutcome, RegisterValue, Request, RequestKind
from gateway.node.registrar import Registrar
from gateway.register import Register
from gateway.register.base import EMPTY, Outcome, RegisterCorrupt, RegisterUnavailable

HELD = RegisterValue(version=4, epoch=2, primary=1, in_sync=2)
WANTED = RegisterValue(version=4, epoch=3, primary=0, in_sync=1)


class SlowRegister(Register):
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, asyncio.Future]] = []
        self.closed = False

    async def _ask(self, what: str) -> object:
        future = asyncio.get_running_loop().create_future()
        self.asked.append((what, future))
        return await future

    async def read(self) -> RegisterValue:
        return await self._ask("read")

    async def compare_and_set(self, expected, desired, *, act_alone=False) -> Outcome:
        return await self._ask(f"set {expected.version} {desired.epoch} {act_alone}")

    async def close(self) -> None:
        self.closed = True


def request(number: int, kind: RequestKind = RequestKind.READ, *, act_alone: bool = False) -> Request:
    return Request(kind, number, act_alone, HELD, WANTED)


def play(scene) -> tuple[SlowRegister, list]:
    """Runs `scene(registrar, register)`; the register and the answers in the order they came."""
    register, answers = SlowRegister(), []

    async def run() -> None:
        registrar = Registrar(register, lambda *answer: answers.append(answer))
        await scene(registrar, register)
        await registrar.close()

    asyncio.run(run())
    return register, answers


async def turns() -> None:
    """Lets every task go as far as it can."""
    for _ in range(5):
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, None)
        await future


def test_a_read_is_answered_with_the_value():
    async def scene(registrar, register):
        registrar.submit(request(7))
        await turns()
        register.asked[0][1].set_result(HELD)
        await turns()

    _, answers = play(scene)
    assert answers == [(7, RegisterOutcome.VALUE, HELD)]


@pytest.mark.parametrize("outcome", [RegisterOutcome.WON, RegisterOutcome.LOST])
@pytest.mark.parametrize("act_alone", [True, False])
def test_a_compare_and_set_is_asked_as_wanted_and_answered_as_decided(outcome: RegisterOutcome, act_alone: bool):
    async def scene(registrar, register):
        registrar.submit(request(7, RequestKind.COMPARE_AND_SET, act_alone=act_alone))
        await turns()
        register.asked[0][1].set_result(Outcome(outcome, WANTED))
        await turns()

    register, answers = play(scene)
    assert register.asked[0][0] == f"set 4 3 {act_alone}"
    assert answers == [(7, outcome, WANTED)]


@pytest.mark.parametrize("error", [RegisterUnavailable("gone"), RegisterCorrupt("no value")])
def test_a_register_that_fails_is_an_unknown_outcome(error: Exception):
    async def scene(registrar, register):
        for number, kind in ((7, RequestKind.READ), (8, RequestKind.COMPARE_AND_SET)):
            registrar.submit(request(number, kind))
        await turns()
        for _, future in register.asked:
            future.set_exception(error)
        await turns()

    _, answers = play(scene)
    assert answers == [(7, RegisterOutcome.UNKNOWN, EMPTY), (8, RegisterOutcome.UNKNOWN, EMPTY)]


def test_a_register_that_stays_away_is_told_once_and_its_return_too(monkeypatch: pytest.MonkeyPatch):
    async def scene(registrar, register):
        for number in range(1, 21):
            registrar.submit(request(number))
            await turns()
            answer = register.asked[-1][1]
            if number == 20:
                answer.set_result(HELD)
            else:
                answer.set_exception(RegisterUnavailable("gone" if number < 10 else "gone again"))
            await turns()

    with capture_logs() as lines:
        play(scene)
    told = [(line["event"], line.get("error"), line.get("requests")) for line in lines]
    assert told == [
        ("register_failed", "gone", 1),
        ("register_failed", "gone again", 9),
        ("register_answers", None, None),
    ]
    monkeypatch.setattr("gateway.node.registrar.TOLD_AGAIN_S", 0.0)
    with capture_logs() as lines:
        play(scene)
    assert len(lines) == 20


def test_requests_overtake_each_other_and_keep_their_numbers():
    async def scene(registrar, register):
        registrar.submit(request(1))
        registrar.submit(request(2))
        await turns()
        register.asked[1][1].set_result(WANTED)
        await turns()
        register.asked[0][1].set_result(HELD)
        await turns()

    _, answers = play(scene)
    assert answers == [(2, RegisterOutcome.VALUE, WANTED), (1, RegisterOutcome.VALUE, HELD)]


def test_closing_gives_up_what_is_under_way_and_closes_the_register():
    async def scene(registrar, register):
        registrar.submit(request(1))
        await turns()

    register, answers = play(scene)
    assert answers == []
    assert register.closed
    assert register.asked[0][1].cancelled()
