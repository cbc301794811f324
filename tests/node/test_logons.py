"""Hooks that fill Logons: one that hangs or breaks costs its own session its Logon, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from gateway.errors import GatewayError
from gateway.node.logons import Calls
from gateway.signing import Logon, LogonField

LOGON = Logon("TO-X", "FIX.4.4", "US", "X", 7, "20260101-00:00:00.000", 0, {})


def exits(_: Logon) -> list[LogonField]:
    raise SystemExit("secret")


def stops(_: Logon) -> list[LogonField]:
    raise StopIteration("secret")


def is_long(_: Logon) -> list[LogonField]:
    return [(96, "x" * 800)]


def breaks_late(_: Logon) -> Iterator[LogonField]:
    yield (553, "user")
    raise ValueError("secret")


@pytest.mark.parametrize(
    ("hook", "said"),
    [(exits, "SystemExit"), (stops, "StopIteration"), (is_long, "804 bytes"), (breaks_late, "ValueError")],
)
def test_whatever_a_hook_raises_is_told_without_its_words(hook: Callable, said: str):
    with pytest.raises(GatewayError, match=said) as caught:
        asyncio.run(Calls(hook).fields(LOGON))
    assert "secret" not in str(caught.value)


def test_a_hook_that_hangs_keeps_one_thread_and_no_other_from_its_work():
    go_on = threading.Event()

    def hangs(_: Logon) -> list[LogonField]:
        go_on.wait()
        return []

    async def scene() -> None:
        calls = Calls(hangs)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await calls.fields(LOGON)
        before = threading.active_count()
        for _ in range(64):
            with pytest.raises(GatewayError, match="has not returned"):
                await calls.fields(LOGON)
        assert threading.active_count() == before
        assert await Calls(lambda logon: [(553, str(logon.seq))]).fields(LOGON) == b"553=7\x01"

    try:
        asyncio.run(scene())
    finally:
        go_on.set()


def test_a_generator_runs_on_the_hooks_thread():
    names = []

    def generator(_: Logon) -> Iterator[LogonField]:
        names.append(threading.current_thread().name)
        yield (553, "user")

    assert asyncio.run(Calls(generator).fields(LOGON)) == b"553=user\x01"
    assert names == ["logon-hook"]
