"""`Client`: blocking, for a strategy that is an ordinary program. One I/O thread of its own keeps the connections.

A submission is written to the socket by the thread that makes it; everything else (reading, reconnecting, timers) is
the I/O thread's. `ClientCore` decides everything; here are only the clock and the lock around the core.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from gateway.client.address import Address, format_address, parse_places, resolve
from gateway.client.errors import BackPressure, ClientClosed, NotConnected, WaitTimeout
from gateway.client.events import Event, Message
from gateway.client.forks import FORKED, watch_forks
from gateway.client.links import Phase, WishKind
from gateway.client.orders import Fields, Request, cl_ord_id_prefix, encode_fields
from gateway.client.positions import PositionFile, check_positions
from gateway.client.protocol import DEFAULT_MAX_EVENTS, DEFAULT_MAX_PENDING, ClientCore, Counters
from gateway.client.sockets import Happened, Sockets
from gateway.client.submission import CheckpointFetch, CheckpointStore, Handle, Submission

_log = logging.getLogger("gateway.client")

CONNECT_TIMEOUT_S = 10.0  # how long the constructor waits for a primary, unless told otherwise
SUBMIT_TIMEOUT_S = 30.0  # how long `submit` waits for room, unless told otherwise


class _Waits(Handle):
    """A handle that a thread can wait for."""

    __slots__ = ()
    _client: Client

    def wait(self, timeout: float | None = None) -> Any:
        """Waits for the answer, at most `timeout` seconds, and returns the handle.

        Where nobody takes the events, no answer is read any more once `max_events` of them wait.
        Raises WaitTimeout (the answer may still come), or what made an answer impossible (ClientClosed, LoginRefused).
        """
        self._client._wait_for(self, timeout)
        if self.error is not None:
            raise self.error
        return self

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls `callback(handle)` on the I/O thread when the answer is there, or at once if it is. Keep it short."""
        with self._client._lock:
            super().add_done_callback(callback)


class SyncSubmission(_Waits, Submission):
    """A submission that a thread can wait for."""

    __slots__ = ("_client",)


class SyncCheckpointStore(_Waits, CheckpointStore):
    """A checkpoint on its way; `wait()` returns when it would survive a takeover."""

    __slots__ = ("_client",)


class SyncCheckpointFetch(_Waits, CheckpointFetch):
    """A question for a checkpoint."""

    __slots__ = ("_client",)


