"""Sender and receiver over a network that loses, doubles, reorders and delays: the standby's log becomes the primary's.

Time and the network are simulated: nothing here waits.
"""

import heapq
import random
import struct
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.native import record as names
from gateway.native.datagram import Channel
from gateway.native.journal import Journal
from gateway.native.receiver import Receiver
from gateway.native.sender import Sender

KEY = b"0123456789abcdef"
HELLO, HEARTBEAT, DATA, ACK = 1, 2, 3, 4
AT_KIND, AT_EPOCH, AT_FIRST_LSN, AT_LAST_LSN, AT_COUNT = 3, 12, 40, 48, 68
HEADER_BYTES, MAC_BYTES = 96, 16
US, MS = 1_000, 1_000_000


def journal() -> Journal:
    return Journal.memory(segment_bytes=1 << 22, max_records=1 << 16, max_sessions=2, max_seq=1 << 16)


def append(log: Journal, count: int, *, epoch: int, size: int = 40) -> None:
    for _ in range(count):
        log.append(names.OUT, 0, bytes(size), seq=log.last_lsn + 1, epoch=epoch)


def raw(log: Journal) -> list[bytes]:
    return [record.raw for record in log.records()]


def kind_of(datagram: bytes) -> int:
    return datagram[AT_KIND]


