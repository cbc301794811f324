"""A truncation that fails once the log is cut in memory, and is not tried again because another primary leads."""

from __future__ import annotations

from gateway.errors import JournalError
from gateway.native.node import Node
from tests.native.test_disconnect_after_takeover import SESSION, Pair, Party
from tests.support.driven_pairs import copy, raw


class BrokenDisk(Node):
    """Fails between the cut of what is mapped and the cut of the files."""

    def truncate(self, lsn: int) -> None:
        super().truncate(lsn)
        raise JournalError("Input/output error")


def test_what_is_derived_is_derived_from_the_log_as_it_is_cut():
    pair = Pair(BrokenDisk)
    old = pair.old
    pair.take_over()  # with the log of before the Logon
    while not old.node.wants_connection(SESSION):
        old.turn([], 10)
    old.node.session_connects(SESSION)
    old.turn([])
    assert old.numbers == (0, 2, 1)
    pair.talk()
    assert old.journal.last_lsn == pair.new.journal.last_lsn - 1
    pair.new = Party(1, copy(pair.new.journal), old.cell, incarnation=2)
    pair.talk()
    assert raw(old.journal) == raw(pair.new.journal)
    assert old.numbers == pair.new.numbers
