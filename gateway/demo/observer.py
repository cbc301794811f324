"""What the nodes of a demonstration say of themselves over the control API; waits until they say what is wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson

from gateway.demo.world import World
from gateway.errors import GatewayError

STEP_TIMEOUT_S = 30.0
POLL_S = 0.02
NODES = ("a", "b")
OTHER = {"a": "b", "b": "a"}

Status = dict[str, Any]


class Observer:
    """Asks the nodes of a world. An asynchronous context manager."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __aenter__(self) -> Observer:
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=1.0), headers=self._world.control_headers
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def status(self, node: str) -> Status | None:
        """Status of a node; None: it does not answer."""
        try:
            async with self._http.get(self._url(node, "status")) as response:
                response.raise_for_status()
                status: Status = orjson.loads(await response.read())
                return status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def statuses(self) -> dict[str, Status | None]:
        """Status of each node."""
        return {node: await self.status(node) for node in NODES}

    async def command(self, node: str, path: str, **arguments: Any) -> tuple[int, Status]:
        """Posts a command to a node: HTTP status and answer."""
        async with self._http.post(self._url(node, path), data=orjson.dumps(arguments)) as response:
            answer: Status = orjson.loads(await response.read())
            return response.status, answer

    async def primary(self) -> str:
        """Name of the primary. Raises GatewayError if none says that it is."""
        for node, status in (await self.statuses()).items():
            if is_primary(status):
                return node
        raise GatewayError("no node is primary")

    async def healthy(self) -> bool:
        """Whether there is a primary with a standby in sync, and every session is ready for orders."""
        return pair_is_healthy(await self.statuses())

    async def until(
        self, what: str, condition: Callable[[], Awaitable[bool]], timeout_s: float = STEP_TIMEOUT_S
    ) -> None:
        """Waits until the condition holds. Raises GatewayError in the end, or when a process has ended by itself."""
        deadline = time.monotonic() + timeout_s
        while not await condition():
            self._world.check_alive()
            if time.monotonic() > deadline:
                raise GatewayError(
                    f"waited {timeout_s:.0f} s in vain until {what}; logs are in {self._world.directory}"
                )
            await asyncio.sleep(POLL_S)

    async def until_healthy(self) -> None:
        """Waits until the pair is whole."""
        await self.until("the pair is in sync and logged on", self.healthy)

    async def until_primary(self, node: str) -> None:
        """Waits until `node` is primary and its sessions are ready."""

        async def leads() -> bool:
            status = await self.status(node)
            return is_primary(status) and sessions_ready(status)

        await self.until(f"node {node} is primary and logged on", leads)

    def _url(self, node: str, path: str) -> str:
        return f"http://{self._world.control_address(node)}/{path}"


def is_primary(status: Status | None) -> bool:
    """Whether a status is a primary's."""
    return status is not None and status["role"] == "PRIMARY"


def sessions_ready(status: Status | None) -> bool:
    """Whether every FIX session is logged on and synchronised."""
    return status is not None and all(session["state"] == "READY" for session in status["sessions"])


def pair_is_healthy(statuses: dict[str, Status | None]) -> bool:
    """Whether there is a primary with a standby in sync, and every session is ready for orders."""
    return any(
        status is not None
        and is_primary(status)
        and status["release"] == "ACKED"
        and len(status["register"]["in_sync"]) == len(NODES)
        and sessions_ready(status)
        and (statuses[OTHER[node]] or {}).get("role") == "STANDBY"
        for node, status in statuses.items()
    )
