"""Stub of gateway.native.role: which node may act. See role.pxd for the contract."""

from enum import IntEnum
from typing import NamedTuple

class State(IntEnum):
    STARTING = 0
    STANDBY = 1
    CANDIDATE = 2
    PRIMARY = 3
    FENCED = 4

class Release(IntEnum):
    NOTHING = 0
    ACKED = 1
    ALL = 2

class RequestKind(IntEnum):
    READ = 1
    COMPARE_AND_SET = 2

class RegisterOutcome(IntEnum):
    VALUE = 1
    WON = 2
    LOST = 3
    UNKNOWN = 4

class Command(IntEnum):
    TAKEOVER = 1
    SWITCHOVER = 2
    SOLO = 3
    ACT_ALONE = 4

class CommandStatus(IntEnum):
    ACCEPTED = 0
    NOT_STANDBY = -1
    NOT_PRIMARY = -2
    NOT_IN_SYNC = -3
    BUSY = -4
    PEER_ALIVE = -5

class Cause(IntEnum):
    NONE = 0
    FIRST_START = 1
    TRIPWIRE = 2
    SILENCE = 3
    COMMAND = 4
    SWITCHOVER = 5
    RESTART = 6
    LOST_REGISTER = 7
    NO_REGISTER = 8
    LATER_EPOCH = 9
    CAUGHT_UP = 10
    REGISTER_BEHIND = 11
    NEW_LOG = 13
    NO_ACKS = 12

class RegisterValue(NamedTuple):
    version: int
    epoch: int
    primary: int
    in_sync: int

class Request(NamedTuple):
    kind: RequestKind
    id: int
    act_alone: bool
    expected: RegisterValue
    desired: RegisterValue

class Role:
    """One node's role. Every method takes the moment `now` as CLOCK_MONOTONIC ns; nothing here reads a clock.

    Raises ValueError for a configuration that cannot work.
    """

    def __init__(
        self,
        node: int,
        peer: int,
        *,
        now: int,
        own_last_lsn: int = 0,
        own_last_epoch: int = 0,
        suspect_after_ns: int = 50_000_000,
        fence_timeout_ns: int = 1_000_000_000,
        register_timeout_ns: int = 500_000_000,
        register_retry_ns: int = 100_000_000,
        startup_wait_ns: int = 3_000_000_000,
        preferred: bool = False,
        lost_tail: bool = False,
        new_log: bool = False,
    ) -> None: ...
    def on_log(self, own_last_lsn: int, own_last_epoch: int) -> None: ...
    def on_peer(
        self, role: int, epoch: int, last_epoch: int, last_lsn: int, now: int, *, log_in_doubt: bool = False
    ) -> None: ...
    def on_tripwire(self, connected: bool, now: int) -> None: ...
    def on_standby(self, joined: bool, acked_lsn: int, now: int) -> None: ...
    def on_handover(self, new_epoch: int, now: int) -> None: ...
    def on_whole_log(self, now: int) -> None: ...
    def on_register(self, request_id: int, outcome: int, value: tuple[int, int, int, int] | None, now: int) -> None: ...
    def command(self, command: int, now: int) -> CommandStatus: ...
    def on_timer(self, now: int) -> None: ...
    def take_request(self) -> Request | None: ...
    @property
    def deadline(self) -> int: ...
    @property
    def state(self) -> State: ...
    @property
    def release(self) -> Release: ...
    @property
    def epoch(self) -> int: ...
    @property
    def primary(self) -> int: ...
    @property
    def intake(self) -> bool: ...
    @property
    def skip_ahead(self) -> bool: ...
    @property
    def solo_wanted(self) -> bool: ...
    @property
    def tail_suspect(self) -> bool: ...
    @property
    def cause(self) -> Cause: ...
    @property
    def cell(self) -> RegisterValue: ...
    @property
    def peer_alive(self) -> bool: ...
    @property
    def transitions(self) -> int: ...
    @property
    def handovers_given_up(self) -> int: ...
    @property
    def detected_mono_ns(self) -> int: ...
    @property
    def won_mono_ns(self) -> int: ...
