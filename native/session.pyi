"""Face of one FIX session."""

from collections.abc import Callable
from typing import NamedTuple

from gateway.errors import ProtocolError

from .dictionary import Dictionary
from .journal import Journal

STATE_NAMES: tuple[str, ...]
EVENT_NAMES: tuple[str, ...]

class SessionNotReady(ProtocolError):
    """A message cannot be numbered now."""

class Event(NamedTuple):
    """What happened in a session."""

    kind: str
    a: int = 0
    b: int = 0
    data: bytes = b""

class Session:
    """One session over a Journal. Times in ns."""

    journal: Journal
    logon_error: Exception | None
    def __init__(
        self,
        journal: Journal,
        *,
        role: str,
        begin_string: str,
        sender_comp_id: str,
        target_comp_id: str,
        index: int = 0,
        extra_ids: bytes = b"",
        logon_fields: bytes = b"",
        timestamp_digits: int = 3,
        heartbeat_s: int = 30,
        logon_timeout_ns: int = ...,
        logout_timeout_ns: int = ...,
        test_request_after_ns: int = 0,
        disconnect_after_ns: int = 0,
        sending_time_tolerance_ns: int = 0,
        resend_max_age_ns: int = 0,
        resend_chunk: int = 0,
        max_message_bytes: int = ...,
        reset_on_logon: bool = False,
        reset_on_logout: bool = False,
        reset_on_disconnect: bool = False,
        logon_barrier: bool | None = None,
        send_next_expected: bool = False,
        cancels_before_ready: bool = False,
        default_appl_ver_id: str = "",
        heartbeat_min_s: int = 0,
        heartbeat_max_s: int = 0,
        test_session: bool = False,
        send_last_processed: bool = False,
        orig_sending_time_optional: bool = False,
        epoch: int = 1,
        dictionary: Dictionary | None = None,
        session_dictionary: Dictionary | None = None,
        appl_dictionaries: dict[str, Dictionary] | None = None,
        checks: int = ...,
        logon_hook: Callable[[int, bytes], bytes] | None = None,
    ) -> None: ...
    def connected(self, mono_ns: int, wall_ns: int) -> None: ...
    def disconnected(self, mono_ns: int, wall_ns: int) -> None: ...
    def receive(self, data: bytes | bytearray | memoryview, mono_ns: int, wall_ns: int) -> int: ...
    def timer(self, mono_ns: int, wall_ns: int) -> None: ...
    def send(
        self, msg_type: str, body: bytes, mono_ns: int, wall_ns: int, clordid: bytes | None = None, client: int = 0
    ) -> int: ...
    def output(self, released_lsn: int | None = None, mono_ns: int = 0, wall_ns: int = 0) -> bytes: ...
    def logout(self, text: str, mono_ns: int, wall_ns: int) -> None: ...
    def reset(self, mono_ns: int, wall_ns: int) -> None: ...
    def reset_online(self, mono_ns: int, wall_ns: int) -> None: ...
    def set_seq(self, next_out: int, next_in: int, mono_ns: int, wall_ns: int) -> None: ...
    def resume(self) -> None: ...
    def take_events(self) -> list[Event]: ...
    @property
    def deadline(self) -> int | None: ...
    @property
    def closing(self) -> bool: ...
    @property
    def status(self) -> str: ...
    @property
    def next_out(self) -> int: ...
    @property
    def next_in(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def used_since_ns(self) -> int: ...
