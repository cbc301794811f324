"""A client between two hostile nodes: frames, and bytes that are none. It drops the connection or goes on."""

from __future__ import annotations

import contextlib
from typing import ClassVar

from gateway.client.errors import ClientError
from gateway.client.links import Phase, WishKind
from gateway.client.protocol import ClientCore
from gateway.native import clientwire as wire
from tests.fuzz.rig import MS
from tests.fuzz.steps import number, step, steps

BYTES, FRAME, CONNECT, LEAVE, TIME, SUBMIT, STORE, READ = range(8)
SESSION = wire.SessionInfo(0, "ONE", 4, 0, 5, 3)


class ClientTarget:
    """A list of steps; the node is the first byte of each."""

    tokens: ClassVar[list[bytes]] = [
        b"c1",
        b"c2",
        b"ONE",
        bytes(8),
        b"\xff\xff\xff\xff",
        b"8=FIX.4.4\x01",
        bytes([24, 0, 0, 0]),
        bytes([1, 0]),
    ]

    def seeds(self) -> list[bytes]:
        """What a primary and a standby say."""
        hello = step(FRAME, b"\x00" + wire.welcome(0, 3, [SESSION])) + step(FRAME, b"\x01" + wire.standby(1))
        said = [
            wire.accepted(0, 0, 5, "c1"),
            wire.rejected(0, 1, "c2", "no"),
            wire.held(0, "c3"),
            wire.order_state(0, 0, 5, 3, "c1"),
            wire.message(0, 0, 3, b"8=FIX.4.4\x0135=8\x0111=c1\x01"),
            wire.fate(0, 0, 5, 1, "c1"),
            wire.session_change(0, 1, 4, 1),
            wire.checkpoint_stored(b"key"),
            wire.checkpoint_value(b"key", b"value"),
            wire.pong(1),
            wire.error(3, "go away"),
        ]
        answers = b"".join(step(FRAME, b"\x00" + frame) for frame in said[:-1])
        return [
            step(SUBMIT, b"\x00c1") + hello + step(SUBMIT, b"\x00c2") + step(STORE, b"\x00key") + answers + step(READ),
            hello + step(BYTES, b"\x00" + b"".join(said)) + step(TIME, b"\x20"),
            hello + step(LEAVE, b"\x00") + step(FRAME, b"\x01" + wire.welcome(1, 4, [SESSION])) + answers,
        ]

    def run(self, data: bytes) -> None:
        """One client's life."""
        now = 10**9
        core = ClientCore("strategy", b"token", ["a", "b"], max_pending=50, max_events=50)
        _carry_out(core, now)
        for what, argument in steps(data, 8):
            now += number(argument) ** 2 * MS if what == TIME else 1000
            with contextlib.suppress(ClientError):  # what the strategy is told
                _act(core, what, argument, now)
            _carry_out(core, now)
            for node in (0, 1):
                wire.decode(core.take_output(node))
            assert core.deadline() >= 0
        core.close(RuntimeError("over"))


def _carry_out(core: ClientCore, now: int) -> None:
    """What the owner of a core does with its connections."""
    core.tick(now)
    for wish in core.take_wishes():
        if wish.kind is WishKind.CONNECT:
            core.on_connected(wish.node, now)
        else:
            core.on_disconnected(wish.node, now, "closed")


def _act(core: ClientCore, what: int, argument: bytes, now: int) -> None:
    node, rest = number(argument) & 1, argument[1:]
    text = rest.decode("latin-1")
    if what == BYTES:
        core.on_bytes(node, rest, now)
    elif what == FRAME and len(rest) >= 4:
        core.on_bytes(node, len(rest).to_bytes(4, "little") + rest[4:], now)
    elif what == LEAVE and core.links[node].phase is not Phase.WAITING:
        core.on_disconnected(node, now, "gone")
    elif what == TIME:
        core.tick(now)
    elif what == SUBMIT:
        core.submit(node, "D", b"55=Z\x01", text or None)
    elif what == STORE:
        core.store(rest, b"value")
        core.fetch(rest)
    elif what == READ:
        core.events.clear()
