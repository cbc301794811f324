"""A further receiver between datagrams: damaged ones, and what a holder of its key can seal. Its log stays sound."""

from __future__ import annotations

import struct
from typing import ClassVar

from gateway.native import record as names
from gateway.native.datagram import Channel
from gateway.native.role import State
from gateway.native.sender import Sender
from gateway.receiver.follower import Follower
from tests.fuzz.rig import KEY, MONO_NS, MS, PAIR, check_log, small_journal
from tests.fuzz.steps import number, step, steps
from tests.fuzz.targets.datagrams import HEADER_BYTES, MAC_BYTES, patched, sealed

APPEND, PUMP, PATCH, CRAFT, RAW, TIME, NEW_EPOCH = range(7)
RECEIVER, NODES = 2, (0, 1)
LIFE, RECEIVERS_LIFE = 10, 20
HELLO = 1
AT_ROLE, AT_EPOCH = 6, 12


class ReceiverTarget:
    """A list of steps; the node is the first byte of most."""

    tokens: ClassVar[list[bytes]] = [struct.pack("<Q", n) for n in (0, 1, 2, 5, 100, 2**32, 2**63, 2**64 - 1)]

    def seeds(self) -> list[bytes]:
        """A log that arrives whole, pieces of which are changed, and two primaries after each other."""
        run = step(APPEND, b"\x00\x09\x28") + step(PUMP, b"\x00") + step(TIME, b"\x0a")
        return [
            run * 4,
            run + step(PATCH, b"\x60\x00\xff") + run + step(PATCH, b"\x28\x00\x09") + run,
            run + step(NEW_EPOCH, b"\x01\x02") + step(APPEND, b"\x01\x09") + step(PUMP, b"\x01") + run,
            run
            + step(CRAFT, b"\x00\x03" + bytes(200))
            + step(CRAFT, b"\x01\x06" + bytes(130))
            + step(RAW, bytes(112))
            + run,
        ]

    def run(self, data: bytes) -> None:
        """One life of a receiver."""
        stage = Stage()
        for what, argument in steps(data, 7):
            stage.act(what, argument)
        check_log(stage.journal)


class Stage:
    """A follower, and two nodes that are senders without a node around them."""

    def __init__(self) -> None:
        self.journal = small_journal()
        channel = Channel(KEY, pair_id=PAIR, node=RECEIVER, incarnation=RECEIVERS_LIFE)
        self._follower = Follower(self.journal, channel, datagram_bytes=1400, round_trip_ns=10 * MS, reorder_slots=16)
        self._now = MONO_NS
        self._logs = [small_journal() for _ in NODES]
        self._channels = [Channel(KEY, pair_id=PAIR, node=node, incarnation=LIFE) for node in NODES]
        self._senders = [
            Sender(log, channel, receivers=1 << RECEIVER)
            for log, channel in zip(self._logs, self._channels, strict=True)
        ]
        self._epochs = [1, 0]
        self._counter = 1 << 32  # of crafted ones: the channels' own are below
        self._patch = b""
        self._senders[0].start(1)
        for node in NODES:
            self._take(self._channels[node].seal(HELLO, RECEIVER, to_incarnation=RECEIVERS_LIFE))
        self._beat(0)

    def act(self, what: int, argument: bytes) -> None:
        """One step of the input."""
        node, rest = number(argument) & 1, argument[1:]
        if what == APPEND:
            log = self._logs[node]
            for _ in range(number(rest) % 32):
                log.append(names.OUT, 0, rest[1:], seq=log.last_lsn + 1, epoch=max(self._epochs[node], log.last_epoch))
        elif what == PUMP:
            self._pump(node)
        elif what == PATCH:
            self._patch = argument
        elif what == CRAFT:
            raw = (rest + bytes(HEADER_BYTES))[: max(HEADER_BYTES, len(rest))]
            self._take(self._sealed(raw, node))
        elif what == RAW:
            self._take(argument)
        elif what == TIME:
            self._now += number(argument) * MS
        elif what == NEW_EPOCH:
            self._epochs[node] = max(self._epochs) + 1 + number(rest) % 3
            self._senders[node].start(self._epochs[node])
            self._beat(node)
        for other, datagram in self._follower.due(self._now):
            if self._channels[other].open(datagram) == "OK":
                self._senders[other].receive(datagram, self._now)

    def _pump(self, node: int) -> None:
        self._beat(node)
        for _ in range(20):
            sent = self._senders[node].poll(self._now) if self._epochs[node] else None
            if sent is None:
                return
            datagram = sent[1]
            if self._patch:
                datagram = self._sealed(patched(datagram, self._patch)[:-MAC_BYTES], node)
                self._patch = b""
            self._take(datagram)

    def _beat(self, node: int) -> None:
        raw = bytearray(HEADER_BYTES)
        raw[3], raw[AT_ROLE] = 2, State.PRIMARY if self._epochs[node] else State.STANDBY
        raw[AT_EPOCH : AT_EPOCH + 4] = self._epochs[node].to_bytes(4, "little")
        self._take(self._sealed(bytes(raw), node))

    def _take(self, datagram: bytes) -> None:
        self._follower.on_datagram(datagram, self._now)

    def _sealed(self, raw: bytes, node: int) -> bytes:
        self._counter += 1
        return sealed(raw, node, RECEIVER, LIFE, RECEIVERS_LIFE, self._counter)