def acked(datagram: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Received LSN and NAK ranges of an ACK."""
    received, _, _, count = struct.unpack_from("<QQII", datagram, HEADER_BYTES)
    return received, list(struct.iter_unpack("<QQ", datagram[HEADER_BYTES + 24 : HEADER_BYTES + 24 + count * 16]))


@dataclass(frozen=True)
class Weather:
    """What the network does to a datagram."""

    seed: int = 0
    loss: float = 0.0
    doubling: float = 0.0
    max_delay_ns: int = 100 * US


class Pair:
    """A primary (node 0, epoch 3) and a standby (node 1) with a network between them."""

    EPOCH = 3

    def __init__(self, weather: Weather, *, datagram_bytes: int = 1400, slots: int = 256, **sender: int) -> None:
        self.weather, self.random = weather, random.Random(weather.seed)
        self.now = MS
        self.primary, self.standby = journal(), journal()
        self.a, self.b = Channel(KEY, node=0, incarnation=5), Channel(KEY, node=1, incarnation=6)
        self.b.open(self.a.seal(HELLO, 1))
        self.a.open(self.b.seal(HELLO, 0, to_incarnation=5))
        self.b.open(self.a.seal(HEARTBEAT, 1))
        self.sender = Sender(self.primary, self.a, datagram_bytes=datagram_bytes, receivers=2, **sender)
        self.receiver = Receiver(self.standby, self.b, datagram_bytes=datagram_bytes, reorder_slots=slots)
        self.flying: list[tuple[int, int, int, bytes]] = []
        self.sent = 0
        self.acknowledged: list[int] = []

    def start(self) -> None:
        self.sender.start(self.EPOCH)
        self.receiver.follow(0, self.EPOCH, self.now)

    def step(self, passing_ns: int = 50 * US) -> None:
        self.now += passing_ns
        while due := self.sender.poll(self.now):
            self.launch(1, due[1])
            self.check_window()
        while due := self.receiver.poll(self.now):
            if kind_of(due) == ACK:
                self.check_ack(due)
            self.launch(0, due)
        while self.flying and self.flying[0][0] <= self.now:
            _, _, to, datagram = heapq.heappop(self.flying)
            self.deliver(to, datagram)

    def launch(self, to: int, datagram: bytes) -> None:
        copies = 0 if self.random.random() < self.weather.loss else 1 + (self.random.random() < self.weather.doubling)
        for _ in range(copies):
            self.sent += 1
            arrival = self.now + self.random.randint(1, self.weather.max_delay_ns)
            heapq.heappush(self.flying, (arrival, self.sent, to, datagram))

    def deliver(self, to: int, datagram: bytes) -> None:
        if to == 1 and self.b.open(datagram) == "OK":
            self.receiver.receive(datagram, self.now)
        elif to == 0 and self.a.open(datagram) == "OK":
            self.sender.receive(datagram, self.now)

    def check_ack(self, datagram: bytes) -> None:
        """An ack is cumulative, never ahead of the log, never goes back; what it asks for is not there yet."""
        received, missing = acked(datagram)
        assert received == self.standby.last_lsn
        assert not self.acknowledged or received >= self.acknowledged[-1]
        self.acknowledged.append(received)
        end = received
        for first, last in missing:
            assert end < first <= last
            end = last

    def check_window(self) -> None:
        view = self.sender.view(1)
        assert view["received_lsn"] <= self.standby.last_lsn
        assert view["next_lsn"] <= self.primary.last_lsn + 1

    @property
    def settled(self) -> bool:
        return (
            self.receiver.state == "FOLLOWING"
            and self.standby.last_lsn == self.primary.last_lsn
            and self.sender.view(1)["received_lsn"] == self.primary.last_lsn
        )

    def settle(self, max_steps: int = 20_000) -> None:
        for _ in range(max_steps):
            if self.settled:
                break
            self.step()
        assert self.settled, (self.receiver.state, self.receiver.counters, self.sender.view(1))
        assert raw(self.standby) == raw(self.primary)


def settled(records: int, **options: int) -> Pair:
    """A pair on a line without loss; the standby holds so many records."""
    pair = Pair(Weather(max_delay_ns=1), **options)
    pair.start()
    append(pair.primary, records, epoch=pair.EPOCH)
    pair.settle()
    return pair


weathers = st.builds(
    Weather,
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0, 0.02, 0.2, 0.5]),
    doubling=st.sampled_from([0, 0.3]),
    max_delay_ns=st.sampled_from([1, 100 * US, 2 * MS]),
)


@settings(deadline=None, max_examples=150)
@given(
    weather=weathers,
    sizes=st.lists(st.sampled_from([0, 8, 100, 1200, 1288, 1289, 5_000, 70_000]), max_size=60),
    known=st.integers(0, 60),
    datagram_bytes=st.sampled_from([200, 1400, 9000]),
    slots=st.sampled_from([2, 256]),
)
def test_every_record_arrives_in_order_whatever_the_network_does(weather, sizes, known, datagram_bytes, slots):
    pair = Pair(weather, datagram_bytes=datagram_bytes, slots=slots)
    append(pair.primary, 5, epoch=1)
    for record in list(pair.primary.records())[:known]:
        pair.standby.append_raw(record.raw)
    append(pair.primary, 5, epoch=pair.EPOCH)
    pair.start()
    for size in sizes:
        append(pair.primary, 1, epoch=pair.EPOCH, size=size)
        if pair.random.random() < 0.5:
            pair.step()
    pair.settle()
    assert pair.receiver.counters["bad_records"] == 0


@settings(deadline=None, max_examples=100)
@given(weather=weathers, epochs=st.lists(st.integers(1, 30), max_size=3), held=st.data())
def test_a_standby_catches_up_from_any_lsn(weather, epochs, held):
    pair = Pair(weather)
    for epoch, count in enumerate(epochs):
        append(pair.primary, count, epoch=epoch + 1 if epoch < 2 else 2)
    append(pair.primary, 1, epoch=pair.EPOCH)
    for record in list(pair.primary.records())[: held.draw(st.integers(0, pair.primary.last_lsn))]:
        pair.standby.append_raw(record.raw)
    pair.start()
    pair.settle()


@settings(deadline=None, max_examples=150)
@given(
    weather=weathers,
    common=st.integers(0, 20),
    ours=st.lists(st.integers(1, 5), max_size=3),
    theirs=st.lists(st.integers(1, 5), max_size=3),
)
def test_logs_that_have_diverged_are_brought_back_to_what_they_have_in_common(weather, common, ours, theirs):
    """The primary wrote epochs 2, 4, 6 and the standby 3, 5, 7 while they did not hear each other."""
    pair = Pair(weather)
    pair.EPOCH = 10
    append(pair.primary, common, epoch=1)
    for record in pair.primary.records():
        pair.standby.append_raw(record.raw)
    for turn, count in enumerate(ours):
        append(pair.primary, count, epoch=2 + 2 * turn)
    for turn, count in enumerate(theirs):
        append(pair.standby, count, epoch=3 + 2 * turn)
    append(pair.primary, 1, epoch=pair.EPOCH)
    kept = raw(pair.standby)[:common]
    pair.start()
    pair.settle()
    assert raw(pair.standby)[:common] == kept


def test_a_lost_record_is_asked_for_as_soon_as_the_next_one_arrives():
    pair = settled(1)
    pair.step()
    append(pair.primary, 1, epoch=pair.EPOCH)
    assert pair.sender.poll(pair.now) is not None  # lost
    append(pair.primary, 1, epoch=pair.EPOCH)
    _, datagram = pair.sender.poll(pair.now)
    pair.deliver(1, datagram)
    pair.now += MS
    assert acked(pair.receiver.poll(pair.now)) == (1, [(2, 2)])
    assert pair.receiver.counters["gaps"] == 1


def test_what_is_asked_for_fits_into_a_datagram_and_the_rest_is_asked_for_later():
    pair = settled(1, datagram_bytes=200)
    append(pair.primary, 100, epoch=pair.EPOCH)
    sent = [pair.sender.poll(pair.now)[1] for _ in range(100)]
    for datagram in sent[1::2]:
        pair.deliver(1, datagram)
    pair.now += MS
    ack = pair.receiver.poll(pair.now)
    assert len(ack) <= 200
    assert acked(ack) == (1, [(2, 2), (4, 4), (6, 6), (8, 8)])
    pair.settle()


def test_a_lost_tail_is_sent_again_without_being_asked_for():
    pair = settled(1, retransmit_after_ns=2 * MS)
    pair.step()
    append(pair.primary, 1, epoch=pair.EPOCH)
    assert pair.sender.poll(pair.now) is not None  # lost
    assert pair.sender.poll(pair.now) is None
    assert pair.sender.deadline == pair.now + 2 * MS
    pair.now = pair.sender.deadline
    _, datagram = pair.sender.poll(pair.now)
    pair.deliver(1, datagram)
    assert pair.standby.last_lsn == 2
    assert pair.sender.retransmitted == 1


def test_retransmissions_to_a_silent_receiver_get_rarer():
    pair = settled(1, retransmit_after_ns=MS)
    append(pair.primary, 1, epoch=pair.EPOCH)
    pair.now += MS
    sent = 0
    for _ in range(1000):
        pair.now += MS
        while pair.sender.poll(pair.now):
            sent += 1
    assert 1000 // 16 <= sent < 1000 // 16 + 8


def test_a_receiver_that_is_far_behind_gets_no_more_than_the_window_before_it_acknowledges():
    window = 10_000
    pair = Pair(Weather(max_delay_ns=1), catch_up_window_bytes=window, retransmit_after_ns=1000 * MS)
    append(pair.primary, 2_000, epoch=pair.EPOCH)
    pair.start()
    pair.step()  # JOIN flies
    pair.step()  # JOIN arrives
    most = 0
    for _ in range(2_000):
        if pair.settled:
            break
        behind = pair.primary.last_lsn - pair.sender.view(1)["next_lsn"] > 0
        pair.step()
        if behind and pair.primary.last_lsn - pair.sender.view(1)["next_lsn"] > 0:
            most = max(most, pair.sender.view(1)["in_flight_bytes"])
    pair.settle()
    assert window <= most < window + 1400


def test_nothing_more_is_sent_to_a_receiver_that_acknowledges_nothing():
    window = 10_000
    pair = Pair(Weather(max_delay_ns=1), catch_up_window_bytes=window, retransmit_after_ns=1000 * MS)
    append(pair.primary, 2_000, epoch=pair.EPOCH)
    pair.start()
    pair.deliver(0, pair.receiver.poll(pair.now))
    sizes = []
    while due := pair.sender.poll(pair.now):
        sizes.append(len(due[1]))
    assert window <= sum(sizes) < window + 3 * 1400
    append(pair.primary, 10, epoch=pair.EPOCH)
    assert pair.sender.poll(pair.now) is None


def test_a_receiver_that_has_stopped_acknowledges_nothing_more():
    pair = settled(3)
    pair.step()
    append(pair.primary, 1, epoch=pair.EPOCH)
    _, datagram = pair.sender.poll(pair.now)
    pair.deliver(1, datagram)
    pair.receiver.stop()
    assert pair.receiver.poll(pair.now + 1000 * MS) is None
    pair.deliver(1, pair.a.seal(HEARTBEAT, 1))
    assert pair.receiver.poll(pair.now + 2000 * MS) is None


def test_an_ack_of_another_epoch_is_ignored():
    pair = settled(3)
    pair.step()
    append(pair.primary, 1, epoch=pair.EPOCH)
    pair.deliver(1, pair.sender.poll(pair.now)[1])
    ack = pair.receiver.poll(pair.now)
    pair.sender.start(pair.EPOCH + 1)
    pair.sender.receive(ack, pair.now)
    assert not pair.sender.view(1)["joined"]
    assert pair.sender.view(1)["received_lsn"] == 0


@pytest.mark.parametrize("claimed", [5, 2**63, 2**64 - 1])
def test_an_ack_of_what_was_never_written_is_ignored(claimed: int):
    pair = settled(4)
    header = bytearray(pair.b.seal(ACK, 0, struct.pack("<QQII", claimed, claimed, pair.EPOCH, 0)))
    struct.pack_into("<I", header, AT_EPOCH, pair.EPOCH)
    pair.sender.receive(bytes(header), pair.now)
    assert pair.sender.view(1)["received_lsn"] == 4
    assert pair.sender.view(1)["next_lsn"] == 5


@given(body=st.binary(max_size=400), kind=st.integers(0, 8), count=st.integers(0, 20), first=st.integers(0, 8))
def test_a_body_that_makes_no_sense_changes_nothing(body: bytes, kind: int, count: int, first: int):
    pair = settled(3)
    before = raw(pair.standby)
    datagram = bytearray(pair.a.seal(kind, 1, body))
    struct.pack_into("<I", datagram, AT_EPOCH, pair.EPOCH)
    struct.pack_into("<QQ", datagram, AT_FIRST_LSN, first, 3)
    struct.pack_into("<H", datagram, AT_COUNT, count)
    pair.receiver.receive(bytes(datagram), pair.now)
    assert raw(pair.standby) == before
    reply = bytearray(pair.b.seal(kind, 0, body))
    struct.pack_into("<I", reply, AT_EPOCH, pair.EPOCH + 1)
    pair.sender.receive(bytes(reply), pair.now)
    assert pair.sender.view(1)["received_lsn"] == 3


def test_a_record_damaged_on_the_way_is_not_appended_and_not_acknowledged():
    pair = settled(1)
    pair.step()
    append(pair.primary, 1, epoch=pair.EPOCH)
    damaged = bytearray(pair.sender.poll(pair.now)[1])
    damaged[HEADER_BYTES + 50] ^= 1
    pair.receiver.receive(bytes(damaged), pair.now)
    assert pair.standby.last_lsn == 1
    assert pair.receiver.counters["bad_records"] == 1
    pair.settle()


def test_a_second_receiver_is_fed_on_its_own():
    log = journal()
    hub = Channel(KEY, node=0, incarnation=5)
    sender = Sender(log, hub, receivers=0b110)
    append(log, 300, epoch=1)
    sender.start(1)
    now, ends = MS, []
    for node in (1, 2):
        channel = Channel(KEY, node=node, incarnation=node + 5)
        channel.open(hub.seal(HELLO, node))
        hub.open(channel.seal(HELLO, 0, to_incarnation=5))
        channel.open(hub.seal(HEARTBEAT, node))
        receiver = Receiver(journal(), channel)
        receiver.follow(0, 1, now)
        ends.append((channel, receiver))
    for _ in range(200):
        now += 100 * US
        for _, receiver in ends[: 1 if now < 5 * MS else 2]:  # the second one is late
            while due := receiver.poll(now):
                assert hub.open(due) == "OK"
                sender.receive(due, now)
        while due := sender.poll(now):
            channel, receiver = ends[due[0] - 1]
            if channel.open(due[1]) == "OK":
                receiver.receive(due[1], now)
    for _, receiver in ends:
        assert raw(receiver.journal) == raw(log)
