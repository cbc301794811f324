"""Small nodes of a pair that a test drives itself, and the logs they have."""

from __future__ import annotations

from gateway.native.driven import DrivenNode
from gateway.native.journal import Journal
from gateway.native.node import Node
from tests.fuzz.rig import KEY, MS, PAIR, Cell, Clock

LONG_NS = 3600 * 1000 * MS  # nobody is suspected because the host is busy


def node_of_pair(
    number: int,
    journal: Journal,
    kind: type[Node] = Node,
    *,
    incarnation: int = 1,
    suspect_after_ns: int = LONG_NS,
) -> Node:
    """Without a session. Node 0 begins where nobody was primary before."""
    return kind(
        journal,
        node=number,
        pair_id=PAIR,
        key=KEY,
        incarnation=incarnation,
        suspect_after_ns=suspect_after_ns,
        fence_timeout_ns=LONG_NS,
        startup_wait_ns=20 * MS,
        order_capacity=256,
        reorder_slots=16,
        window_records=64,
        preferred=number == 0,
    )


class DrivenParty:
    """A node, the register's cell that it asks, and a clock that moves with its turns."""

    def __init__(self, owner: Node, journal: Journal, cell: Cell | None) -> None:
        self.owner, self.journal, self.cell = owner, journal, cell
        self.node = DrivenNode(owner)
        self.clock = Clock(self.node)

    def turn(self, datagrams: list[bytes], ns: int = MS) -> list[bytes]:
        """Its datagrams, a turn of `ns` after those that are given."""
        self.clock.move(ns)
        if self.cell is not None:
            self.cell.serve(self.node)
        for datagram in datagrams:
            self.node.receive_datagram(datagram)
        sent = self.node.turn()
        self.journal.flush()
        return sent

    def become_primary(self) -> None:
        """Hears nobody until it is."""
        for _ in range(100):
            self.turn([], 10 * MS)
        assert self.owner.status()["role"] == "PRIMARY"


def copy(journal: Journal | None = None) -> Journal:
    """In memory, with the records of `journal`."""
    made = Journal.memory(segment_bytes=1 << 18, max_records=1 << 11, max_sessions=4, max_seq=1 << 10)
    for record in journal.records() if journal is not None else ():
        made.append_raw(record.raw)
    return made


def raw(journal: Journal) -> list[bytes]:
    """Its records, byte for byte."""
    return [record.raw for record in journal.records()]
