"""A receiver against two senders, without sockets: it follows the latest epoch, and gives up what that has not."""

from gateway.native import record as names
from gateway.native.datagram import Channel
from gateway.native.journal import Journal
from gateway.native.role import State
from gateway.native.sender import Sender
from gateway.native.siphash import mac
from gateway.receiver.follower import Follower

KEY = b"0123456789abcdef"
PAIR, INDEX = 7, 2
HELLO, HEARTBEAT = 1, 2
MS = 1_000_000
AT_ROLE, AT_EPOCH, AT_LAST_LSN, MAC_BYTES = 6, 12, 48, 16


def journal() -> Journal:
    return Journal.memory(segment_bytes=1 << 20, max_records=1 << 12, max_sessions=2, max_seq=1 << 10)


def fill(log: Journal, count: int, epoch: int) -> None:
    for _ in range(count):
        log.append(names.IN, 0, b"%d of epoch %d" % (log.last_lsn, epoch), seq=log.last_lsn + 1, epoch=epoch)


def raw(log: Journal) -> list[bytes]:
    return [record.raw for record in log.records()]


class FeedingNode:
    """What a node's feeder is on the wire."""

    def __init__(self, index: int, log: Journal, incarnation: int = 5) -> None:
        self.index, self.log = index, log
        self.channel = Channel(KEY, pair_id=PAIR, node=index, incarnation=incarnation)
        self.sender = Sender(log, self.channel, receivers=1 << INDEX)
        self.epoch = 0

    def promote(self, epoch: int) -> None:
        self.epoch = epoch
        self.sender.start(epoch)

    def says(self, kind: int, to_incarnation: int | None = None) -> bytes:
        data = bytearray(self.channel.seal(kind, INDEX, to_incarnation=to_incarnation))
        data[AT_ROLE] = State.PRIMARY if self.epoch else State.STANDBY
        data[AT_EPOCH : AT_EPOCH + 4] = self.epoch.to_bytes(4, "little")
        data[AT_LAST_LSN : AT_LAST_LSN + 8] = self.log.last_lsn.to_bytes(8, "little")
        return bytes(data[:-MAC_BYTES]) + mac(KEY, bytes(data[:-MAC_BYTES]))

    def take(self, data: bytes, now: int) -> bytes | None:
        """Its answer to a HELLO that it does not know; else the sender has it."""
        if self.channel.open(data) != "OK":
            return None
        if data[3] == HELLO:
            known = self.channel.peer_incarnation(INDEX)
            return self.says(HELLO, int.from_bytes(data[16:24], "little")) if not known else None
        self.sender.receive(data, now)
        return None


class Net:
    """A follower and both nodes on a line that keeps everything in order."""

    def __init__(self, held: Journal, *nodes: FeedingNode) -> None:
        self.now = 10**9
        self.nodes = nodes
        channel = Channel(KEY, pair_id=PAIR, node=INDEX, incarnation=9)
        self.follower = Follower(held, channel, datagram_bytes=1400, round_trip_ns=10 * MS, reorder_slots=64)

    def run(self, turns: int = 40) -> None:
        for _ in range(turns):
            self.now += 10 * MS
            for index, data in self.follower.due(self.now):
                answer = self.nodes[index].take(data, self.now)
                if answer:
                    self.follower.on_datagram(answer, self.now)
            for node in self.nodes:
                if node.channel.peer_incarnation(INDEX):
                    self.follower.on_datagram(node.says(HEARTBEAT), self.now)
                while node.epoch and (sent := node.sender.poll(self.now)):
                    self.follower.on_datagram(sent[1], self.now)


def following(count: int) -> tuple[FeedingNode, FeedingNode, Journal, Net]:
    """(a, b, the receiver's journal, their net): a is primary of epoch 1, with so many records."""
    a, b = FeedingNode(0, journal()), FeedingNode(1, journal())
    fill(a.log, count, 1)
    a.promote(1)
    held = journal()
    net = Net(held, a, b)
    net.run()
    return a, b, held, net


def test_it_meets_both_nodes_and_holds_what_the_primary_has():
    a, _, held, net = following(50)
    assert net.follower.state == "FOLLOWING"
    assert raw(held) == raw(a.log)
    assert all(view.heard_ns for view in net.follower.views)


def test_it_goes_over_to_the_primary_of_a_later_epoch_and_gives_up_what_that_has_not():
    a, b, held, net = following(50)
    for record in list(a.log.records())[:40]:
        b.log.append_raw(record.raw)
    fill(b.log, 20, 2)
    b.promote(2)
    fill(a.log, 5, 1)
    net.run()
    assert net.follower.truncations == 1
    assert raw(held) == raw(b.log)
    fill(a.log, 5, 1)
    net.run()
    assert raw(held) == raw(b.log)


def test_a_node_that_is_no_primary_is_not_followed():
    a, b = FeedingNode(0, journal()), FeedingNode(1, journal())
    fill(a.log, 10, 1)
    held = journal()
    net = Net(held, a, b)
    net.run()
    assert net.follower.state == "IDLE"
    assert len(held) == 0


def test_a_datagram_of_another_key_is_nothing():
    a, b = FeedingNode(0, journal()), FeedingNode(1, journal())
    held = journal()
    net = Net(held, a, b)
    stranger = Channel(b"another key here", pair_id=PAIR, node=0, incarnation=5)
    net.follower.on_datagram(stranger.seal(HELLO, INDEX, to_incarnation=9), net.now)
    assert net.follower.views[0].heard_ns is None


def test_it_is_heard_of_while_nothing_happens():
    _, _, _, net = following(10)
    said = [net.follower.due(net.now + seconds * 1000 * MS) for seconds in range(1, 9)]
    assert sum(len(datagrams) for datagrams in said) >= 6


def test_a_primary_that_starts_anew_is_followed_again():
    a, b, held, net = following(10)
    again = FeedingNode(0, a.log, incarnation=6)
    fill(again.log, 10, 3)
    again.promote(3)
    net.nodes = (again, b)
    net.run(turns=200)
    assert raw(held) == raw(again.log)
