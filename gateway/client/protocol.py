"""The client's side of the client protocol, without I/O: bytes and time in, bytes, wishes and events out.

`ClientCore` holds what `sync.Client` and `aio.AsyncClient` share: which node is followed, what was read of each
session, what is pending. It never reads a clock, never touches a socket, and is not thread-safe: its owner calls it
from one thread at a time.

The owner, after each call: carries out `take_wishes()`, writes `take_output(node)` for each node, reads from a node
only while `wants_to_read(node)`, and calls `tick` at `deadline()` at the latest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from gateway.client.errors import BackPressure, InvalidRequest, LoginRefused, NotConnected, UnknownSession
from gateway.client.events import (
    Connected,
    Disconnected,
    Event,
    Fate,
    Message,
    NodeComplaint,
    Refused,
    SessionState,
)
from gateway.client.links import Link, Phase, Wish, WishKind
from gateway.client.submission import CheckpointFetch, CheckpointStore, Handle, Outcome, Submission
from gateway.native import clientwire as wire

DEFAULT_MAX_PENDING = 65_536  # submissions without outcome
DEFAULT_MAX_EVENTS = 65_536  # events that wait for the strategy; the last read may exceed it by what one read holds
MAX_SESSIONS_FROM_NOW = 128  # of a pair; named in a LOGIN that wants nothing old

# Messages whose ClOrdID (11) names something new: these the gateway answers, and never sends twice.
PROMISED_MSG_TYPES = frozenset({"D", "F", "G", "q", "s", "t", "u", "AB", "AC"})


@dataclass(slots=True)
class Counters:
    """Whatever is dropped or repeated is counted here."""

    messages: int = 0
    duplicates: int = 0  # messages at or below the position
    resubmitted: int = 0  # submissions handed in again
    stray_answers: int = 0  # about something that is not pending (a repeat's second answer)
    connects: int = 0
    takeovers: int = 0  # changes of the followed epoch
    malformed: int = 0  # frames that made us drop a connection
    ignored: int = 0  # frames of a node that is outranked


class ClientCore:
    """The protocol core of one client. See the module's docstring for what its owner must do.

    `addresses` name the nodes (for people; the owner connects). `positions` is session index -> (generation,
    MsgSeqNum) of the last message that was read. `from_now` asks for nothing older than the first WELCOME.
    `jitter` gives numbers in [0, 1). Times are monotonic nanoseconds.
    """

    def __init__(
        self,
        name: str,
        token: bytes,
        addresses: Sequence[str],
        *,
        positions: Mapping[int, tuple[int, int]] | None = None,
        session_names: Mapping[int, str] | None = None,
        from_now: bool = False,
        max_pending: int = DEFAULT_MAX_PENDING,
        max_events: int = DEFAULT_MAX_EVENTS,
        jitter: Callable[[], float] = lambda: 0.0,
        id_prefix: str = "",
        submission_type: type[Submission] = Submission,
        store_type: type[CheckpointStore] = CheckpointStore,
        fetch_type: type[CheckpointFetch] = CheckpointFetch,
    ) -> None:
        if not addresses:
            raise InvalidRequest("no node is named: give host:port of each node of the pair")
        if max_pending < 1 or max_events < 1:
            raise InvalidRequest("max_pending and max_events must be at least 1")
        self.name = name
        self.links = [Link(index, address) for index, address in enumerate(addresses)]
        self.active: Link | None = None
        self.epoch = 0  # the highest that a WELCOME named
        self.positions: dict[int, tuple[int, int]] = dict(positions or {})
        self.sessions: dict[int, str] = dict(session_names or {})  # index -> name
        self.events: deque[Event] = deque()
        self.counters = Counters()
        self.failure: LoginRefused | None = None
        self.closed = False
        self.forked = False  # closed since this process is a fork of the client's
        self._token = token
        self._from_now = from_now
        self._max_pending = max_pending
        self._max_events = max_events
        self._jitter = jitter
        self._id_prefix = id_prefix or f"{name}-"
        self._id_counter = 0
        self._submission_type = submission_type
        self._store_type = store_type
        self._fetch_type = fetch_type
        self._indices = {name: index for index, name in self.sessions.items()}
        self._welcomed = False
        self._pending: dict[str, Submission] = {}
        self._unpromised: list[Submission] = []  # to be handed over once, when a primary is there
        self._stores: dict[bytes, deque[CheckpointStore]] = {}
        self._fetches: dict[bytes, deque[CheckpointFetch]] = {}
        self._wishes: list[Wish] = []
        self._handlers: dict[type[Any], Callable[[Link, Any, int], None]] = {
            wire.Welcome: self._on_welcome,
            wire.Standby: self._on_standby,
            wire.NodeError: self._on_error,
            wire.Pong: self._on_pong,
            wire.Rejected: self._on_rejected,
            wire.Held: self._on_held,
            wire.OrderState: self._on_order_state,
            wire.Fate: self._on_fate,
            wire.SessionChange: self._on_session,
            wire.CheckpointStored: self._on_stored,
            wire.CheckpointValue: self._on_value,
        }
        try:
            wire.login(name, token)  # complains now about a name that no LOGIN can carry
        except wire.FrameError as error:
            raise InvalidRequest(str(error)) from None
        if not name:
            raise InvalidRequest("no client is named: give its name in the gateway's configuration")

    def __repr__(self) -> str:
        """Without the token."""
        return f"<{type(self).__name__} {self.name!r} {self.describe()}>"

    # --- inputs: time and connections ---------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Does what is due: reconnections, time-outs, pings."""
        if self.closed:
            return
        for link in self.links:
            if link.connect_due(now_ns):
                self._wishes.append(Wish(WishKind.CONNECT, link.index))
                continue
            complaint = link.complaint(now_ns, self.wants_to_read(link.index))
            if complaint:
                self._condemn(link, complaint)
                continue
            link.keep_alive(now_ns)
            if link.positions_due(now_ns):
                link.output.append(wire.positions(self._login_positions()))

    def deadline(self) -> int:
        """When `tick` must be called at the latest, in nanoseconds of the monotonic clock."""
        return min(link.next_deadline() for link in self.links)

    def on_connected(self, node: int, now_ns: int) -> None:
        """The owner's connection to the node is up: log in."""
        self.links[node].connected(now_ns, wire.login(self.name, self._token, self._login_positions()))
        self.counters.connects += 1

    def on_disconnected(self, node: int, now_ns: int, why: str) -> None:
        """The connection is gone, or could not be made."""
        link = self.links[node]
        if link.phase is Phase.PRIMARY:
            for other in self.links:
                other.hurry(now_ns)
        self._leave(link, why)
        link.disconnected(now_ns, why, self._jitter())

    def on_bytes(self, node: int, data: bytes | bytearray | memoryview, now_ns: int) -> None:
        """Bytes were read from the node. `data` is not kept."""
        link = self.links[node]
        if link.phase in (Phase.CLOSING, Phase.WAITING):
            return  # what a condemned connection still says is told again by the next one
        link.heard_ns = now_ns
        buffer = link.rest + data if link.rest else data
        at = 0
        try:
            while True:
                frames, used = wire.decode(buffer, at)
                if not frames:
                    break
                at += used
                self._take_frames(link, frames, now_ns)
                if link.phase in (Phase.CLOSING, Phase.WAITING):
                    return
        except wire.FrameError as error:
            self._condemn(link, f"malformed frame: {error}")
            self.counters.malformed += 1
            return
        link.rest = bytes(buffer[at:]) if at < len(buffer) else b""

    # --- inputs: the strategy -----------------------------------------------------------------------------------------

    def submit(
        self,
        session: str | int,
        msg_type: str,
        fields: bytes,
        cl_ord_id: str | None = None,
        *,
        again: bool = False,
        now_ns: int = 0,
    ) -> Submission:
        """Hands in one message; see `Client.submit`. `now_ns` (CLOCK_MONOTONIC) is for the node's stage histograms.

        Raises InvalidRequest, UnknownSession, NotConnected (names of sessions are not known before the first
        WELCOME), BackPressure.
        """
        index = session if isinstance(session, int) else self.session_index(session)
        within: str | None = wire.find_cl_ord_id(fields)
        if within is not None and cl_ord_id not in (None, within):
            raise InvalidRequest(f"ClOrdID (11) is {within!r} in the fields, but {cl_ord_id!r} was given beside them")
        identifier = within or cl_ord_id or self.next_cl_ord_id()
        try:
            frame = wire.submit(index, msg_type, "" if within else identifier, fields)
        except (wire.FrameError, OverflowError) as error:
            raise InvalidRequest(str(error)) from None
        if self._pending and identifier in self._pending:
            return self._same_again(identifier, frame)
        if again:
            frame = wire.submit_again(frame)
        if self.full:
            raise BackPressure(f"{len(self._pending)} submissions are without an outcome: wait for some of them")
        submission = self._submission_type(self.sessions.get(index, str(index)), msg_type, identifier, frame)
        promised = msg_type in PROMISED_MSG_TYPES
        if promised:
            self._pending[identifier] = submission
        if self.active is not None:
            self.active.output.append(frame if again else wire.stamped(frame, self.active.epoch, now_ns))
            submission._handed_in = True
            if not promised:
                submission._decide(Outcome.SENT)
        elif not promised:
            self._unpromised.append(submission)
        return submission

    def store(self, key: bytes, value: bytes) -> CheckpointStore:
        """Puts a checkpoint into the pair's log."""
        try:
            handle = self._store_type(key, wire.checkpoint(_checked_key(key), value))
        except wire.FrameError as error:
            raise InvalidRequest(str(error)) from None
        self._stores.setdefault(key, deque()).append(handle)
        if self.active is not None:
            self.active.output.append(handle._frame)
        return handle

    def fetch(self, key: bytes) -> CheckpointFetch:
        """Asks for a checkpoint."""
        try:
            handle = self._fetch_type(key, wire.fetch(_checked_key(key)))
        except wire.FrameError as error:
            raise InvalidRequest(str(error)) from None
        self._fetches.setdefault(key, deque()).append(handle)
        if self.active is not None:
            self.active.output.append(handle._frame)
        return handle

    def close(self, error: Exception) -> None:
        """Gives up: handles without an answer get `error`, which decides nothing about the orders behind them."""
        self.closed = True
        self.active = None
        handles = self._handles()
        for queues in (self._stores, self._fetches):
            queues.clear()
        self._pending.clear()
        self._unpromised.clear()
        for handle in handles:
            handle._give_up(error)

    def leave(self, error: Exception) -> None:
        """Closes without a word to anybody: in a forked process, where all of this is the parent's."""
        for handle in self._handles():
            handle._callbacks = None
        self.forked = True
        self.events.clear()
        self.close(error)

    # --- outputs ------------------------------------------------------------------------------------------------------

    def take_wishes(self) -> list[Wish]:
        """What the owner shall do with its connections, in this order."""
        wishes, self._wishes = self._wishes, []
        return wishes

    def take_output(self, node: int) -> bytes:
        """Bytes to write to the node; b"" if there is nothing."""
        output = self.links[node].output
        if not output:
            return b""
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return data

    def wants_to_read(self, node: int) -> bool:
        """False while the strategy does not take its events: the node's journal is the queue."""
        return self.links[node] is not self.active or len(self.events) < self._max_events

    @property
    def resume_at(self) -> int:
        """So few events must be left before reading goes on, so that it does not stop and go with each one."""
        return self._max_events // 2

    @property
    def full(self) -> bool:
        """Whether another submission would exceed `max_pending`."""
        return len(self._pending) + len(self._unpromised) >= self._max_pending

    @property
    def pending(self) -> int:
        """Submissions without a final outcome."""
        return len(self._pending) + len(self._unpromised)

    def session_index(self, name: str) -> int:
        """Index of a session in the pair's configuration."""
        index = self._indices.get(name)
        if index is None:
            if not self._welcomed:
                raise NotConnected(f"session {name!r} cannot be looked up before a primary answered: {self.describe()}")
            known = ", ".join(sorted(self._indices)) or "none"
            raise UnknownSession(f"session {name!r} is not one of this client's: {known}")
        return index

    def next_cl_ord_id(self) -> str:
        """A ClOrdID that was not used before."""
        self._id_counter += 1
        return f"{self._id_prefix}{self._id_counter}"

    def describe(self) -> str:
        """State of each connection in words, for errors and logs."""
        if self.closed:
            return "closed"
        return "; ".join(
            f"{link.address} {link.phase.value}" + (f" ({link.trouble})" if link.trouble else "") for link in self.links
        )

    # --- helpers: connections -----------------------------------------------------------------------------------------

    def _condemn(self, link: Link, why: str) -> None:
        self._leave(link, why)
        link.condemned(why)
        self._wishes.append(Wish(WishKind.CLOSE, link.index))

    def _leave(self, link: Link, why: str) -> None:
        if self.active is link:
            self.active = None
            self.events.append(Disconnected(link.address, why))

    def _login_positions(self) -> list[tuple[int, int, int]]:
        places = [(session, generation, seq) for session, (generation, seq) in self.positions.items()]
        if self._from_now:
            named = set(self.positions)
            places += [(i, 0, wire.FROM_NOW) for i in range(MAX_SESSIONS_FROM_NOW) if i not in named]
        return places

    def _handles(self) -> list[Handle]:
        """Everything without an answer."""
        handles: list[Handle] = [*self._pending.values(), *self._unpromised]
        for queues in (self._stores, self._fetches):
            handles += [handle for queue in queues.values() for handle in queue]
        return handles

    # --- helpers: frames ----------------------------------------------------------------------------------------------

    def _take_frames(self, link: Link, frames: list[wire.Frame], now_ns: int) -> None:
        for frame in frames:
            if link is self.active:
                if isinstance(frame, wire.Message):
                    self._on_message(frame)
                    continue
                if isinstance(frame, wire.Accepted):
                    self._on_accepted(frame)
                    continue
            self._take_other(link, frame, now_ns)
            if link.phase is Phase.CLOSING:
                return

    def _take_other(self, link: Link, frame: wire.Frame, now_ns: int) -> None:
        handler = self._handlers.get(type(frame))
        if isinstance(frame, wire.Welcome | wire.Standby | wire.NodeError | wire.Pong):
            assert handler is not None
            handler(link, frame, now_ns)
        elif link.phase is Phase.OUTRANKED:
            self.counters.ignored += 1
        elif handler is not None and link is self.active:
            handler(link, frame, now_ns)
        else:
            self.counters.malformed += 1
            self._condemn(link, f"{wire.FrameType(frame.type).name} is not expected in phase {link.phase.value!r}")

    def _on_welcome(self, link: Link, frame: wire.Welcome, now_ns: int) -> None:
        link.logged_in(now_ns)
        link.epoch = frame.epoch
        rival = self.active
        if frame.epoch < self.epoch or (rival is not None and rival is not link and frame.epoch <= rival.epoch):
            if rival is link:
                self._leave(link, "outranked")
            link.phase = Phase.OUTRANKED
            link.trouble = f"claims epoch {frame.epoch}, but epoch {self.epoch} was seen"
            return
        if self._adopt_sessions(frame.sessions):
            self._condemn(link, "the gateway numbers its sessions differently now: positions are named again")
            return
        if rival is not None and rival is not link:
            self._leave(rival, f"{link.address} is primary in epoch {frame.epoch}")
            rival.phase = Phase.OUTRANKED
            rival.trouble = f"outranked by epoch {frame.epoch}"
        if frame.epoch != self.epoch and self._welcomed:
            self.counters.takeovers += 1
        self.epoch = frame.epoch
        self._welcomed = True
        link.phase = Phase.PRIMARY
        self.active = link
        self.events.append(Connected(frame.node, link.address, frame.epoch, self._session_states(frame.sessions)))
        self._hand_in_again(link)

    def _adopt_sessions(self, infos: list[wire.SessionInfo]) -> bool:
        """Takes the names; True if positions belong to other indices now, so that the LOGIN named wrong ones."""
        names = {info.session: info.name for info in infos}
        moved = any(self.sessions.get(index, name) != name for index, name in names.items())
        if moved:
            by_name = {self.sessions[index]: place for index, place in self.positions.items() if index in self.sessions}
            self.positions = {index: by_name[name] for index, name in names.items() if name in by_name}
        self.sessions = names
        self._indices = {name: index for index, name in names.items()}
        if not moved and self._from_now:
            for info in infos:
                if info.session not in self.positions and info.next_in:
                    self.positions[info.session] = (info.generation, info.next_in - 1)
        return moved

    def _session_states(self, infos: list[wire.SessionInfo]) -> tuple[SessionState, ...]:
        return tuple(SessionState(i.name, i.generation, _as(wire.SessionStatus, i.state), i.next_out) for i in infos)

    def _hand_in_again(self, link: Link) -> None:
        """Everything without an answer, in the original order: the node knows what it has already."""
        for submission in self._pending.values():
            if submission._handed_in:
                self.counters.resubmitted += 1
                link.output.append(wire.submit_again(submission._frame))
            else:
                submission._handed_in = True
                link.output.append(wire.stamped(submission._frame, link.epoch, 0))
        unpromised, self._unpromised = self._unpromised, []
        link.output += [submission._frame for submission in unpromised]
        link.output += [store._frame for queue in self._stores.values() for store in queue]
        link.output += [fetch._frame for questions in self._fetches.values() for fetch in questions]
        for submission in unpromised:
            submission._decide(Outcome.SENT)

    def _on_standby(self, link: Link, frame: wire.Standby, now_ns: int) -> None:
        link.logged_in(now_ns)
        self._leave(link, "became standby")
        link.phase = Phase.STANDBY

    def _on_error(self, link: Link, frame: wire.NodeError, now_ns: int) -> None:
        code = _as(wire.ErrorCode, frame.code)
        self.events.append(NodeComplaint(link.address, code, frame.text))
        if code in (wire.ErrorCode.LOGIN, wire.ErrorCode.VERSION):
            link.refusal = frame.text
        self._condemn(link, f"node: {frame.text}")
        if all(each.refusal for each in self.links):
            refusals = "; ".join(f"{each.address}: {each.refusal}" for each in self.links)
            self.failure = LoginRefused(f"every node refuses client {self.name!r}: {refusals}")

    def _on_pong(self, link: Link, frame: wire.Pong, now_ns: int) -> None:
        pass  # that it was heard is noted for every frame

    def _on_message(self, frame: wire.Message) -> None:
        session = frame.session
        place = (frame.generation, frame.seq)
        known = self.positions.get(session)
        if known is not None and place <= known:
            self.counters.duplicates += 1
            return
        self.positions[session] = place
        self.counters.messages += 1
        name = self.sessions.get(session) or str(session)
        self.events.append(Message(name, frame.generation, frame.seq, frame.poss_dup, frame.raw, session))

    def _on_accepted(self, frame: wire.Accepted) -> None:
        submission = self._pending.pop(frame.cl_ord_id, None)
        if submission is None:
            self.counters.stray_answers += 1
            return
        submission.seq = frame.seq
        submission.generation = frame.generation
        submission._decide(Outcome.ACCEPTED)

    def _on_rejected(self, link: Link, frame: wire.Rejected, now_ns: int) -> None:
        submission = self._pending.pop(frame.cl_ord_id, None)
        reason = _as(wire.RejectReason, frame.reason)
        if submission is None:
            session = self.sessions.get(frame.session, str(frame.session))
            self.counters.stray_answers += 1
            self.events.append(Refused(session, frame.cl_ord_id, reason, frame.text))
            return
        submission.reason = reason
        submission.text = frame.text
        submission._decide(Outcome.REJECTED)

    def _on_held(self, link: Link, frame: wire.Held, now_ns: int) -> None:
        submission = self._pending.get(frame.cl_ord_id)
        if submission is None:
            self.counters.stray_answers += 1
        else:
            submission._decide(Outcome.HELD)

    def _on_order_state(self, link: Link, frame: wire.OrderState, now_ns: int) -> None:
        submission = self._pending.pop(frame.cl_ord_id, None)
        if submission is None:
            self.counters.stray_answers += 1
            return
        status = _as(wire.OrderStatus, frame.state)
        submission.order_status = status
        submission.seq = frame.seq
        submission.generation = frame.generation
        if status == wire.OrderStatus.REFUSED:
            submission.reason = _as(wire.RejectReason, frame.reason)
            submission._decide(Outcome.REJECTED)
        else:
            submission._decide(Outcome.UNKNOWN if status == wire.OrderStatus.UNKNOWN else Outcome.ACCEPTED)

    def _on_fate(self, link: Link, frame: wire.Fate, now_ns: int) -> None:
        session = self.sessions.get(frame.session, str(frame.session))
        kind = _as(wire.FateKind, frame.kind)
        self.events.append(Fate(session, frame.generation, frame.seq, kind, frame.cl_ord_id))

    def _on_session(self, link: Link, frame: wire.SessionChange, now_ns: int) -> None:
        session = self.sessions.get(frame.session, str(frame.session))
        status = _as(wire.SessionStatus, frame.state)
        self.events.append(SessionState(session, frame.generation, status, frame.next_out))

    def _on_stored(self, link: Link, frame: wire.CheckpointStored, now_ns: int) -> None:
        store = _pop_first(self._stores, frame.key)
        if store is None:
            self.counters.stray_answers += 1
        else:
            store._finish()

    def _on_value(self, link: Link, frame: wire.CheckpointValue, now_ns: int) -> None:
        fetch = _pop_first(self._fetches, frame.key)
        if fetch is None:
            self.counters.stray_answers += 1
        else:
            fetch.value = frame.value
            fetch._finish()

    def _same_again(self, identifier: str, frame: bytes) -> Submission:
        known = self._pending[identifier]
        if known._frame != frame:
            raise InvalidRequest(f"ClOrdID {identifier!r} is pending for another message: give each order its own")
        return known


def _checked_key(key: bytes) -> bytes:
    if not key:
        raise InvalidRequest("a checkpoint's key must not be empty")
    return key


E_ = TypeVar("E_", bound=Enum)
H = TypeVar("H")


def _as(kind: type[E_], value: int) -> Any:
    """The enum's member, or the bare number if a newer node says something this version does not know."""
    try:
        return kind(value)
    except ValueError:
        return value


def _pop_first(queues: dict[bytes, deque[H]], key: bytes) -> H | None:
    queue = queues.get(key)
    if not queue:
        return None
    first = queue.popleft()
    if not queue:
        del queues[key]
    return first
