"""Connecting a socket for asyncio: each address of a host in turn, and none forgotten."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvloop

from gateway.client.aiodial import dial
from tests.support.waiting import wait_until

Run = Callable[[Awaitable[Any]], Any]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a fresh loop of each kind."""

    def run(coroutine: Awaitable[Any]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(coroutine)

    return run


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def refusing() -> Iterator[tuple[str, int]]:
    """An address where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


def look_up_as(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
    async def look_up(*_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in places]

    monkeypatch.setattr("gateway.client.aiodial._look_up", look_up)


def test_a_name_is_looked_up(run: Run, listener: socket.socket):
    in_flight: set[socket.socket] = set()
    with run(dial("localhost", listener.getsockname()[1], in_flight)) as connection:
        assert connection.getpeername() == listener.getsockname()
        assert in_flight == {connection}


def test_a_host_whose_first_address_refuses_is_reached_at_the_next(
    run: Run, listener: socket.socket, refusing: tuple[str, int], monkeypatch: pytest.MonkeyPatch
):
    look_up_as(monkeypatch, refusing, listener.getsockname())
    in_flight: set[socket.socket] = set()
    with run(dial("gateway.test", 7003, in_flight)) as connection:
        assert connection.getpeername() == listener.getsockname()
        assert in_flight == {connection}


def test_a_host_that_refuses_is_told_with_its_addresses(
    run: Run, refusing: tuple[str, int], monkeypatch: pytest.MonkeyPatch
):
    look_up_as(monkeypatch, refusing, refusing)
    in_flight: set[socket.socket] = set()
    with pytest.raises(OSError, match=rf"'127.0.0.1', {refusing[1]}\).*; .*'127.0.0.1', {refusing[1]}\)"):
        run(dial("gateway.test", 7003, in_flight))
    assert not in_flight


def test_an_attempt_that_is_cancelled_leaves_no_socket(run: Run):
    in_flight: set[socket.socket] = set()

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
            attempt = asyncio.create_task(dial(*full.getsockname(), in_flight))
            await wait_until(lambda: in_flight, "the attempt has begun")
            (connection,) = in_flight
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt
            assert connection.fileno() == -1

    run(story())
    assert not in_flight
