"""A pair of fake nodes for the client's tests: asyncio servers that speak the node's side of the client protocol.

`FakePair` is the log both nodes share; each `FakeNode` can be primary, standby or down. It behaves as a real pair must:
a ClOrdID is taken once, a repeat is answered with its state, and messages are fed from the position a client names.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from gateway.native import clientwire as wire

SESSION = 3  # the index is not the place in the list, so that mistaking one for the other shows
SESSION_NAME = "BROKER"


@dataclass
class FakePair:
    """What a pair's log would hold."""

    token: bytes = b"secret"
    orders: dict[str, int] = field(default_factory=dict)  # ClOrdID -> MsgSeqNum
    submissions: list[wire.Submit] = field(default_factory=list)  # every SUBMIT that any node took, repeats included
    messages: list[bytes] = field(default_factory=list)  # inbound messages; MsgSeqNum is the index + 1
    checkpoints: dict[bytes, bytes] = field(default_factory=dict)
    epoch: int = 0


class FakeNode:
    """One node."""

    def __init__(self, pair: FakePair, index: int) -> None:
        self.pair = pair
        self.index = index
        self.primary = False
        self.epoch = 0
        self.mute = False  # takes submissions and says nothing about them
        self.forget = False  # does not take submissions either
        self.verdict: Callable[[wire.Submit, str], bytes | None] | None = None  # another answer to a submission
        self.logins: list[wire.Login] = []
        self.positions: list[wire.Positions] = []
        self.pings = 0
        self.connections: list[_Connection] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As a killed process: connections are reset, nothing listens."""
        if self._server is not None:
            self._server.close()
        self._server = None
        self.primary = False
        for connection in list(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def promote(self) -> None:
        """Becomes primary in the next epoch and tells everyone who waits."""
        self.pair.epoch += 1
        self.epoch = self.pair.epoch
        self.primary = True
        for connection in self.connections:
            connection.greet()

    def demote(self) -> None:
        self.primary = False
        for connection in self.connections:
            connection.greet()

    def say(self, frame: bytes) -> None:
        """To every client that is connected."""
        for connection in self.connections:
            connection.transport.write(frame)

    def deliver(self, raw: bytes) -> None:
        """A message of the counterparty comes in."""
        self.pair.messages.append(raw)
        self.say(wire.message(SESSION, 0, len(self.pair.messages), raw))


class _Connection(asyncio.Protocol):
    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.login: wire.Login | None = None
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.node.connections:
            self.node.connections.remove(self)

    def data_received(self, data: bytes) -> None:
        frames, used = wire.decode(self.buffer + data)
        self.buffer = (self.buffer + data)[used:]
        for frame in frames:
            self.take(frame)

    def take(self, frame: wire.Frame) -> None:
        node = self.node
        if isinstance(frame, wire.Login):
            node.logins.append(frame)
            if frame.token != node.pair.token:
                self.transport.write(wire.error(wire.ErrorCode.LOGIN, "unknown client or wrong token"))
                self.transport.close()
                return
            self.login = frame
            node.connections.append(self)
            self.greet()
        elif isinstance(frame, wire.Ping):
            node.pings += 1
            self.transport.write(wire.pong(frame.seq))
        elif isinstance(frame, wire.Positions):
            node.positions.append(frame)
        elif not node.primary:
            pass
        elif isinstance(frame, wire.Submit):
            self.submit(frame)
        elif isinstance(frame, wire.Checkpoint):
            node.pair.checkpoints[frame.key] = frame.value
            self.transport.write(wire.checkpoint_stored(frame.key))
        elif isinstance(frame, wire.Fetch):
            self.transport.write(wire.checkpoint_value(frame.key, node.pair.checkpoints.get(frame.key)))

    def greet(self) -> None:
        node = self.node
        if not node.primary:
            self.transport.write(wire.standby(node.index))
            return
        messages = node.pair.messages
        info = wire.SessionInfo(
            SESSION, SESSION_NAME, wire.SessionStatus.READY, 0, len(node.pair.orders) + 1, len(messages) + 1
        )
        self.transport.write(wire.welcome(node.index, node.epoch, [info]))
        assert self.login is not None
        known = {session: seq for session, _, seq in self.login.positions}.get(SESSION, 0)
        for seq in range(min(known, len(messages)) + 1, len(messages) + 1):
            self.transport.write(wire.message(SESSION, 0, seq, messages[seq - 1], True))

    def submit(self, frame: wire.Submit) -> None:
        node, pair = self.node, self.node.pair
        if node.forget:
            return
        pair.submissions.append(frame)
        cl_ord_id = wire.find_cl_ord_id(frame.fields) or ""
        if node.verdict is not None:
            answer = node.verdict(frame, cl_ord_id)
            if answer is not None:
                self.transport.write(answer)
            return
        if cl_ord_id in pair.orders:
            answer = wire.order_state(frame.session, 0, pair.orders[cl_ord_id], wire.OrderStatus.SENT, cl_ord_id)
        else:
            pair.orders[cl_ord_id] = len(pair.orders) + 1
            answer = wire.accepted(frame.session, 0, pair.orders[cl_ord_id], cl_ord_id)
        if not node.mute:
            self.transport.write(answer)


class ThreadedPair:
    """Both nodes on an event loop in a thread of its own, for tests of the blocking client."""

    def __init__(self) -> None:
        self.pair = FakePair()
        self.a, self.b = FakeNode(self.pair, 0), FakeNode(self.pair, 1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self.a.start())
        self.run(self.b.start())

    @property
    def nodes(self) -> str:
        return f"127.0.0.1:{self.a.port},127.0.0.1:{self.b.port}"

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def do(self, function: Callable[..., None], *arguments: object) -> None:
        """Calls a function on the nodes' loop."""

        async def call() -> None:
            function(*arguments)

        self.run(call())

    def close(self) -> None:
        for node in (self.a, self.b):
            self.run(node.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
