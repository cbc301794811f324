"""`AsyncClient`: the same for asyncio. Everything happens on the event loop that opened it; no threads, no locks.

`ClientCore` decides everything; here are only transports, timers and the loop's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from gateway.client.address import Address, format_address, parse_places
from gateway.client.aiodial import dial
from gateway.client.aioshared import SharedTransport, open_shared
from gateway.client.errors import BackPressure, ClientClosed, NotConnected, WaitTimeout
from gateway.client.events import Event, Message
from gateway.client.forks import FORKED, let_go, watch_forks
from gateway.client.links import Phase, WishKind
from gateway.client.orders import Fields, Request, cl_ord_id_prefix, encode_fields
from gateway.client.positions import PositionFile, check_positions
from gateway.client.protocol import DEFAULT_MAX_EVENTS, DEFAULT_MAX_PENDING, ClientCore, Counters
from gateway.client.shared import SharedConnection
from gateway.client.submission import CheckpointFetch, CheckpointStore, Handle, Submission
from gateway.client.sync import CONNECT_TIMEOUT_S, SUBMIT_TIMEOUT_S

_Transport = asyncio.Transport | SharedTransport


class _Awaits(Handle):
    """A handle that a coroutine can await."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Any]:
        """Waits for the answer and gives the handle. Raises what made an answer impossible."""
        if not self.done:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.add_done_callback(lambda _: None if future.done() else future.set_result(None))
            yield from future
        if self.error is not None:
            raise self.error
        return self

    async def wait(self, timeout: float | None = None) -> Any:
        """As awaiting it, but for `timeout` seconds at most. Raises WaitTimeout: the answer may still come."""
        try:
            async with asyncio.timeout(timeout):
                return await self
        except WaitTimeout:
            raise
        except TimeoutError:
            raise WaitTimeout(f"no answer to {self!r} within {timeout} s") from None


class AsyncSubmission(_Awaits, Submission):
    """A submission that a coroutine can await."""

    __slots__ = ()


class AsyncCheckpointStore(_Awaits, CheckpointStore):
    """A checkpoint on its way; awaited, it would survive a takeover."""

    __slots__ = ()


class AsyncCheckpointFetch(_Awaits, CheckpointFetch):
    """A question for a checkpoint."""

    __slots__ = ()


