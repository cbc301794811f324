"""Native sessions in memory: two joined by a line that can be cut, and one against messages made by hand."""

from gateway.native.encoder import Template, utc_timestamp
from gateway.native.journal import Journal
from gateway.native.parser import parse
from gateway.native.session import Event, Session

SECOND = 10**9
MONO_NS = 1_000 * SECOND
WALL_NS = 1_700_000_000 * SECOND
HEARTBEAT_S = 30


def small_journal() -> Journal:
    return Journal.memory(segment_bytes=1 << 20, max_records=1 << 13, max_seq=1 << 12)


def make_session(role: str, journal: Journal | None = None, begin_string: str = "FIX.4.4", **options) -> Session:
    ours, theirs = ("GW", "BROKER") if role == "initiator" else ("BROKER", "GW")
    return Session(
        journal if journal is not None else small_journal(),
        role=role,
        begin_string=begin_string,
        sender_comp_id=ours,
        target_comp_id=theirs,
        heartbeat_s=HEARTBEAT_S,
        **options,
    )


def messages_in(stream: bytes) -> list[bytes]:
    """The whole messages of `stream`; it must hold nothing else."""
    messages = []
    while stream:
        found = parse(stream)
        assert found.status == "OK", (found, stream)
        messages.append(stream[: found.consumed])
        stream = stream[found.consumed :]
    return messages


def fields_of(message: bytes) -> dict[int, str]:
    return {tag: value.decode("latin-1") for tag, value in parse(message).fields}


def clordids(events: list[Event]) -> list[str]:
    """ClOrdID (11) of every application message that was delivered."""
    return [fields_of(event.data)[11] for event in events if event.kind == "MESSAGE"]


class Clock:
    """Time that only a test moves."""

    def __init__(self) -> None:
        self.passed_ns = 0

    @property
    def now(self) -> tuple[int, int]:
        return MONO_NS + self.passed_ns, WALL_NS + self.passed_ns

    def move(self, seconds: float) -> None:
        self.passed_ns += int(seconds * SECOND)


class Side:
    """One of two joined sessions, what it has told, and what is on the wire to it."""

    def __init__(self, clock: Clock, role: str, **options) -> None:
        self.clock = clock
        self.role = role
        self.options = options
        self.session = make_session(role, **options)
        self.events: list[Event] = []
        self.incoming = b""

    def collect(self) -> None:
        self.events += self.session.take_events()

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def restart(self) -> None:
        """A new process over the same journal."""
        self.collect()
        self.session = make_session(self.role, self.session.journal, **self.options)

    def order(self, clordid: str, extra: bytes = b"") -> int:
        body = b"11=%s\x01%s" % (clordid.encode(), extra)
        return self.session.send("D", body, *self.clock.now, clordid=clordid.encode())


