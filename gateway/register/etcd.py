"""Register `etcd`: one key of the user's etcd cluster, over its JSON gateway (etcd 3.4 and later).

The version of a value is the key's mod_revision, which grows with every change of the cluster and is never used again.
A request goes to the endpoints in turn, beginning with the one that answered last; a compare-and-set that may have been
received is never sent again: its outcome is UNKNOWN until a read shows it.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from gateway.native.role import RegisterOutcome

from .base import EMPTY, Outcome, Register, RegisterCorrupt, RegisterUnavailable, RegisterValue, check_value

WATCH_RETRY_S = 1.0
MAX_WATCH_LINE_BYTES = 1 << 20
UNAUTHENTICATED = 16  # gRPC status codes
CERTAIN_REFUSALS = frozenset({3, 7, UNAUTHENTICATED})  # INVALID_ARGUMENT, PERMISSION_DENIED: nothing was written


@dataclass(frozen=True, slots=True)
class EtcdOptions:
    """Where the cell is and how to get there. `password` is in no repr."""

    endpoints: Sequence[str]  # http://host:port or https://host:port
    key: str
    user: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        """Without the password."""
        return f"EtcdOptions({', '.join(self.endpoints)}, key={self.key!r}, user={self.user!r})"


class _Refused(RegisterUnavailable):
    """An endpoint answered with an error. `code` is its gRPC status."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class _NotSent(RegisterUnavailable):
    """No endpoint could be reached: the request has had no effect."""


