"""The asyncio client against fake nodes, on one event loop: the same behaviour as the blocking one."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from fakenode import SESSION, SESSION_NAME, FakeNode, FakePair
from forking import fork_at_the_limit, in_a_fork, sockets_open

from gateway.client import (
    AsyncClient,
    BackPressure,
    ClientClosed,
    Connected,
    LoginRefused,
    Message,
    NotConnected,
    Order,
    Outcome,
    PositionFile,
    Side,
    WaitTimeout,
)
from gateway.native import clientwire as wire
from tests.support.waiting import PATIENCE_S, wait_until

ORDER = Order(symbol="AAPL", side=Side.BUY, quantity=100, price="190.25")
REPORT = b"8=FIX.4.4\x019=5\x0135=8\x0111=%b\x0139=0\x0110=000\x01"

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a fresh loop of each kind."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(asyncio.wait_for(coroutine, 30))

    return run


@asynccontextmanager
async def world(**options: Any) -> AsyncIterator[tuple[AsyncClient, FakeNode, FakeNode]]:
    """(client, node a, node b): a is primary."""
    pair = FakePair()
    a, b = FakeNode(pair, 0), FakeNode(pair, 1)
    await a.start()
    await b.start()
    a.promote()
    try:
        async with AsyncClient([("127.0.0.1", a.port), ("127.0.0.1", b.port)], "alpha", "secret", **options) as client:
            yield client, a, b
    finally:
        await a.stop()
        await b.stop()


async def next_message(client: AsyncClient) -> Message:
    while True:
        event = await client.next(PATIENCE_S)
        if isinstance(event, Message):
            return event


def test_a_submission_is_accepted_with_its_number(run: Run) -> None:
    async def story() -> None:
        async with world() as (client, a, _):
            submission = await (await client.send(SESSION_NAME, ORDER))
            assert (submission.outcome, submission.seq) == (Outcome.ACCEPTED, 1)
            assert (await submission) is submission
            assert a.pair.submissions[0].session == SESSION

    run(story())


def test_pending_submissions_are_handed_to_the_new_primary_in_order(run: Run) -> None:
    async def story() -> None:
        async with world() as (client, a, b):
            await wait_until(lambda: b.connections, "node b has a connection")
            a.forget = True
            submissions = [await client.send(SESSION_NAME, ORDER, f"o{i}") for i in range(20)]
            await a.stop()
            b.promote()
            assert [(await s).outcome for s in submissions] == [Outcome.ACCEPTED] * 20
            assert list(a.pair.orders) == [f"o{i}" for i in range(20)]
            assert len(b.logins) == 1  # the standby's connection was kept

    run(story())


def test_messages_are_delivered_once_across_a_failover(run: Run) -> None:
    async def story() -> None:
        async with world() as (client, a, b):
            await wait_until(lambda: b.connections, "node b has a connection")
            for i in range(5):
                a.deliver(REPORT % b"x%d" % i)
            assert [(await next_message(client)).seq for _ in range(5)] == [1, 2, 3, 4, 5]
            await a.stop()
            b.promote()
            b.deliver(REPORT % b"new")
            assert (await next_message(client)).get(11) == "new"
            assert client.counters.duplicates == 5

    run(story())


def test_events_can_be_iterated_until_the_client_closes(run: Run) -> None:
    async def story() -> None:
        async with world() as (client, _, _):
            events = []

            async def read() -> None:
                async for event in client:
                    events.append(event)  # noqa: PERF401 - the test is about the loop

            reader = asyncio.create_task(read())
            await wait_until(lambda: events, "an event has come")
            await client.close()
            await reader
            assert isinstance(events[0], Connected)

    run(story())


def test_a_restarted_strategy_goes_on_where_it_stopped(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "positions"
        with PositionFile(path) as file:
            async with world(positions=file) as (client, a, _):
                for i in range(3):
                    a.deliver(REPORT % b"x%d" % i)
                assert [(await next_message(client)).seq for _ in range(2)] == [1, 2]
        with PositionFile(path) as file:
            assert file.positions == {SESSION: (0, 2)}
            assert file.names == {SESSION: SESSION_NAME}

    run(story())


def test_a_reader_that_stops_reading_makes_the_client_stop_too(run: Run) -> None:
    async def story() -> None:
        async with world(max_events=50) as (client, a, _):
            count, big = 1500, REPORT % (b"x" * 4000)
            for _ in range(count):
                a.deliver(big)
            await wait_until(lambda: client._paused, "the client has stopped reading")
            assert len(client._core.events) < 1000
            assert [(await next_message(client)).seq for _ in range(count)] == list(range(1, count + 1))

    run(story())


def test_submit_waits_while_too_much_is_pending(run: Run) -> None:
    async def story() -> None:
        async with world(max_pending=1) as (client, a, _):
            a.mute = True
            await client.send(SESSION_NAME, ORDER, "o0")
            with pytest.raises(BackPressure):
                client.submit_nowait(SESSION_NAME, "D", ORDER.body())
            with pytest.raises(BackPressure, match="1 submissions have had no outcome"):
                await client.submit(SESSION_NAME, "D", ORDER.body(), timeout=0.02)
            asyncio.get_running_loop().call_later(0.02, a.say, wire.accepted(SESSION, 0, 1, "o0"))
            await client.send(SESSION_NAME, ORDER, "o1")

    run(story())


def test_refusal_absence_and_waiting_in_vain(run: Run) -> None:
    async def story() -> None:
        async with world() as (client, a, _):
            a.mute = True
            submission = await client.send(SESSION_NAME, ORDER)
            with pytest.raises(WaitTimeout):
                await submission.wait(0.02)
            nodes = [("127.0.0.1", a.port)]
            with pytest.raises(LoginRefused):
                await AsyncClient(nodes, "alpha", "wrong").open()
            a.demote()
            with pytest.raises(NotConnected, match="standby"):
                await AsyncClient(nodes, "alpha", "secret", connect_timeout=0.05).open()
            await client.close()
            with pytest.raises(ClientClosed):
                await submission

    run(story())


def test_checkpoints_are_stored_and_found_again(run: Run) -> None:
    async def story() -> None:
        async with world() as (client, _, _):
            assert await client.fetch("k", PATIENCE_S) is None
            await client.store("k", b"v")
            assert await client.fetch("k", PATIENCE_S) == b"v"

    run(story())


def test_a_forked_process_leaves_the_client_to_its_parent(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        with PositionFile(tmp_path / "positions") as positions:
            async with world(positions=positions) as (client, a, _):
                a.mute = True
                waiting = await client.submit(SESSION_NAME, "D", b"55=A\x01", "o1")
                await wait_until(lambda: a.pair.submissions, "the order has come")
                for act in (lambda: client.send(SESSION_NAME, ORDER), client.next, waiting.wait):
                    assert "make a new one here" in in_a_fork(lambda act=act: asyncio.run(act()))
                assert in_a_fork(lambda: asyncio.run(client.close())) == "None"
                assert not waiting.done
                a.say(wire.accepted(SESSION, 0, 1, "o1"))
                assert (await waiting.wait(PATIENCE_S)).outcome is Outcome.ACCEPTED
                assert client.connected
                assert [frame.fields for frame in a.pair.submissions] == [b"11=o1\x0155=A\x01"]

    run(story())


@pytest.mark.parametrize(("fork", "devnull"), [(fork_at_the_limit, os.devnull), (os.fork, "/none/null")])
def test_a_process_that_is_forked_without_descriptors_or_devices_leaves_the_client_too(
    run: Run, fork: Callable[[], int], devnull: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with world() as (client, _, _):
            with monkeypatch.context() as world_of_the_child:
                world_of_the_child.setattr("os.devnull", devnull)
                assert "make a new one here" in in_a_fork(lambda: client.submit_nowait(SESSION_NAME, "D", b""), fork)
            assert (await (await client.send(SESSION_NAME, ORDER)).wait(PATIENCE_S)).outcome is Outcome.ACCEPTED

    run(story())


@pytest.fixture(params=["tcp", "shm"])
def silent_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An address where connection attempts stay in flight."""
    if request.param == "shm":  # the node never hands over memory
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "node"))
            listener.listen()
            yield f"shm:{tmp_path / 'node'}"
        return
    with socket.socket() as listener, socket.socket() as queued:  # there is room for nobody else
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        queued.connect(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_forked_process_does_not_keep_the_connection_attempts_of_its_parent_up(run: Run, silent_place: str) -> None:
    async def story() -> None:
        async with AsyncClient(silent_place, "alpha", "secret", connect_timeout=None) as client:
            before = sockets_open()
            await wait_until(lambda: sockets_open() - before, "an attempt is in flight")
            mine = sockets_open() - before
            assert in_a_fork(lambda: mine & sockets_open()) == "set()"
            assert mine <= sockets_open()
            assert not client.connected

    run(story())


@pytest.mark.parametrize("fork", [os.fork, fork_at_the_limit])
def test_a_forked_process_does_not_keep_the_connections_of_its_parent_up(run: Run, fork: Callable[[], int]) -> None:
    async def story() -> None:
        async with world() as (client, a, _):
            read, write = os.pipe()
            child = fork()
            if child == 0:
                os.close(write)
                os.read(read, 1)  # until the parent lets it end
                os._exit(0)
            try:
                await client.close()
                await wait_until(lambda: not a.connections, "the node sees the end of the connection")
            finally:
                os.close(write)
                os.close(read)
                os.waitpid(child, 0)

    run(story())
