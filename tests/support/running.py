"""A broker and a pair as real processes on the loopback, driven from blocking code."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.demo.observer import Observer, is_primary
from gateway.demo.world import World


class RunningPair:
    """To be configured between the constructor and `start`."""

    def __init__(self, directory: Path, *, mode: str = "sync") -> None:
        self._loop = asyncio.Runner()
        self.world = World(directory, mode=mode, reactor="epoll", engine="native")
        self.see = Observer(self.world)

    def start(self) -> None:
        self._loop.run(self._start())

    async def _start(self) -> None:
        await self.see.__aenter__()
        await self.world.start_broker()
        for node in ("a", "b"):
            await self.world.start_node(node)
        await self.see.until("the pair is in sync and the broker's session is ready", self._ready)

    async def _ready(self) -> bool:
        for status in (await self.see.statuses()).values():
            if status is not None and is_primary(status):
                return len(status["register"]["in_sync"]) == 2 and status["sessions"][0]["state"] == "READY"
        return False

    def stop(self) -> None:
        self._loop.run(self._stop())
        self._loop.close()

    async def _stop(self) -> None:
        await self.see.__aexit__()
        await self.world.stop_all()

    def kill(self, node: str) -> None:
        """SIGKILL."""
        self._loop.run(self.world.kill(node))

    def restart(self, node: str) -> None:
        """Starts a node that is gone, and returns when it is in sync."""
        self._loop.run(self.world.start_node(node))
        self._loop.run(self.see.until(f"{node} is back in sync", self._ready))

    def status(self) -> dict:
        """What the primary says of itself."""

        async def ask() -> dict:
            return await self.see.status(await self.see.primary()) or {}

        return self._loop.run(ask())
