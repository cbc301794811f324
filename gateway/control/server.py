"""The control API's server: GET /status, /healthz, /latency, /metrics; POST of commands. JSON both ways."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import orjson
from aiohttp import web

from gateway.config import Address, read_secret
from gateway.control.metrics import CONTENT_TYPE, render
from gateway.errors import GatewayError
from gateway.node.latency import StageHistogram, stages_dict

ROLE_COMMANDS = ("takeover", "switchover", "solo", "act-alone")
SESSION_COMMANDS = ("logout", "resume", "reset", "set-seq", "send-doubted", "give-up-doubted")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NodeControl(Protocol):
    """What a node offers to its operator. Commands raise GatewayError when they are refused."""

    async def status(self) -> dict[str, Any]:
        """State of the node."""

    def stages(self) -> dict[str, StageHistogram]:
        """How long each stage of an order took since the start."""

    async def command(self, name: str) -> dict[str, Any]:
        """One of ROLE_COMMANDS."""

    async def session_command(self, session: str, name: str, arguments: dict[str, int]) -> dict[str, Any]:
        """One of SESSION_COMMANDS."""

    async def kill_switch(self, client: str | None, killed: bool) -> dict[str, Any]:
        """Sets or clears the kill switch of one client, or of all."""


class ControlServer:
    """Serves one node's control API. `token_file`: requests must carry it as a bearer token."""

    def __init__(self, node: NodeControl, address: Address, token_file: Path | None) -> None:
        self._node = node
        self._address = address
        self._token = read_secret("control token", env=None, file=token_file)
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/status", self._status)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/latency", self._latency)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/{command}", self._command)
        app.router.add_post("/sessions/{session}/{command}", self._session)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listens. Raises GatewayError when the address cannot be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._address.host, self._address.port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            raise GatewayError(f"control: cannot listen on {self._address}: {error.strerror}") from None

    async def stop(self) -> None:
        """Stops listening."""
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if "Origin" in request.headers:  # a web page in an operator's browser is no operator
            return _json({"error": "requests of web pages are not taken"}, status=403)
        if self._token:
            shown = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
            if not hmac.compare_digest(shown, self._token):
                return _json({"error": "wrong or missing bearer token"}, status=401)
        try:
            return await handler(request)
        except GatewayError as error:
            return _json({"error": str(error)}, status=409)
        except (orjson.JSONDecodeError, ValueError) as error:
            return _json({"error": f"malformed request: {error}"}, status=400)

    async def _status(self, _: web.Request) -> web.Response:
        return _json(await self._node.status())

    async def _health(self, _: web.Request) -> web.Response:
        status = await self._node.status()
        return _json({"role": status["role"]}, status=200 if status["role"] in {"PRIMARY", "STANDBY"} else 503)

    async def _latency(self, _: web.Request) -> web.Response:
        return _json({"unit": "ns", "stages": stages_dict(self._node.stages())})

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=render(self._node.stages()), headers={"Content-Type": CONTENT_TYPE})

    async def _command(self, request: web.Request) -> web.Response:
        name = request.match_info["command"]
        if name in ("kill", "unkill"):
            client = (await _body(request, {"client"})).get("client")
            if client is not None and not isinstance(client, str):
                raise ValueError("`client`: a name is expected; leave it out for all clients")
            return _json(await self._node.kill_switch(client, name == "kill"))
        if name not in ROLE_COMMANDS:
            raise ValueError(f"no command {name!r}; there are: {', '.join(ROLE_COMMANDS)}, kill, unkill")
        return _json(await self._node.command(name))

    async def _session(self, request: web.Request) -> web.Response:
        name = request.match_info["command"]
        if name not in SESSION_COMMANDS:
            raise ValueError(f"no session command {name!r}; there are: {', '.join(SESSION_COMMANDS)}")
        arguments = await _body(request, {"next_out", "next_in"})
        for key, value in arguments.items():
            if type(value) is not int or value < 0:
                raise ValueError(f"`{key}`: a whole number from 0 is expected")
        return _json(await self._node.session_command(request.match_info["session"], name, arguments))


async def _body(request: web.Request, known: set[str]) -> dict[str, Any]:
    """The request's object. Unknown keys are refused: a misspelt `client` must not stop all clients."""
    raw = await request.read()
    body = orjson.loads(raw) if raw else {}
    if not isinstance(body, dict):
        raise ValueError("a JSON object is expected")
    if unknown := set(body) - known:
        raise ValueError(f"unknown key {min(unknown)!r}; there are: {', '.join(sorted(known))}")
    return body


def _json(content: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
