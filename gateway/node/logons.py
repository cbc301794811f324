"""Fills or signs Logons with the hooks of the configuration, each call on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
from collections.abc import Callable, Iterable

import structlog

from gateway.config import Config, Session
from gateway.errors import ConfigError, GatewayError
from gateway.native.node import Note
from gateway.native.reactor import Command, Reactor
from gateway.signing import Logon, LogonField
from gateway.signing.logon import encode, utc_timestamp

log = structlog.get_logger("node")

HOOK_TIMEOUT_S = 1.5  # the native node gives up a little later
MAX_FILL_BYTES = 768  # as the native node takes them

Hook = Callable[[Logon], Iterable[LogonField]]


class Logons:
    """The hooks of all sessions."""

    def __init__(self, config: Config, reactor: Reactor) -> None:
        """Imports the hooks. Raises ConfigError: one cannot be had."""
        self._sessions = config.session
        self._reactor = reactor
        self._calls = {i: Calls(load_hook(s)) for i, s in enumerate(config.session) if s.logon_hook is not None}

    async def fill(self, note: Note) -> None:
        """Answers a note `fill_logon`. Whatever goes wrong is logged, without a value, and no Logon goes out."""
        session = self._sessions[note.session]
        logon = Logon(
            session.name,
            session.begin_string,
            session.sender_comp_id,
            session.target_comp_id,
            note.b,
            utc_timestamp(note.c, session.timestamp_digits),
            note.c,
            session.logon_options,
        )
        fields, failed = b"", 0
        try:
            async with asyncio.timeout(HOOK_TIMEOUT_S):
                fields = await self._calls[note.session].fields(logon)
        except (GatewayError, TimeoutError) as error:
            failed = 1
            text = str(error) or f"no answer in {HOOK_TIMEOUT_S} s"
            log.error("logon_hook_failed", session=session.name, hook=session.logon_hook, error=text)
        self._reactor.command(Command.FILL_LOGON, session=note.session, a=note.a, b=failed, data=fields)


class Calls:
    """Calls one hook, once at a time. One that hangs keeps its own thread and nothing else."""

    def __init__(self, hook: Hook) -> None:
        self._hook = hook
        self._busy = False

    async def fields(self, logon: Logon) -> bytes:
        """What it adds, encoded. Raises GatewayError, whatever the hook raises."""
        if self._busy:
            raise GatewayError("an earlier call has not returned")
        self._busy = True
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        threading.Thread(target=self._work, args=(logon, loop, answer), name="logon-hook", daemon=True).start()
        return await answer

    def _work(self, logon: Logon, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[bytes]) -> None:
        fields, error = b"", None
        try:
            fields = encode(self._hook(logon))
            if len(fields) > MAX_FILL_BYTES:
                error = GatewayError(f"{len(fields)} bytes of fields: at most {MAX_FILL_BYTES}")
        except GatewayError as its_own:
            error = its_own
        except BaseException as foreign:
            error = GatewayError(type(foreign).__name__)
        self._busy = False
        with contextlib.suppress(RuntimeError):  # the node has stopped meanwhile
            loop.call_soon_threadsafe(_settle, answer, fields, error)


def _settle(answer: asyncio.Future[bytes], fields: bytes, error: GatewayError | None) -> None:
    if answer.done():  # given up
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(fields)


def load_hook(session: Session) -> Hook:
    """The function that `logon_hook` names. Raises ConfigError."""
    module_name, _, name = (session.logon_hook or "").partition(":")
    where = f"session {session.name!r}: logon_hook {session.logon_hook!r}"
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{where}: {error}; is it on PYTHONPATH?") from None
    hook = getattr(module, name, None)
    if not callable(hook):
        raise ConfigError(f"{where}: module {module_name} has no function {name!r}")
    found: Hook = hook
    return found
