"""Face of one node without I/O."""

from typing import Any, NamedTuple

from .dictionary import Dictionary
from .journal import Journal
from .role import Request

SESSION_STATE_NAMES: tuple[str, ...]
SESSION_EVENT_NAMES: tuple[str, ...]
NOTE_NAMES: dict[int, str]
DROP_NAMES: tuple[str, ...]

class Note(NamedTuple):
    """What happened in the node."""

    code: str
    session: int
    a: int
    b: int
    c: int
    mono_ns: int
    wall_ns: int
    text: bytes

class Node:
    """One node over a Journal."""

    journal: Journal
    feeder: Any
    @property
    def incarnation(self) -> int: ...
    def __init__(
        self,
        journal: Journal,
        *,
        node: int,
        pair_id: int,
        key: bytes,
        incarnation: int,
        heartbeat_interval_ns: int = ...,
        suspect_after_ns: int = ...,
        fence_timeout_ns: int = ...,
        register_timeout_ns: int = ...,
        register_retry_ns: int = ...,
        startup_wait_ns: int = ...,
        preferred: bool = ...,
        lost_tail: bool = ...,
        new_log: bool = ...,
        datagram_bytes: int = ...,
        catch_up_window_bytes: int = ...,
        retransmit_after_ns: int = ...,
        nak_after_ns: int = ...,
        join_retry_ns: int = ...,
        reorder_slots: int = ...,
        window_records: int = ...,
        order_capacity: int = ...,
        login_timeout_ns: int = ...,
        touch_buffers: bool = ...,
        flush_before_release: bool = ...,
    ) -> None: ...
    def add_session(
        self,
        name: str,
        *,
        begin_string: str,
        sender_comp_id: str,
        target_comp_id: str,
        extra_ids: bytes = ...,
        logon_fields: bytes = ...,
        timestamp_digits: int = ...,
        heartbeat_s: int = ...,
        logon_timeout_ns: int = ...,
        logout_timeout_ns: int = ...,
        test_request_after_ns: int = ...,
        disconnect_after_ns: int = ...,
        sending_time_tolerance_ns: int = ...,
        resend_max_age_ns: int = ...,
        resend_chunk: int = ...,
        max_message_bytes: int = ...,
        reset_on_logon: bool = ...,
        reset_on_logout: bool = ...,
        reset_on_disconnect: bool = ...,
        logon_barrier: bool = ...,
        send_next_expected: bool = ...,
        cancels_before_ready: bool = ...,
        sync: bool = ...,
        hold_when_not_ready: bool = ...,
        hold_max_age_ns: int = ...,
        skip_ahead: int = ...,
        endpoints: int = ...,
        min_backoff_ns: int = ...,
        max_backoff_ns: int = ...,
        default_appl_ver_id: str = ...,
        test_session: bool = ...,
        send_last_processed: bool = ...,
        orig_sending_time_optional: bool = ...,
        acceptor: bool = ...,
        fills_logon: bool = ...,
        round_robin: bool = ...,
        jitter: float = ...,
        heartbeat_min_s: int = ...,
        heartbeat_max_s: int = ...,
        dictionary: Dictionary | None = ...,
        session_dictionary: Dictionary | None = ...,
        appl_dictionaries: dict[str, Dictionary] | None = ...,
        checks: int = ...,
    ) -> int: ...
    def add_client(
        self,
        name: str,
        token: bytes = ...,
        *,
        sessions: int = ...,
        unrouted: bool = ...,
        max_order_qty_e8: int = ...,
        max_notional_e8: int = ...,
        max_open_qty_e8: int = ...,
        orders_per_second: float = ...,
        burst: int = ...,
    ) -> int: ...
    def bridge(self, session: int, client: int, route: int) -> None: ...
    def rebuild(self) -> None: ...
    def roster(self) -> bytes: ...
    def fit(self) -> tuple[int, int]: ...
    def order(self, client: int, clordid: bytes) -> dict[str, Any] | None: ...
    def stages(self) -> dict[str, tuple[bytes, int]]: ...
    def status(self) -> dict[str, Any]: ...
    def take_notes(self) -> list[Note | Request]: ...
    def truncate(self, lsn: int) -> None: ...
