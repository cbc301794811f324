"""What a receiver does with datagrams and time: meets both nodes, follows the primary of the latest epoch. No I/O."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gateway.native.datagram import KIND_NAMES, Channel
from gateway.native.journal import Journal
from gateway.native.receiver import Receiver
from gateway.native.role import State

# Where datagram_header_t (datagram.pxd) has what is of interest here.
AT_KIND, AT_FROM_NODE, AT_ROLE, AT_EPOCH, AT_TO_INCARNATION, AT_RELEASED = 3, 4, 6, 12, 24, 80
HELLO = KIND_NAMES.index("HELLO")
MS = 1_000_000
HELLO_EVERY_NS = 200 * MS
KEEP_ALIVE_NS = 2_000 * MS  # a node forgets whom it does not hear for ten seconds
SILENT_AFTER_NS = 1_000 * MS
NODES = (0, 1)


@dataclass(slots=True)
class NodeView:
    """What is known of one node, from datagrams that are authentic and of its present life."""

    heard_ns: int | None = None
    hello_at_ns: int | None = None  # None: one is due at once
    role: int = State.STARTING
    epoch: int = 0
    released_lsn: int = 0
    log_end_lsn: int = 0


class Follower:
    """Keeps `journal` a prefix of the pair's released log. Times are CLOCK_MONOTONIC in ns."""

    def __init__(
        self, journal: Journal, channel: Channel, *, datagram_bytes: int, round_trip_ns: int, reorder_slots: int
    ) -> None:
        self.journal = journal
        self.views = [NodeView() for _ in NODES]
        self.truncations = 0
        self._channel = channel
        self._following: tuple[int, int] | None = None  # node, epoch
        self._receiver = Receiver(
            journal,
            channel,
            datagram_bytes=datagram_bytes,
            nak_after_ns=round_trip_ns,
            join_retry_ns=round_trip_ns,
            reorder_slots=reorder_slots,
        )

    @property
    def state(self) -> str:
        """IDLE, JOINING or FOLLOWING."""
        return self._receiver.state

    @property
    def primary(self) -> NodeView | None:
        """The node that is followed."""
        return self.views[self._following[0]] if self._following else None

    @property
    def counters(self) -> dict[str, int]:
        """Of the receiver."""
        return self._receiver.counters

    def on_datagram(self, data: bytes, now_ns: int) -> None:
        """From either node, or from somebody else."""
        if self._channel.open(data) != "OK":
            return
        kind, node, role = data[AT_KIND], data[AT_FROM_NODE], data[AT_ROLE]
        (epoch,) = struct.unpack_from("<I", data, AT_EPOCH)
        (to_incarnation,) = struct.unpack_from("<Q", data, AT_TO_INCARNATION)
        released, log_end = struct.unpack_from("<QQ", data, AT_RELEASED)
        if node not in NODES:
            return
        if kind == HELLO and to_incarnation != self._channel.incarnation:
            return  # may be a recording
        view = self.views[node]
        view.heard_ns, view.role, view.epoch = now_ns, role, epoch
        if kind == HELLO:
            view.hello_at_ns = None  # so that it learns our life at once
            return
        view.released_lsn = max(view.released_lsn, released)
        view.log_end_lsn = max(view.log_end_lsn, log_end)
        self._choose(node, view, now_ns)
        before = self.journal.last_lsn
        self._receiver.receive(data, now_ns)
        self.truncations += self.journal.last_lsn < before

    def _choose(self, node: int, view: NodeView, now_ns: int) -> None:
        if view.role != State.PRIMARY or view.epoch == 0:
            return
        epoch = self._following[1] if self._following else self.journal.last_epoch - 1
        if view.epoch > epoch:
            self._following = (node, view.epoch)
            view.released_lsn = view.log_end_lsn = 0
            self._receiver.follow(node, view.epoch, now_ns)

    def due(self, now_ns: int) -> list[tuple[int, bytes]]:
        """(node, datagram) of what goes out now."""
        out = []
        for node, view in enumerate(self.views):
            silent = view.heard_ns is None or now_ns - view.heard_ns > SILENT_AFTER_NS
            every_ns = HELLO_EVERY_NS if silent else KEEP_ALIVE_NS
            if view.hello_at_ns is None or now_ns - view.hello_at_ns >= every_ns:
                view.hello_at_ns = now_ns
                out.append((node, self._channel.seal(HELLO, node)))
        while self._following is not None:
            datagram = self._receiver.poll(now_ns)
            if datagram is None:
                break
            out.append((self._following[0], datagram))
        return out
