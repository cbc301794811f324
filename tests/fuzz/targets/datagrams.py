"""A node between datagrams of its peer: damaged ones, which must have no effect, and such as only a holder of the key
can seal, whatever is in them, after which the log must be sound still.
"""

from __future__ import annotations

import struct
from typing import ClassVar

from gateway.native import record as names
from gateway.native.datagram import Channel
from gateway.native.driven import DrivenNode
from gateway.native.journal import Journal
from gateway.native.sender import Sender
from gateway.native.siphash import mac
from tests.fuzz.rig import KEY, MS, PAIR, Cell, Clock, check_log, small_journal, small_node
from tests.fuzz.steps import number, step, steps

APPEND, PUMP, PATCH, PATCH_BACK, CRAFT, RAW, TIME, REGISTER, NEW_EPOCH = range(9)
HEADER_BYTES, MAC_BYTES = 96, 16
ENVELOPE = struct.Struct("<HBxBBxxI4xQQQ")  # what must be right for a datagram to be looked at
EPOCH_AT, BODY_BYTES_AT = 12, 70
MAGIC, VERSION = 0x5847, 1
HELLO = 1
PEER, NODE = 0, 1
PEER_LIFE = 10


class DatagramTarget:
    """A list of steps."""

    tokens: ClassVar[list[bytes]] = [struct.pack("<Q", n) for n in (0, 1, 2, 5, 100, 2**32, 2**63, 2**64 - 1)] + [
        bytes([k]) for k in range(1, 8)
    ]

    def seeds(self) -> list[bytes]:
        """A log that arrives whole, and one of which pieces are changed on the way."""
        run = step(APPEND, b"\x03\x28") + step(PUMP) + step(TIME, b"\x02")
        return [
            run * 4,
            run + step(PATCH, b"\x60\x00\xff") + run + step(PATCH, b"\x28\x00\x09") + run,
            run + step(NEW_EPOCH, b"\x05") + run + step(APPEND, b"\x01\xff") + step(PUMP),
            run + step(CRAFT, b"\x03" + bytes(200)) + step(CRAFT, b"\x06" + bytes(130)) + run,
            run + step(REGISTER, b"\x09\x01\x02") + step(TIME, b"\x40") * 5 + step(CRAFT, b"\x04" + bytes(140)),
            run + step(RAW, bytes(112)) + step(PATCH_BACK, b"\x60\x00\x01") + run,
        ]

    def run(self, data: bytes) -> None:
        """One life of a node."""
        stage = Stage()
        for what, argument in steps(data, 9):
            stage.act(what, argument)
        check_log(stage.journal)
        small_node(stage.journal, node=NODE, incarnation=99).rebuild()


class Stage:
    """Node b, and a peer that is a sender without a node around it."""

    def __init__(self) -> None:
        self.journal: Journal = small_journal()
        self.node = DrivenNode(small_node(self.journal, node=NODE, incarnation=20))
        self.clock = Clock(self.node)
        self._cell = Cell((3, 1, PEER, 0b11))
        self._channel = Channel(KEY, pair_id=PAIR, node=PEER, incarnation=PEER_LIFE)
        self._log = small_journal()
        self._sender = Sender(self._log, self._channel, receivers=1 << NODE)
        self._sender.start(1)
        self._epoch = 1
        self._counter = 1 << 32  # of crafted ones: the channel's own are below
        self._patch = self._patch_back = b""
        self._meet()

    def act(self, what: int, argument: bytes) -> None:
        """One step of the input."""
        if what == APPEND:
            for _ in range(number(argument) % 32):
                payload = argument[2:] or bytes(number(argument, 1) * 8)
                self._log.append(names.IN, number(argument) & 1, payload, seq=self._log.last_lsn + 1, epoch=self._epoch)
        elif what == PUMP:
            self._pump()
        elif what == PATCH:
            self._patch = argument
        elif what == PATCH_BACK:
            self._patch_back = argument
        elif what == CRAFT:
            self._craft(argument)
        elif what == RAW:
            self.node.receive_datagram(argument)
        elif what == TIME:
            self.clock.move(number(argument) * MS)
        elif what == REGISTER:
            self._cell.value = (
                number(argument),
                self._epoch + number(argument, 1) % 8,
                number(argument, 2) & 1,
                number(argument, 2) >> 1 & 3,
            )
            self.node.answer_register(0, 1, self._cell.value)
        elif what == NEW_EPOCH:
            self._epoch += 1 + number(argument) % 4
            self._sender.start(self._epoch)
        self._turn()

    def _meet(self) -> None:
        """Both learn the other's life, as HELLOs do it."""
        for _ in range(3):
            self.node.receive_datagram(self._channel.seal(HELLO, NODE, to_incarnation=20, wall_ns=self.clock.wall_ns))
            self._turn()
            self.clock.move(10 * MS)

    def _pump(self) -> None:
        for _ in range(20):
            sent = self._sender.poll(self.clock.mono_ns)
            if sent is None:
                return
            datagram = sent[1]
            if self._patch:
                datagram = self._sealed(patched(datagram, self._patch))
                self._patch = b""
            self.node.receive_datagram(datagram)
            self._turn()

    def _turn(self) -> None:
        self._cell.serve(self.node)
        for datagram in self.node.turn():
            if self._patch_back:
                changed = patched(datagram, self._patch_back)
                self._sender.receive(changed[:-MAC_BYTES] + mac(KEY, changed[:-MAC_BYTES]), self.clock.mono_ns)
                self._patch_back = b""
            self._sender.receive(datagram, self.clock.mono_ns)

    def _craft(self, argument: bytes) -> None:
        """`argument` is kind, flag, role and what else a header holds; then the body."""
        raw = bytearray((argument + bytes(HEADER_BYTES))[: max(HEADER_BYTES, len(argument))])
        raw[3] = number(argument) % 9
        if number(argument, 1) & 1:
            raw[EPOCH_AT : EPOCH_AT + 4] = self._epoch.to_bytes(4, "little")
        self.node.receive_datagram(self._sealed(bytes(raw) + bytes(MAC_BYTES)))

    def _sealed(self, datagram: bytes) -> bytes:
        self._counter += 1
        return sealed(datagram[:-MAC_BYTES], PEER, NODE, PEER_LIFE, 20, self._counter)


def sealed(raw: bytes, sender: int, receiver: int, life: int, receivers_life: int, counter: int) -> bytes:
    """Header and body as a holder of the key would seal them: for this pair, node and life, and new."""
    changed = bytearray(raw)
    kind, role, flags, epoch = raw[3], raw[6], raw[7], raw[12:16]
    ENVELOPE.pack_into(changed, 0, MAGIC, VERSION, sender, receiver, PAIR, life, receivers_life, counter)
    changed[3], changed[6], changed[7], changed[12:16] = kind, role, flags, epoch
    changed[BODY_BYTES_AT : BODY_BYTES_AT + 2] = (len(raw) - HEADER_BYTES & 0xFFFF).to_bytes(2, "little")
    return bytes(changed) + mac(KEY, bytes(changed))


def patched(datagram: bytes, patch: bytes) -> bytes:
    """`patch`: where (16 bits), and what is put there; behind the end: a longer datagram, up to 9000."""
    at = number(patch, 0, 2) % (len(datagram) - MAC_BYTES + 64)
    body = datagram[:-MAC_BYTES].ljust(at, b"\0")
    return (body[:at] + patch[2:] + body[at + len(patch) - 2 :])[: 9000 - MAC_BYTES].ljust(HEADER_BYTES, b"\0") + bytes(
        MAC_BYTES
    )
