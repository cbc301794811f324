"""Two configurations that differ do not meet unseen: the log says whose sessions and clients it is of."""

import pytest

from gateway.native import record as names
from gateway.native.journal import Journal
from gateway.native.node import Node

FITS, OTHER_SESSION, OTHER_CLIENT, MORE_SESSIONS, MORE_CLIENTS = range(5)
Roster = tuple[list[str], list[str]]
OURS: Roster = (["X", "Y"], ["C", "D"])


def build(journal: Journal, sessions: list[str], clients: list[str], *, sync: bool = True) -> Node:
    node = Node(journal, node=0, pair_id=1, key=bytes(16), incarnation=1, order_capacity=1024)
    for name in sessions:
        node.add_session(f"TO-{name}", begin_string="FIX.4.4", sender_comp_id="US", target_comp_id=name, sync=sync)
    for name in clients:
        node.add_client(name)
    return node


def memory() -> Journal:
    return Journal.memory(segment_bytes=1 << 20, max_records=1 << 10, max_sessions=2, max_seq=1 << 10)


def log_of(*writers: Roster) -> Journal:
    journal = memory()
    for epoch, (sessions, clients) in enumerate(writers, 1):
        roster = build(memory(), sessions, clients).roster()
        journal.append(names.EPOCH, 0, bytes(8) + roster, epoch=epoch)
    return journal


@pytest.mark.parametrize(
    ("theirs", "fit"),
    [
        (OURS, (FITS, 0)),
        ((["X"], ["C"]), (FITS, 0)),  # new ones were added at the end
        ((["Y", "X"], ["C", "D"]), (OTHER_SESSION, 0)),
        ((["X", "Z"], ["C", "D"]), (OTHER_SESSION, 1)),
        ((["X", "Y", "Z"], ["C", "D"]), (MORE_SESSIONS, 2)),
        ((["X", "Y"], ["D", "C"]), (OTHER_CLIENT, 0)),
        ((["X", "Y"], ["C", "D", "E"]), (MORE_CLIENTS, 2)),
    ],
)
def test_what_differs_is_found(theirs: Roster, fit: tuple[int, int]):
    node = build(log_of(theirs), *OURS)
    node.rebuild()
    assert node.fit() == fit


def test_the_latest_primary_counts():
    node = build(log_of((["X"], ["C"]), OURS), *OURS)
    node.rebuild()
    assert node.fit() == (FITS, 0)


def test_how_a_session_is_replicated_is_told_and_makes_it_no_other_session():
    assert build(memory(), *OURS).roster() != build(memory(), *OURS, sync=False).roster()
    node = build(log_of(OURS), *OURS, sync=False)
    node.rebuild()
    assert node.fit() == (FITS, 0)


@pytest.mark.parametrize("payload", [b"", bytes(8), bytes(11), bytes(8) + b"\xff" * 40])
def test_a_record_without_a_roster_fits(payload: bytes):
    journal = memory()
    journal.append(names.EPOCH, 0, payload)
    node = build(journal, *OURS)
    node.rebuild()
    assert node.fit() == (FITS, 0)
