"""Incident reports: what happened at a takeover, with the time of each step (DESIGN section 4, point 7).

Pure: notes of the node come in, a report comes out. Times are those of this node's clocks; differences are taken from
the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.native.node import SESSION_EVENT_NAMES, Note
from gateway.native.role import Cause

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


def utc_text(wall_ns: int) -> str:
    """`wall_ns` (ns since the Unix epoch) as ISO 8601 with microseconds."""
    seconds, rest = divmod(wall_ns, NS_PER_S)  # as a float, it would lose the last digit
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // NS_PER_US)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class SessionSteps:
    """Monotonic times (ns) at which one session came back; 0: not yet."""

    name: str
    next_out: int
    next_in: int
    connecting: int = 0
    connected: int = 0
    logged_on: int = 0
    ready: int = 0
    attempts: int = 0
    resent: int = 0
    gap_filled: int = 0
    skipped_from: int = 0


@dataclass(slots=True)
class Incident:
    """One change of primary, seen from the node that became primary."""

    node: str
    epoch: int
    cause: str
    started_mono_ns: int
    started_wall_ns: int
    register_won_mono_ns: int = 0
    promoted_mono_ns: int = 0
    first_order_mono_ns: int = 0
    epoch_lsn: int = 0
    sessions: dict[int, SessionSteps] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every session is ready again."""
        return bool(self.promoted_mono_ns) and all(steps.ready for steps in self.sessions.values())

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-able values; durations in milliseconds since the peer was suspected."""
        start = self.started_mono_ns

        def since(mono_ns: int) -> float | None:
            return round((mono_ns - start) / NS_PER_MS, 3) if mono_ns else None

        return {
            "node": self.node,
            "epoch": self.epoch,
            "cause": self.cause,
            "suspected_at": utc_text(self.started_wall_ns),
            "suspected_wall_ns": self.started_wall_ns,
            "epoch_lsn": self.epoch_lsn,
            "ms_after_suspicion": {
                "register_won": since(self.register_won_mono_ns),
                "promoted": since(self.promoted_mono_ns),
                "first_order": since(self.first_order_mono_ns),
            },
            "sessions": [
                {
                    "name": steps.name,
                    "next_out_at_takeover": steps.next_out,
                    "next_in_at_takeover": steps.next_in,
                    "connection_attempts": steps.attempts,
                    "messages_resent": steps.resent,
                    "messages_gap_filled": steps.gap_filled,
                    "skipped_from": steps.skipped_from or None,
                    "ms_after_suspicion": {
                        "connecting": since(steps.connecting),
                        "connected": since(steps.connected),
                        "logged_on": since(steps.logged_on),
                        "ready": since(steps.ready),
                    },
                }
                for steps in self.sessions.values()
            ],
        }

    def as_text(self) -> str:
        """The report for a person."""
        report = self.as_dict()
        steps = report["ms_after_suspicion"]
        lines = [
            f"Node {self.node} became primary of epoch {self.epoch} (cause: {self.cause.lower().replace('_', ' ')})",
            f"  peer suspected        {report['suspected_at']}",
            f"  register won          {_after(steps['register_won'])}",
            f"  promoted              {_after(steps['promoted'])}",
        ]
        for session in report["sessions"]:
            times = session["ms_after_suspicion"]
            lines += [
                f"  session {session['name']}: next MsgSeqNum out {session['next_out_at_takeover']}, "
                f"in {session['next_in_at_takeover']}",
                f"    connected           {_after(times['connected'])} ({session['connection_attempts']} attempts)",
                f"    logged on           {_after(times['logged_on'])}",
                f"    ready for orders    {_after(times['ready'])}, {session['messages_resent']} messages sent again, "
                f"{session['messages_gap_filled']} gap-filled",
            ]
        lines.append(f"  first new order       {_after(steps['first_order'])}")
        return "\n".join(lines) + "\n"


class IncidentRecorder:
    """Turns the node's notes into incidents; `session_names` in the order of the configuration."""

    def __init__(self, node: str, session_names: list[str]) -> None:
        self._node = node
        self._session_names = session_names
        self._suspected: tuple[int, int] | None = None
        self._won: int = 0
        self._cause = "NONE"
        self.current: Incident | None = None

    def take(self, note: Note, numbers: list[tuple[int, int]]) -> Incident | None:
        """Takes one note. `numbers`: with `promoted`, (next_out, next_in) per session. The incident, if it changed."""
        if note.code == "role":
            self._cause = Cause(note.c & 0xFF).name
        elif note.code == "suspected":
            self._suspected = (note.mono_ns, note.wall_ns)
        elif note.code == "register_won":
            self._won = note.mono_ns
        elif note.code == "promoted":
            return self._open(note, numbers)
        elif self.current is not None:
            return self._follow(note)
        return None

    def _open(self, note: Note, numbers: list[tuple[int, int]]) -> Incident:
        mono_ns, wall_ns = self._suspected or (note.mono_ns, note.wall_ns)
        self.current = Incident(
            self._node,
            note.c,
            self._cause,
            mono_ns,
            wall_ns,
            self._won,
            note.mono_ns,
            epoch_lsn=note.b,
            sessions={index: SessionSteps(name, *numbers[index]) for index, name in enumerate(self._session_names)},
        )
        self._suspected = None
        self._won = 0
        return self.current

    def _follow(self, note: Note) -> Incident | None:
        incident = self.current
        assert incident is not None
        steps = incident.sessions.get(note.session)
        if note.code == "first_order" and not incident.first_order_mono_ns:
            incident.first_order_mono_ns = note.mono_ns
            return incident
        if steps is None or steps.ready:
            return None
        if note.code == "connecting":
            steps.connecting = steps.connecting or note.mono_ns
            steps.attempts += 1
        elif note.code == "connected":
            steps.connected = note.mono_ns
        elif note.code == "skipped_ahead":
            steps.skipped_from = note.b
        elif note.code == "session":
            event = SESSION_EVENT_NAMES[note.a]
            if event == "LOGGED_ON":
                steps.logged_on = note.mono_ns
            elif event == "READY":
                steps.ready = note.mono_ns
                steps.resent, steps.gap_filled = note.b, note.c
                return incident if incident.complete else None
        return None


def _after(milliseconds: float | None) -> str:
    return "not yet" if milliseconds is None else f"+{milliseconds:.3f} ms"
