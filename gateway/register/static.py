"""Register `static`: no third party; the configuration names the one node that may act alone when its peer is lost.

Each node has a cell of its own, a small file in its data directory, so that epochs survive restarts. Node `alone` is
granted every change. The other one, *held*, is granted only what keeps `alone` in sync; it can be primary after a
switchover, but it can neither take over nor go solo unless an operator says so (COMMAND_ACT_ALONE). What a node knows
of its peer's cell it knows from the peer's datagrams: a primary of a later epoch makes the role forget that it is in
sync.

What it protects against: two nodes that are cut off from each other and both go on. A held primary that loses its peer
is fenced, because it must assume that `alone` takes the next epoch. A node that restarts waits for its peer before it
acts.

What it cannot protect against:
- an operator who lets the held node act alone while `alone` lives but is not heard, or who lets `alone` start again
  where it cannot hear the other: then both are primary. Only the counterparty's sequence numbers stand between them.
- the loss of `alone`: the pair stands still until an operator acts, and then skips ahead, since the held node cannot
  know whether it was in sync.
- after an operator's promotion of the held node, `alone` follows but does not take over by itself; a switchover back
  restores that.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from gateway.native.role import RegisterOutcome

from .base import EMPTY, Outcome, Register, RegisterUnavailable, RegisterValue, check_value
from .storage import Worker, flush_directory, format_value, parse_value, write_durably

DEFAULT_TIMEOUT_S = 0.5


class StaticRegister(Register):
    """This node's own cell in `path`, a file that is created with the first change (not its directory).

    `node` and `peer` are node indices, `alone` is the one of them that may act alone; `own_last_epoch` is that of the
    node's own log. Raises ValueError for indices that make no sense.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        node: int,
        peer: int,
        alone: int,
        own_last_epoch: int = 0,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        if {node, peer} != {0, 1}:
            raise ValueError(f"node {node}, peer {peer}: a pair has the node indices 0 and 1")
        if alone not in (node, peer):
            raise ValueError(f"alone {alone}: the node that may act alone must be 0 or 1")
        self.path = Path(path)
        self.node, self.peer, self.alone, self.own_last_epoch = node, peer, alone, own_last_epoch
        self.permitted = False  # an operator let the held node act alone in this life of the process
        # One thread: what ran out of time is written before what follows it.
        self._worker = Worker(str(self.path), timeout_s)
        self._lock = asyncio.Lock()
        self._value: RegisterValue | None = None

    async def read(self) -> RegisterValue:
        """Return this node's own view of the cell."""
        async with self._lock:
            return await self._load()

    async def compare_and_set(
        self, expected: RegisterValue, desired: RegisterValue, *, act_alone: bool = False
    ) -> Outcome:
        """Grant what the configuration allows; LOST with an epoch of node `alone` otherwise."""
        check_value(desired)
        async with self._lock:
            try:
                current = await self._load()
                if expected.version != current.version:
                    return Outcome(RegisterOutcome.LOST, current)
                granted = self._may(desired, act_alone)
                value = desired if granted else self._presumed(desired)
                value = await self._store(value._replace(version=current.version + 1))
            except RegisterUnavailable as error:
                return Outcome(RegisterOutcome.UNKNOWN, None, error)
            if granted:
                self.permitted = (self.permitted or act_alone) and desired.primary != self.alone
            return Outcome(RegisterOutcome.WON if granted else RegisterOutcome.LOST, value)

    async def close(self) -> None:
        """End the register's threads."""
        self._worker.close()

    def _may(self, desired: RegisterValue, act_alone: bool) -> bool:
        keeps_alone = bool(desired.in_sync >> self.alone & 1)
        return self.node == self.alone or keeps_alone or self.permitted or act_alone

    def _presumed(self, refused: RegisterValue) -> RegisterValue:
        """What a held node must assume when it loses `alone`: that node takes over in the next epoch."""
        return RegisterValue(0, refused.epoch + 1, self.alone, 1 << self.alone)

    def _after_restart(self, stored: RegisterValue) -> RegisterValue:
        """Nobody told this node what the other did meanwhile, so it must not go on at once.

        In the cell of `alone` both count as in sync, so that its role waits for the peer before it acts alone. The
        held node is out of sync until it meets a primary or an operator speaks.
        """
        if self.node == self.alone:
            return stored._replace(in_sync=stored.in_sync | 1 << self.node | 1 << self.peer)
        epoch = max(stored.epoch, self.own_last_epoch)
        return stored._replace(epoch=epoch, primary=self.alone, in_sync=1 << self.alone)

    async def _load(self) -> RegisterValue:
        if self._value is None:
            stored = await self._worker.run(self._read_file)
            if stored is not None:
                await self._store(self._after_restart(stored)._replace(version=stored.version + 1))
            elif self.node == self.alone:
                self._value = EMPTY
            else:
                # Not empty: the first start is the other node's.
                self._value = RegisterValue(1, self.own_last_epoch, self.alone, 1 << self.alone)
        assert self._value is not None
        return self._value

    async def _store(self, value: RegisterValue) -> RegisterValue:
        await self._worker.run(lambda: self._write_file(value))
        self._value = value
        return value

    # On the worker's thread from here on.

    def _read_file(self) -> RegisterValue | None:
        try:
            return parse_value(self.path.read_bytes(), self.path)
        except FileNotFoundError:
            if not self.path.parent.is_dir():
                raise
            return None

    def _write_file(self, value: RegisterValue) -> None:
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        temporary.unlink(missing_ok=True)
        write_durably(temporary, format_value(value))
        os.replace(temporary, self.path)
        flush_directory(self.path.parent)
