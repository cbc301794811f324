"""Which session a Logon belongs to. Pure: no I/O, no time.

A session is found by BeginString and CompIDs; SubIDs and LocationIDs count where it has them. Of several, the one that
says most wins; if two say as much, the Logon is refused, since a guess could give one client's orders to another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key")

BEGIN_STRING = 8
SENDER, SENDER_SUB, SENDER_LOCATION = 49, 50, 142
TARGET, TARGET_SUB, TARGET_LOCATION = 56, 57, 143
OPTIONAL = ("sender_sub_id", "sender_location_id", "target_sub_id", "target_location_id")


class Refusal(StrEnum):
    """Why a connection was not given to a session; the values are labels of a counter."""

    SOURCE = "source_not_allowed"
    FULL = "too_many_connections"
    SOURCE_FULL = "too_many_connections_of_source"
    CROWDED_OUT = "crowded_out_by_newer"
    TLS = "tls_handshake_failed"
    TOO_LATE = "no_logon_in_time"
    TOO_LARGE = "first_message_too_large"
    GARBLED = "not_fix"
    NOT_LOGON = "first_message_not_logon"
    CLOSED = "closed_before_logon"
    UNKNOWN = "unknown_session"
    AMBIGUOUS = "ambiguous_session"
    CERTIFICATE = "wrong_client_certificate"
    TEMPLATE_FULL = "template_limit"
    DOOR_CLOSED = "door_closed"
    NOT_WELCOME = "session_refused"
    FAULT = "fault"


class Identity(NamedTuple):
    """A session from our side: the sender is us."""

    begin_string: str
    sender_comp_id: str
    target_comp_id: str
    sender_sub_id: str = ""
    sender_location_id: str = ""
    target_sub_id: str = ""
    target_location_id: str = ""

    @classmethod
    def of_logon(cls, values: Mapping[int, bytes]) -> Identity:
        """Of a message that came in: its sender is our target."""

        def text(tag: int) -> str:
            return values.get(tag, b"").decode("latin-1")

        return cls(
            text(BEGIN_STRING),
            text(TARGET),
            text(SENDER),
            text(TARGET_SUB),
            text(TARGET_LOCATION),
            text(SENDER_SUB),
            text(SENDER_LOCATION),
        )

    @property
    def basis(self) -> tuple[str, str, str]:
        """What every session has."""
        return self[:3]

    def __str__(self) -> str:
        return ":".join(part for part in self if part)


@dataclass(slots=True)
class Template(Generic[Key]):
    """Sessions that are made when somebody logs on to them. They stay, with their numbers."""

    begin_string: str
    sender_comp_id: str
    target_comp_id: str  # a pattern, as of file names: CLIENT*
    limit: int
    make: Callable[[Identity], Key]
    made: int = field(default=0, init=False)

    def fits(self, identity: Identity) -> bool:
        """Whether a session for it could be made."""
        return (
            (self.begin_string, self.sender_comp_id) == identity[:2]
            and bool(identity.target_comp_id)
            and fnmatchcase(identity.target_comp_id, self.target_comp_id)
        )


class _Entry(NamedTuple, Generic[Key]):
    identity: Identity
    key: Key
    certificate: str | None

    def fit(self, identity: Identity) -> int | None:
        """How many of the optional IDs agree; None: one does not."""
        found = 0
        for name in OPTIONAL:
            wanted = getattr(self.identity, name)
            if wanted and wanted != getattr(identity, name):
                return None
            found += bool(wanted)
        return found


class Directory(Generic[Key]):
    """All sessions of an acceptor."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str, str], list[_Entry[Key]]] = {}
        self._templates: list[Template[Key]] = []

    def add(self, identity: Identity, key: Key, certificate: str | None = None) -> None:
        """A session; what its identity leaves empty may be anything. `certificate`: a name that the client's must
        have."""
        self._entries.setdefault(identity.basis, []).append(_Entry(identity, key, certificate))

    def add_template(self, template: Template[Key]) -> None:
        """Sessions to be made. The first template that fits is taken."""
        self._templates.append(template)

    def find(self, identity: Identity, certificate_names: frozenset[str] = frozenset()) -> Key | Refusal:
        """The session of a Logon."""
        entries = self._entries.get(identity.basis)
        if entries is None:
            return self._make(identity)
        fits = [(fit, entry) for entry in entries if (fit := entry.fit(identity)) is not None]
        if not fits:
            return Refusal.UNKNOWN
        best = max(fit for fit, _ in fits)
        found = [entry for fit, entry in fits if fit == best]
        if len(found) > 1:
            return Refusal.AMBIGUOUS
        if found[0].certificate is not None and found[0].certificate not in certificate_names:
            return Refusal.CERTIFICATE
        return found[0].key

    def _make(self, identity: Identity) -> Key | Refusal:
        template = next((template for template in self._templates if template.fits(identity)), None)
        if template is None:
            return Refusal.UNKNOWN
        if template.made >= template.limit:
            return Refusal.TEMPLATE_FULL
        template.made += 1
        own = Identity(*identity.basis)
        key = template.make(own)
        self.add(own, key)
        return key
