"""Fills or signs Logons with the hooks of the configuration, on a thread of their own."""

from __future__ import annotations

import asyncio
import importlib
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

Hook = Callable[[Logon], Iterable[LogonField]]


class Logons:
    """The hooks of all sessions."""

    def __init__(self, config: Config, reactor: Reactor) -> None:
        """Imports the hooks. Raises ConfigError: one cannot be had."""
        self._sessions = config.session
        self._reactor = reactor
        self._hooks = {i: load_hook(s) for i, s in enumerate(config.session) if s.logon_hook is not None}

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
                fields = encode(await asyncio.to_thread(self._hooks[note.session], logon))
        except Exception as error:  # a hook is the user's code
            failed = 1
            # Only the gateway's own errors are known to hold no secret.
            text = str(error) if isinstance(error, GatewayError) else type(error).__name__
            log.error("logon_hook_failed", session=session.name, hook=session.logon_hook, error=text)
        self._reactor.command(Command.FILL_LOGON, session=note.session, a=note.a, b=failed, data=fields)


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