class Line:
    """An initiator and an acceptor, and the transport between them."""

    def __init__(self, initiator: dict | None = None, acceptor: dict | None = None, **both) -> None:
        self.clock = Clock()
        self.initiator = Side(self.clock, "initiator", **{**both, **(initiator or {})})
        self.acceptor = Side(self.clock, "acceptor", **{**both, **(acceptor or {})})
        self.sides = (self.initiator, self.acceptor)
        self.up = False

    def connect(self) -> None:
        self.up = True
        for side in self.sides:
            side.incoming = b""
            side.session.connected(*self.clock.now)

    def cut(self) -> None:
        """The transport is gone, with everything that was on the wire."""
        self.write()
        self.up = False
        for side in self.sides:
            side.incoming = b""
            side.session.disconnected(*self.clock.now)
            side.collect()

    def write(self) -> None:
        for side, other in (self.sides, self.sides[::-1]):
            other.incoming += side.session.output(None, *self.clock.now)

    def read(self, side: Side, size: int | None = None) -> None:
        """`side` reads so many bytes, or all."""
        if side.session.closing:
            return
        data = side.incoming[:size]
        used = side.session.receive(data, *self.clock.now)
        assert 0 <= used <= len(data)
        side.incoming = side.incoming[used:]
        side.collect()

    def pump(self) -> None:
        """Carries everything until the line is quiet; closes it when a side wants to."""
        while self.up:
            self.write()
            if not any(side.incoming for side in self.sides):
                break
            for side in self.sides:
                before = side.incoming
                self.read(side)
                if side.session.closing:
                    side.incoming = b""
                assert side.incoming == b"" or side.incoming != before, "a part of a message is left on a quiet line"
        for side in self.sides:
            side.collect()
        if self.up and any(side.session.closing for side in self.sides):
            self.cut()

    def reconnect(self) -> None:
        if self.up:
            self.cut()
        self.connect()
        self.pump()

    def wait(self, seconds: float) -> None:
        """Time passes, each timer as it falls due."""
        end = self.clock.passed_ns + int(seconds * SECOND)
        self.pump()
        while True:
            due = min((side.session.deadline or 2**63 for side in self.sides), default=2**63) - MONO_NS
            if due > end:
                break
            self.clock.passed_ns = max(due, self.clock.passed_ns)
            for side in self.sides:
                side.session.timer(*self.clock.now)
            self.pump()
        self.clock.passed_ns = end

    def statuses(self) -> tuple[str, str]:
        return self.initiator.session.status, self.acceptor.session.status

    def numbers_agree(self) -> bool:
        a, b = self.initiator.session, self.acceptor.session
        return a.next_out == b.next_in and b.next_out == a.next_in


class Scripted:
    """One session against a counterparty whose every message a test makes by hand."""

    def __init__(self, role: str, begin_string: str = "FIX.4.4", journal: Journal | None = None, **options) -> None:
        self.clock = Clock()
        self.role = role
        self.begin_string = begin_string
        self.session = make_session(role, journal, begin_string, **options)
        ids = b"49=BROKER\x0156=GW\x01" if role == "initiator" else b"49=GW\x0156=BROKER\x01"
        self.template = Template(begin_string.encode(), ids)
        self.seq = 1
        self.sent: list[dict[int, str]] = []
        self.events: list[Event] = []

    def logged_on(self) -> "Scripted":
        """Connects and logs on, with the barrier's TestRequest answered."""
        self.session.connected(*self.clock.now)
        version = b"1137=9\x01" if self.begin_string == "FIXT.1.1" else b""
        self.say("A", b"98=0\x01108=%d\x01%s" % (HEARTBEAT_S, version))
        for message in self.heard():
            if message[35] == "1":
                self.say("0", b"112=%s\x01" % message[112].encode())
        assert self.session.status == "READY"
        self.heard()
        self.events.clear()
        return self

    def message(self, msg_type: str, body: bytes = b"", seq: int | None = None, *, dup: bool = False) -> bytes:
        """Under the next number, or under `seq`, which leaves the next number as it is."""
        if seq is None:
            seq, self.seq = self.seq, self.seq + 1
        stamp = utc_timestamp(self.clock.now[1]) if dup else None
        return self.template.encode(
            msg_type.encode(), seq, self.clock.now[1], body, poss_dup=dup, orig_sending_time=stamp
        )

    def say(self, msg_type: str, body: bytes = b"", seq: int | None = None, *, dup: bool = False) -> None:
        self.feed(self.message(msg_type, body, seq, dup=dup))

    def feed(self, data: bytes) -> None:
        self.session.receive(data, *self.clock.now)
        self.events += self.session.take_events()

    def timer_after(self, seconds: float) -> None:
        self.clock.move(seconds)
        self.session.timer(*self.clock.now)
        self.events += self.session.take_events()

    def heard(self) -> list[dict[int, str]]:
        """What the session has sent since the last call."""
        return [fields_of(message) for message in messages_in(self.session.output(None, *self.clock.now))]

    def heard_types(self) -> list[str]:
        return [message[35] for message in self.heard()]

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]