class Client:
    """A strategy's connection to the pair; blocking; usable from several threads, not from a forked process.

    Args:
        nodes: "host:port,host:port" or a sequence of addresses: all nodes of the pair, in any order.
        name, token: as in the gateway's configuration. The token is in no repr, log or error. Two programs of one name
            are one client to the gateway: both are told everything, and they share ClOrdIDs, checkpoints and limits.
        positions: where to keep how far this strategy has read; with None every start reads the session's messages
            from the beginning (of the present generation), or from now on with `from_now`.
        on_event: called on the I/O thread for each event, instead of `next` and iteration. Must not block.
        connect_timeout: seconds to wait for a primary. None: do not wait at all; submit by session name once connected.

    Raises NotConnected, LoginRefused, InvalidRequest, TypeError (`positions`), OSError (a host name that is not known).

    Example::

        with Client("127.0.0.1:7003,127.0.0.1:7013", "alpha", token) as client:
            order = Order(symbol="AAPL", side=Side.BUY, quantity=100, price="190.25")
            submission = client.send("BROKER", order)
            print(submission.wait(timeout=5).outcome)
            for event in client:
                if isinstance(event, Message) and event.msg_type == "8":
                    print(event.get(11), event.get(39))
    """

    def __init__(
        self,
        nodes: str | Path | Iterable[Address],
        name: str,
        token: str | bytes = b"",
        *,
        positions: PositionFile | None = None,
        from_now: bool = False,
        on_event: Callable[[Event], None] | None = None,
        connect_timeout: float | None = CONNECT_TIMEOUT_S,
        max_pending: int = DEFAULT_MAX_PENDING,
        max_events: int = DEFAULT_MAX_EVENTS,
    ) -> None:
        check_positions(positions)
        places = parse_places(nodes)
        self._core = ClientCore(
            name,
            token.encode() if isinstance(token, str) else token,
            [format_address(place) for place in places],
            positions=positions.positions if positions else None,
            session_names=positions.names if positions else None,
            from_now=from_now,
            max_pending=max_pending,
            max_events=max_events,
            jitter=random.random,
            id_prefix=cl_ord_id_prefix(name, time.time_ns()),
            submission_type=SyncSubmission,
            store_type=SyncCheckpointStore,
            fetch_type=SyncCheckpointFetch,
        )
        self._file = positions
        self._taken: Message | None = None  # taken by the strategy, not known to be dealt with
        self._on_event = on_event
        self._lock = threading.RLock()  # callbacks run under it and may submit
        self._changed = threading.Condition(self._lock)
        self._waiting = 0  # threads in _changed
        self._sockets = Sockets([resolve(place) for place in places])
        watch_forks(self)
        self._thread = threading.Thread(target=self._run, name=f"gateway-client-{name}", daemon=True)
        self._thread.start()
        if connect_timeout is not None:
            try:
                self.wait_connected(connect_timeout)
            except BaseException:
                self.close()
                raise

    # --- submitting ---------------------------------------------------------------------------------------------------

    def submit(
        self,
        session: str | int,
        msg_type: str,
        fields: Fields,
        cl_ord_id: str | None = None,
        *,
        again: bool = False,
        timeout: float = SUBMIT_TIMEOUT_S,
    ) -> SyncSubmission:
        """Hands in one message of MsgType (35) `msg_type` for `session` and returns its handle at once.

        `fields`: the body, as bytes ("tag=value<SOH>..."), a mapping, or pairs in order. ClOrdID (11) is among them, or
        given as `cl_ord_id`, or made here. To hand in the same ClOrdID again never sends twice, whatever the fields:
        the answer is that of the first, and `order_status` says what became of it. For an `async` session say `again`
        if it may have been handed in by an earlier life of this strategy. Blocks for at most `timeout` seconds while
        `max_pending` submissions are without an outcome.

        Raises BackPressure, InvalidRequest, UnknownSession, NotConnected (only for a session's name before the first
        connection), ClientClosed, LoginRefused.
        """
        body = fields if isinstance(fields, bytes) else encode_fields(fields)
        with self._lock:
            self._check()
            if self._core.full:
                self._wait_for_room(timeout)
            submission = cast(
                SyncSubmission,
                self._core.submit(session, msg_type, body, cl_ord_id, again=again, now_ns=time.monotonic_ns()),
            )
            submission._client = self
            self._flush_active()
        return submission

    def send(
        self, session: str | int, request: Request, cl_ord_id: str | None = None, *, again: bool = False
    ) -> SyncSubmission:
        """Hands in an `Order`, `Cancel`, `Replace` or `StatusRequest`; otherwise as `submit`."""
        return self.submit(session, request.msg_type, request.body(), cl_ord_id, again=again)

    def store(self, key: str | bytes, value: bytes) -> SyncCheckpointStore:
        """Puts a checkpoint into the pair's log; `.wait()` returns when it would survive a takeover."""
        with self._lock:
            self._check()
            handle = cast(SyncCheckpointStore, self._core.store(_key(key), value))
            handle._client = self
            self._flush_active()
        return handle

    def fetch(self, key: str | bytes, timeout: float | None = None) -> bytes | None:
        """The checkpoint stored under `key`, None if there is none. Raises WaitTimeout."""
        with self._lock:
            self._check()
            handle = cast(SyncCheckpointFetch, self._core.fetch(_key(key)))
            handle._client = self
            self._flush_active()
        handle.wait(timeout)
        return handle.value

    # --- events -------------------------------------------------------------------------------------------------------

    def next(self, timeout: float | None = None) -> Event:
        """The next event. To ask for one says that the one before it has been dealt with.

        Raises WaitTimeout after `timeout` seconds, ClientClosed, LoginRefused.
        """
        self._note_taken()
        events = self._core.events
        if not events:
            with self._lock:
                self._wait_until(lambda: bool(events), timeout, "no event came")
        try:
            event = events.popleft()
        except IndexError:  # another thread was faster
            return self.next(timeout)
        if isinstance(event, Message):
            self._taken = event
        if self._sockets.paused and len(events) <= self._core.resume_at:
            self._sockets.wake()
        return event

    def __iter__(self) -> Iterator[Event]:
        """Events, until the client is closed."""
        while True:
            try:
                yield self.next()
            except ClientClosed:
                return

    # --- state --------------------------------------------------------------------------------------------------------

    def wait_connected(self, timeout: float | None = None) -> None:
        """Waits until a primary has taken this client on. Raises NotConnected, LoginRefused."""
        with self._lock:
            try:
                self._wait_until(lambda: self._core.active is not None, timeout, "")
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

    def close(self) -> None:
        """Closes the connections. Submissions without an outcome stay undecided: the gateway goes on with them."""
        with self._lock:
            if not self._core.closed:
                self._core.close(ClientClosed("the client was closed before the answer came"))
            self._changed.notify_all()
        self._sockets.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Client:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes; without an exception, the last event that was taken counts as dealt with."""
        try:
            if kind is None:
                self._note_taken()
        finally:
            self.close()

    def __repr__(self) -> str:
        """Without the token."""
        return f"<Client {self._core.name!r} {self._core.describe()}>"

    # --- helpers: the strategy's threads ------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._core.failure is not None:
            raise self._core.failure
        if self._core.closed:
            raise ClientClosed(FORKED if self._core.forked else "this client is closed")

    def _wait_until(self, ready: Callable[[], bool], timeout: float | None, complaint: str) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        self._waiting += 1
        try:
            while not ready():
                self._check()
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise WaitTimeout(f"{complaint} within {timeout} s; {self._core.describe()}")
                self._changed.wait(left)
        finally:
            self._waiting -= 1

    def _wait_for_room(self, timeout: float) -> None:
        if threading.current_thread() is self._thread:
            raise BackPressure(
                f"{self._core.pending} submissions are pending: a callback cannot wait for their outcome"
            )
        try:
            self._wait_until(lambda: not self._core.full, timeout, "")
        except WaitTimeout:
            unread = len(self._core.events)
            hint = "; take the events first: the client reads no further" if self._sockets.paused else ""
            complaint = (
                f"{self._core.pending} submissions have had no outcome for {timeout} s ({unread} events unread{hint})"
            )
            raise BackPressure(f"{complaint}; {self._core.describe()}") from None

    def _wait_for(self, handle: Handle, timeout: float | None) -> None:
        if handle.done:
            return
        if threading.current_thread() is self._thread:
            raise BackPressure("a callback cannot wait: it runs on the thread that reads the answer")
        gate = threading.Lock()
        gate.acquire()
        with self._lock:
            Handle.add_done_callback(handle, lambda _: gate.release())
        if not gate.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            hint = " take the events first: the client reads no further;" if self._sockets.paused else ""
            raise WaitTimeout(f"no answer to {handle!r} within {timeout} s;{hint} {self._core.describe()}")

    def _note_taken(self) -> None:
        taken, self._taken = self._taken, None
        if taken is not None and self._file is not None:
            self._file.note(taken.session, taken.index, taken.generation, taken.seq)

    def _flush_active(self) -> None:
        active = self._core.active
        if active is not None:
            self._sockets.write(active.index, self._core.take_output(active.index))

    def _leave_to_parent(self) -> None:
        if self._core.closed:
            return
        self._lock = threading.RLock()  # who held the old one is not in this process
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        self._taken = self._file = None
        self._core.leave(ClientClosed(FORKED))  # before anything that may fail
        self._sockets.leave()

    # --- helpers: the I/O thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                with self._lock:
                    if self._core.closed:
                        return
                    timeout = self._turn()
                for node, what in self._sockets.poll(timeout):
                    self._handle(node, what)
        except Exception as error:  # a defect of ours: whoever waits must hear of it
            _log.exception("the I/O thread of %r failed", self)
            with self._lock:
                self._core.close(ClientClosed(f"the client failed: {error!r}; make a new one"))
                self._changed.notify_all()
        finally:
            self._sockets.close()

    def _turn(self) -> float:
        """Everything that is due now; the time until something is due again, in seconds."""
        core = self._core
        core.tick(time.monotonic_ns())
        for wish in core.take_wishes():
            failed = self._sockets.connect(wish.node) if wish.kind is WishKind.CONNECT else "closed"
            if failed:
                self._sockets.drop(wish.node)
                core.on_disconnected(wish.node, time.monotonic_ns(), failed)
        for link in core.links:
            self._sockets.write_backlog(link.index)
            self._sockets.write(link.index, core.take_output(link.index))
            self._sockets.listen(link.index, core.wants_to_read(link.index))
        self._tell()
        return max(0, core.deadline() - time.monotonic_ns()) / 1e9

    def _handle(self, node: int, what: Happened) -> None:
        core = self._core
        data, why = what
        with self._lock:
            now_ns = time.monotonic_ns()
            if data is not None:
                core.on_bytes(node, data, now_ns)
            elif why is None:
                core.on_connected(node, now_ns)
            elif core.links[node].phase is not Phase.WAITING:
                self._sockets.drop(node)
                core.on_disconnected(node, now_ns, why)
            self._tell()

    def _tell(self) -> None:
        """Wakes the strategy, or calls it."""
        if self._core.failure is not None and not self._core.closed:
            self._core.close(self._core.failure)
        if self._on_event is not None:
            while self._core.events:
                event = self._core.events.popleft()
                try:
                    self._on_event(event)
                except Exception:  # a strategy's mistake must not stop its connection
                    _log.exception("on_event failed for %r", event)
                    continue
                if isinstance(event, Message):
                    self._taken = event
                    self._note_taken()
        if self._waiting:
            self._changed.notify_all()


def _key(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key
