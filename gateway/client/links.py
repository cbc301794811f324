"""The connection to one node, as a small state machine: when to connect again, to ping, to give up. No I/O, no clock.

Times are monotonic nanoseconds, given by the caller. Knows nothing of orders and messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gateway.native import clientwire as wire

MS = 1_000_000
BACKOFF_START_NS = 1 * MS  # first wait before a reconnection; doubles each time
BACKOFF_MAX_NS = 200 * MS
REFUSED_RETRY_NS = 1000 * MS  # a node that refused the login is asked again so often, while another may still take us
STABLE_AFTER_NS = 200 * MS  # a login that lasted this long makes the next back-off start small again
CONNECT_TIMEOUT_NS = 1000 * MS
LOGIN_TIMEOUT_NS = 2000 * MS
PING_INTERVAL_NS = 1000 * MS
SILENCE_LIMIT_NS = 3500 * MS  # nothing read for so long in spite of pings: the connection is dead
POSITIONS_INTERVAL_NS = 1000 * MS  # standbys are told what was read, so that a takeover repeats little
NEVER = 2**63 - 1


class Phase(Enum):
    """Of the connection to one node."""

    WAITING = "waiting"  # to connect again
    CONNECTING = "connecting"
    LOGIN_SENT = "login sent"
    STANDBY = "standby"  # logged in; it will say WELCOME when it becomes primary
    PRIMARY = "primary"  # the one that is followed
    OUTRANKED = "outranked"  # says that it is primary, but a later epoch was seen
    CLOSING = "closing"  # the owner was asked to close it


LOGGED_IN = frozenset({Phase.STANDBY, Phase.PRIMARY, Phase.OUTRANKED})


class WishKind(Enum):
    """What the owner is asked to do with a connection."""

    CONNECT = "connect"
    CLOSE = "close"


@dataclass(slots=True, frozen=True)
class Wish:
    """One request to the owner."""

    kind: WishKind
    node: int


@dataclass(slots=True)
class Link:
    """State of the connection to one node."""

    index: int
    address: str
    phase: Phase = Phase.WAITING
    retry_ns: int = 0
    backoff_ns: int = BACKOFF_START_NS
    deadline_ns: int = NEVER  # of connecting, or of the login's answer
    logged_in_ns: int = 0  # 0: not logged in
    heard_ns: int = 0
    next_ping_ns: int = NEVER
    next_positions_ns: int = NEVER
    epoch: int = 0
    refusal: str = ""  # of the login
    trouble: str = ""  # the last thing that went wrong, for people
    rest: bytes = b""  # beginning of a frame whose end is still to come
    output: list[bytes] = field(default_factory=list)

    def connect_due(self, now_ns: int) -> bool:
        """True once when it is time to connect; the phase is CONNECTING then."""
        if self.phase is not Phase.WAITING or now_ns < self.retry_ns:
            return False
        self.phase = Phase.CONNECTING
        self.deadline_ns = now_ns + CONNECT_TIMEOUT_NS
        return True

    def connected(self, now_ns: int, login: bytes) -> None:
        """The transport is up; `login` is the first thing to say."""
        assert self.phase is Phase.CONNECTING, self.phase
        self.phase = Phase.LOGIN_SENT
        self.deadline_ns = now_ns + LOGIN_TIMEOUT_NS
        self.heard_ns = now_ns
        self.rest = b""
        self.output = [login]

    def logged_in(self, now_ns: int) -> None:
        """The node answered the LOGIN (or said something later that a LOGIN's answer would say)."""
        if self.phase is Phase.LOGIN_SENT:
            self.logged_in_ns = now_ns
            self.deadline_ns = NEVER
            self.next_ping_ns = now_ns + PING_INTERVAL_NS
            self.next_positions_ns = now_ns + POSITIONS_INTERVAL_NS
            self.refusal = self.trouble = ""

    def disconnected(self, now_ns: int, why: str, jitter: float) -> None:
        """The transport is gone. `jitter` in [0, 1) keeps many clients from coming back at once."""
        if self.logged_in_ns and now_ns - self.logged_in_ns >= STABLE_AFTER_NS:
            self.backoff_ns = BACKOFF_START_NS
        self.logged_in_ns = 0
        if self.phase is not Phase.CLOSING:
            self.trouble = why
        wait = REFUSED_RETRY_NS if self.refusal else self.backoff_ns
        self.phase = Phase.WAITING
        self.retry_ns = now_ns + wait + int(jitter * wait / 2)
        self.backoff_ns = min(self.backoff_ns * 2, BACKOFF_MAX_NS)
        self.deadline_ns = self.next_ping_ns = self.next_positions_ns = NEVER
        self.output = []
        self.rest = b""

    def hurry(self, now_ns: int) -> None:
        """The primary is gone and this node may be the next: what it did so far is no reason to wait."""
        if self.phase is Phase.WAITING and not self.refusal:
            self.retry_ns = now_ns
            self.backoff_ns = BACKOFF_START_NS

    def condemned(self, why: str) -> None:
        """To be closed by the owner; nothing more is said or taken."""
        self.trouble = why
        self.phase = Phase.CLOSING
        self.deadline_ns = NEVER
        self.output = []

    def complaint(self, now_ns: int, listening: bool) -> str:
        """Why the connection must be given up now; empty if it need not."""
        if now_ns >= self.deadline_ns:
            what = "connection attempt" if self.phase is Phase.CONNECTING else "login"
            return f"{what} was not answered in time"
        if self.phase not in LOGGED_IN:
            return ""
        if not listening:
            self.heard_ns = now_ns  # silence says nothing while we do not listen
        silent_ns = now_ns - self.heard_ns
        return f"silent for {silent_ns / 1e9:.1f} s" if silent_ns >= SILENCE_LIMIT_NS else ""

    def keep_alive(self, now_ns: int) -> None:
        """Pings when it is time to."""
        if self.phase in LOGGED_IN and now_ns >= self.next_ping_ns:
            self.output.append(wire.ping(now_ns))
            self.next_ping_ns = now_ns + PING_INTERVAL_NS

    def positions_due(self, now_ns: int) -> bool:
        """True when a standby should be told what was read."""
        if self.phase not in LOGGED_IN or now_ns < self.next_positions_ns:
            return False
        self.next_positions_ns = now_ns + POSITIONS_INTERVAL_NS
        return self.phase is Phase.STANDBY

    def next_deadline(self) -> int:
        """When something is due at the latest."""
        if self.phase is Phase.WAITING:
            return self.retry_ns
        if self.phase in LOGGED_IN:
            return min(self.next_ping_ns, self.heard_ns + SILENCE_LIMIT_NS, self.next_positions_ns)
        return self.deadline_ns
