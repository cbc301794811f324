"""The control API's client."""

from __future__ import annotations

import os
from typing import Any

import aiohttp
import orjson

from gateway.config import Config, read_secret
from gateway.errors import GatewayError

TIMEOUT_S = 6.0


class ControlError(GatewayError):
    """A node cannot be reached, or refused a command."""


class ControlClient:
    """Talks to the nodes of one pair. Use as an asynchronous context manager."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def __aenter__(self) -> ControlClient:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def status(self, node: str) -> dict[str, Any]:
        """State of a node. Raises ControlError."""
        return await self._request("GET", node, "/status", None)

    async def latency(self, node: str) -> dict[str, Any]:
        """Stage histograms of a node. Raises ControlError."""
        return await self._request("GET", node, "/latency", None)

    async def command(self, node: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carries out a command. Raises ControlError with the node's reason."""
        return await self._request("POST", node, f"/{path}", body)

    async def _request(self, method: str, node: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        section = self._config.node[node]  # type: ignore[index]
        token = read_secret("control token", env=None, file=section.control_token_file)
        headers = {"Authorization": f"Bearer {token.decode()}"} if token else {}
        data = orjson.dumps(body) if body is not None else None
        try:
            async with self._session.request(
                method, f"http://{section.control}{path}", headers=headers, data=data
            ) as response:
                answer: dict[str, Any] = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError) as error:
            raise ControlError(f"node {node} at {section.control} does not answer: {_why(error)}") from None
        if "error" in answer:
            raise ControlError(f"node {node}: {answer['error']}")
        return answer


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, TimeoutError):
        return f"nothing came within {TIMEOUT_S:.0f} s"
    return str(error) or type(error).__name__