class EtcdRegister(Register):
    """The cell in key `options.key`. Raises ValueError for options that cannot work."""

    def __init__(self, options: EtcdOptions, *, timeout_s: float) -> None:
        if timeout_s <= 0:
            raise ValueError(f"register time-out {timeout_s} s: must be more than 0")
        if not options.endpoints:
            raise ValueError("register kind 'etcd': `endpoints` must name at least one member of the cluster")
        self._options = options
        self._timeout_s = timeout_s
        self._key = _encoded(options.key.encode())
        self._session: aiohttp.ClientSession | None = None
        self._token = ""
        self._preferred = 0

    async def read(self) -> RegisterValue:
        """Return what the key holds, by a linearizable read."""
        answer = await self._in_time(self._call("/v3/kv/range", {"key": self._key}))
        return self._value_of(answer.get("kvs"))

    async def compare_and_set(
        self, expected: RegisterValue, desired: RegisterValue, *, act_alone: bool = False
    ) -> Outcome:
        """One transaction: put, if mod_revision is that of `expected` (0: the key does not exist)."""
        check_value(desired)
        content = orjson.dumps({"epoch": desired.epoch, "primary": desired.primary, "in_sync": desired.in_sync})
        request = {
            "compare": [{"key": self._key, "target": "MOD", "result": "EQUAL", "mod_revision": str(expected.version)}],
            "success": [{"request_put": {"key": self._key, "value": _encoded(content)}}],
            "failure": [{"request_range": {"key": self._key}}],
        }
        try:
            answer = await self._in_time(self._call("/v3/kv/txn", request))
        except RegisterUnavailable as error:
            return Outcome(RegisterOutcome.UNKNOWN, None, error)
        if answer.get("succeeded"):
            return Outcome(RegisterOutcome.WON, desired._replace(version=int(answer["header"]["revision"])))
        return Outcome(RegisterOutcome.LOST, self._value_of(answer["responses"][0]["response_range"].get("kvs")))

    def watch(self) -> AsyncIterator[RegisterValue]:
        """Changes of the key as they happen. Goes on after a lost connection; ends when the register is closed."""
        return self._watch()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    async def _in_time(self, call: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await asyncio.wait_for(call, self._timeout_s)
        except TimeoutError:
            raise RegisterUnavailable(
                f"{self._name}: no answer within {self._timeout_s:g} s; is there a quorum?"
            ) from None
        return answer

    async def _call(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._try_endpoints(path, request)
        except _Refused as error:
            if error.code != UNAUTHENTICATED or not self._options.user:
                raise
        self._token = ""  # expired, or not had yet
        return await self._try_endpoints(path, request)

    async def _try_endpoints(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        endpoints = self._options.endpoints
        troubles = []
        for turn in range(len(endpoints)):
            number = (self._preferred + turn) % len(endpoints)
            try:
                answer = await self._post(endpoints[number], path, request)
            except aiohttp.ClientConnectorError as error:
                troubles.append(f"{endpoints[number]}: {error.os_error.strerror or error}")
                continue
            except (aiohttp.ClientError, OSError) as error:
                self._preferred = (number + 1) % len(endpoints)
                raise RegisterUnavailable(f"{self._name}: {endpoints[number]}: {error}") from None
            except _Refused as error:
                self._preferred = (number + (error.code not in CERTAIN_REFUSALS)) % len(endpoints)
                raise
            self._preferred = number
            return answer
        raise _NotSent(f"{self._name}: no member can be reached: {'; '.join(troubles)}")

    async def _post(self, endpoint: str, path: str, request: dict[str, Any]) -> dict[str, Any]:
        if self._options.user and not self._token:
            credentials = {"name": self._options.user, "password": self._options.password}
            self._token = (await self._exchange(endpoint, "/v3/auth/authenticate", credentials))["token"]
        return await self._exchange(endpoint, path, request)

    async def _exchange(self, endpoint: str, path: str, request: dict[str, Any]) -> dict[str, Any]:
        async with self._open().post(
            endpoint.rstrip("/") + path, data=orjson.dumps(request), headers=self._headers
        ) as answer:
            body = await answer.read()
            try:
                document = orjson.loads(body)
                if answer.status == 200:
                    return dict(document)
                code, text = int(document.get("code", -1)), str(document.get("error", ""))
            except (ValueError, TypeError, AttributeError):
                code, text = -1, f"HTTP status {answer.status}, and no JSON"
            raise _Refused(f"{self._name}: {endpoint} refuses {path}: {text}", code)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._options.tls or True),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._timeout_s / 2),
            )
        return self._session

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": self._token} if self._token else {}

    @property
    def _name(self) -> str:
        return f"register etcd key {self._options.key!r}"

    # --- values -------------------------------------------------------------------------------------------------------

    def _value_of(self, kvs: list[dict[str, Any]] | None) -> RegisterValue:
        if not kvs:
            return EMPTY
        content = base64.b64decode(kvs[0].get("value", ""))
        try:
            document = orjson.loads(content)
            numbers = [document[name] for name in ("epoch", "primary", "in_sync")]
            if not all(type(number) is int for number in numbers):
                raise ValueError("epoch, primary and in_sync must be whole numbers")
            value = RegisterValue(int(kvs[0]["mod_revision"]), *numbers)
            check_value(value)
        except (ValueError, KeyError, TypeError) as error:
            raise RegisterCorrupt(
                f"{self._name}: not a register value ({content[:80]!r}: {error}). Stop both nodes, find out which log "
                "is the later one, delete the key and start that node first"
            ) from None
        return value

    async def _watch(self) -> AsyncIterator[RegisterValue]:
        while self._session is None or not self._session.closed:
            try:
                async for value in self._watch_once():
                    yield value
            except (RegisterUnavailable, RegisterCorrupt, aiohttp.ClientError, OSError, ValueError):
                pass  # requests meet and report it; the watch only makes news come sooner
            await asyncio.sleep(WATCH_RETRY_S)

    async def _watch_once(self) -> AsyncIterator[RegisterValue]:
        await self._in_time(self._call("/v3/kv/range", {"key": self._key}))  # finds a member, and a token
        endpoint = self._options.endpoints[self._preferred]
        request = {"create_request": {"key": self._key}}
        async with self._open().post(
            endpoint.rstrip("/") + "/v3/watch", data=orjson.dumps(request), headers=self._headers
        ) as answer:
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_WATCH_LINE_BYTES:
                    return
                for line in lines:
                    for event in orjson.loads(line).get("result", {}).get("events", []):
                        if event.get("type", "PUT") == "PUT":
                            yield self._value_of([event["kv"]])


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