class AsyncClient:
    """A strategy's connection to the pair for asyncio. Arguments and errors as of `Client`.

    Example::

        async with AsyncClient("127.0.0.1:7003,127.0.0.1:7013", "alpha", token) as client:
            submission = await client.send("BROKER", Order(symbol="AAPL", side=Side.BUY, quantity=100))
            print((await submission).outcome)
            async for event in client:
                ...
    """

    def __init__(
        self,
        nodes: str | Path | Iterable[Address],
        name: str,
        token: str | bytes = b"",
        *,
        positions: PositionFile | None = None,
        from_now: bool = False,
        connect_timeout: float | None = CONNECT_TIMEOUT_S,
        max_pending: int = DEFAULT_MAX_PENDING,
        max_events: int = DEFAULT_MAX_EVENTS,
    ) -> None:
        check_positions(positions)
        self._places = parse_places(nodes)
        self._core = ClientCore(
            name,
            token.encode() if isinstance(token, str) else token,
            [format_address(place) for place in self._places],
            positions=positions.positions if positions else None,
            session_names=positions.names if positions else None,
            from_now=from_now,
            max_pending=max_pending,
            max_events=max_events,
            jitter=random.random,
            id_prefix=cl_ord_id_prefix(name, time.time_ns()),
            submission_type=AsyncSubmission,
            store_type=AsyncCheckpointStore,
            fetch_type=AsyncCheckpointFetch,
        )
        self._file = positions
        self._taken: Message | None = None  # taken by the strategy, not known to be dealt with
        self._connect_timeout = connect_timeout
        self._transports: list[_Transport | None] = [None] * len(self._places)
        self._attempts: set[asyncio.Task[None]] = set()
        self._in_flight: set[socket.socket | SharedConnection] = set()  # connected by attempts, not yet transports
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._paused: set[int] = set()
        watch_forks(self)

    async def open(self) -> None:
        """Starts to connect and waits for a primary as `connect_timeout` says. `async with` does it."""
        self._loop = asyncio.get_running_loop()
        self._turn()
        if self._connect_timeout is not None:
            try:
                await self.wait_connected(self._connect_timeout)
            except BaseException:
                await self.close()
                raise

    # --- submitting ---------------------------------------------------------------------------------------------------

    async def submit(
        self,
        session: str | int,
        msg_type: str,
        fields: Fields,
        cl_ord_id: str | None = None,
        *,
        again: bool = False,
        timeout: float = SUBMIT_TIMEOUT_S,
    ) -> AsyncSubmission:
        """As `Client.submit`: returns the handle; waits only while `max_pending` are without an outcome."""
        if self._core.full:
            await self._wait_for_room(timeout)
        return self.submit_nowait(session, msg_type, fields, cl_ord_id, again=again)

    def submit_nowait(
        self,
        session: str | int,
        msg_type: str,
        fields: Fields,
        cl_ord_id: str | None = None,
        *,
        again: bool = False,
    ) -> AsyncSubmission:
        """As `submit`, but raises BackPressure instead of waiting."""
        self._check()
        body = fields if isinstance(fields, bytes) else encode_fields(fields)
        submission = cast(
            AsyncSubmission,
            self._core.submit(session, msg_type, body, cl_ord_id, again=again, now_ns=time.monotonic_ns()),
        )
        self._flush_active()
        return submission

    async def send(
        self, session: str | int, request: Request, cl_ord_id: str | None = None, *, again: bool = False
    ) -> AsyncSubmission:
        """Hands in an `Order`, `Cancel`, `Replace` or `StatusRequest`; otherwise as `submit`."""
        return await self.submit(session, request.msg_type, request.body(), cl_ord_id, again=again)

    def store(self, key: str | bytes, value: bytes) -> AsyncCheckpointStore:
        """Puts a checkpoint into the pair's log; await the handle to know that it would survive a takeover."""
        self._check()
        handle = cast(AsyncCheckpointStore, self._core.store(key.encode() if isinstance(key, str) else key, value))
        self._flush_active()
        return handle

    async def fetch(self, key: str | bytes, timeout: float | None = None) -> bytes | None:
        """The checkpoint stored under `key`, None if there is none. Raises WaitTimeout."""
        self._check()
        handle = cast(AsyncCheckpointFetch, self._core.fetch(key.encode() if isinstance(key, str) else key))
        self._flush_active()
        await handle.wait(timeout)
        return handle.value

    # --- events -------------------------------------------------------------------------------------------------------

    async def next(self, timeout: float | None = None) -> Event:
        """The next event. To ask for one says that the one before it has been dealt with. Errors as `Client.next`."""
        self._note_taken()
        events = self._core.events
        if not events:
            await self._wait_until(lambda: bool(events), timeout, "no event came")
        event = events.popleft()
        if isinstance(event, Message):
            self._taken = event
        if self._paused and len(events) <= self._core.resume_at:
            self._turn()
        return event

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Events, until the client is closed."""
        while True:
            try:
                event = await self.next()
            except ClientClosed:
                return
            yield event

    # --- state --------------------------------------------------------------------------------------------------------

    async def wait_connected(self, timeout: float | None = None) -> None:
        """Waits until a primary has taken this client on. Raises NotConnected, LoginRefused."""
        try:
            await self._wait_until(lambda: self._core.active is not None, timeout, "")
        except WaitTimeout:
            raise NotConnected(f"no primary within {timeout} s: {self._core.describe()}") from None

    @property
    def connected(self) -> bool:
        """Whether a primary is there now."""
        return self._core.active is not None

    @property
    def epoch(self) -> int:
        """Of the primary that is, or was last, followed; 0 before the first."""
        return self._core.epoch

    @property
    def pending(self) -> int:
        """Submissions without a final outcome."""
        return self._core.pending

    @property
    def sessions(self) -> list[str]:
        """Names of the sessions this client may use; empty before the first connection."""
        return list(self._core.sessions.values())

    @property
    def counters(self) -> Counters:
        """What was delivered, repeated, dropped."""
        return self._core.counters

    async def close(self) -> None:
        """Closes the connections. Submissions without an outcome stay undecided: the gateway goes on with them."""
        self._shut(ClientClosed("the client was closed before the answer came"))
        for attempt in list(self._attempts):
            with contextlib.suppress(asyncio.CancelledError):
                await attempt

    async def __aenter__(self) -> AsyncClient:
        """Opens it."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes; without an exception, the last event that was taken counts as dealt with."""
        try:
            if kind is None:
                self._note_taken()
        finally:
            await self.close()

    def __repr__(self) -> str:
        """Without the token."""
        return f"<AsyncClient {self._core.name!r} {self._core.describe()}>"

    # --- helpers: waiting ---------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._core.failure is not None:
            raise self._core.failure
        if self._core.closed:
            raise ClientClosed(FORKED if self._core.forked else "this client is closed")

    async def _wait_until(self, ready: Callable[[], bool], timeout: float | None, complaint: str) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not ready():
                    self._check()
                    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiters.add(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.discard(waiter)
        except TimeoutError:
            raise WaitTimeout(f"{complaint} within {timeout} s; {self._core.describe()}") from None

    async def _wait_for_room(self, timeout: float) -> None:
        try:
            await self._wait_until(lambda: not self._core.full, timeout, "")
        except WaitTimeout:
            unread = len(self._core.events)
            hint = "; take the events first: the client reads no further" if self._paused else ""
            complaint = f"{self._core.pending} submissions have had no outcome for {timeout} s"
            raise BackPressure(f"{complaint} ({unread} events unread{hint}); {self._core.describe()}") from None

    def _leave_to_parent(self) -> None:
        if self._core.closed:
            return
        self._taken = self._file = None
        # Of the parent's loop, whose poll set this process shares: closed here, they would be unregistered there.
        self._parents = (self._transports, self._timer, self._attempts, self._in_flight, self._waiters)
        transports, self._transports = self._transports, [None] * len(self._places)
        in_flight, self._in_flight = self._in_flight, set()
        self._timer, self._attempts, self._waiters = None, set(), set()
        self._core.leave(ClientClosed(FORKED))  # before anything that may fail
        for connection in in_flight:
            with contextlib.suppress(OSError):
                let_go(connection.fileno())
        for transport in transports:
            if transport is not None and not transport.is_closing():
                with contextlib.suppress(OSError):
                    let_go(_descriptor(transport))

    def _note_taken(self) -> None:
        taken, self._taken = self._taken, None
        if taken is not None and self._file is not None:
            self._file.note(taken.session, taken.index, taken.generation, taken.seq)

    # --- helpers: connections -----------------------------------------------------------------------------------------

    def _flush_active(self) -> None:
        active = self._core.active
        if active is not None:
            self._write(active.index)

    def _write(self, node: int) -> None:
        data = self._core.take_output(node)
        transport = self._transports[node]
        if data and transport is not None:
            transport.write(data)

    def _turn(self) -> None:
        """Everything that is due now, and the timer for what is due next."""
        core = self._core
        if core.failure is not None and not core.closed:
            self._shut(core.failure)
        if core.closed:
            return
        core.tick(time.monotonic_ns())
        for wish in core.take_wishes():
            if wish.kind is WishKind.CONNECT:
                attempt = self._loop.create_task(self._connect(wish.node))
                self._attempts.add(attempt)
                attempt.add_done_callback(self._attempts.discard)
            else:
                self._drop(wish.node)
                core.on_disconnected(wish.node, time.monotonic_ns(), "closed")
        for link in core.links:
            self._write(link.index)
            self._listen(link.index, core.wants_to_read(link.index))
        self._wake_waiters()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0, core.deadline() - time.monotonic_ns()) / 1e9, self._turn)

    def _wake_waiters(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _listen(self, node: int, wanted: bool) -> None:
        transport = self._transports[node]
        if transport is None or transport.is_closing():
            self._paused.discard(node)
        elif wanted and node in self._paused:
            self._paused.discard(node)
            transport.resume_reading()
        elif not wanted and node not in self._paused:
            self._paused.add(node)
            transport.pause_reading()

    async def _connect(self, node: int) -> None:
        place = self._places[node]
        try:
            if isinstance(place, Path):
                await self._connect_shared(node, str(place))
            else:
                await self._connect_stream(node, *place)
        except OSError as error:
            if self._core.links[node].phase is Phase.CONNECTING:
                self._core.on_disconnected(node, time.monotonic_ns(), error.strerror or str(error))
                self._turn()

    async def _connect_stream(self, node: int, host: str, port: int) -> None:
        in_flight = self._in_flight
        connection = await dial(host, port, in_flight)
        try:
            await self._loop.create_connection(lambda: _Connection(self, node), sock=connection)
        finally:
            in_flight.discard(connection)

    async def _connect_shared(self, node: int, path: str) -> None:
        in_flight = self._in_flight
        connection = await open_shared(path, in_flight)
        try:
            self._up(node, self._shared(node, connection))
        finally:
            in_flight.discard(connection)

    def _shared(self, node: int, connection: SharedConnection) -> SharedTransport:
        return SharedTransport(
            connection,
            lambda transport, data: self._read(node, transport, data),
            lambda transport, why: self._down(node, transport, why),
        )

    def _up(self, node: int, transport: _Transport) -> None:
        if self._core.closed or self._core.links[node].phase is not Phase.CONNECTING:
            transport.abort()  # the attempt was given up meanwhile
            return
        self._drop(node)
        self._transports[node] = transport
        self._core.on_connected(node, time.monotonic_ns())
        self._turn()

    def _read(self, node: int, transport: _Transport, data: bytes) -> None:
        if self._transports[node] is transport:
            self._core.on_bytes(node, data, time.monotonic_ns())
            self._turn()

    def _down(self, node: int, transport: _Transport, why: str) -> None:
        if self._transports[node] is transport:
            self._transports[node] = None
            self._core.on_disconnected(node, time.monotonic_ns(), why)
            self._turn()

    def _drop(self, node: int) -> None:
        transport, self._transports[node] = self._transports[node], None
        self._paused.discard(node)
        if transport is not None:
            transport.abort()

    def _shut(self, error: Exception) -> None:
        if not self._core.closed:
            self._core.close(error)
        if self._timer is not None:
            self._timer.cancel()
        for attempt in self._attempts:
            attempt.cancel()
        for node in range(len(self._transports)):
            self._drop(node)
        self._wake_waiters()


def _descriptor(transport: _Transport) -> int:
    number: int = (
        transport.fileno() if isinstance(transport, SharedTransport) else transport.get_extra_info("socket").fileno()
    )
    return number


class _Connection(asyncio.Protocol):
    """One transport, told to the client."""

    def __init__(self, client: AsyncClient, node: int) -> None:
        self._client = client
        self._node = node

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        self._transport = cast(asyncio.Transport, transport)
        # asyncio's own loop sets it too, but not every loop does.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client._up(self._node, self._transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._client._read(self._node, self._transport, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._client._down(self._node, self._transport, str(exc) if exc else "closed by the node")
