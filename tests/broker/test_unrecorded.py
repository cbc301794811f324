"""A broker that is killed between taking a message and writing its ledger."""

from pathlib import Path

import orjson

from gateway.broker.ledger import Ledger, read_ledger
from gateway.broker.unrecorded import find_unrecorded
from gateway.native import record as names
from gateway.native.journal import Journal

SESSION = "FIX.4.4:BROKER:GATEWAY"


def message(msg_type: str, body: str) -> bytes:
    return f"8=FIX.4.4|9=0|35={msg_type}|{body}|10=000|".replace("|", "\x01").encode()


def received(journal: Journal, seq: int) -> None:
    journal.append(names.IN, 0, message("D", f"11=order-{seq}"), seq=seq, flags=names.APPLICATION, aux=seq + 1)


def replied(journal: Journal, seq: int, exec_id: str) -> None:
    journal.append(names.OUT, 0, message("8", f"17={exec_id}"), seq=seq, flags=names.APPLICATION)


def entry(seq: int, *exec_ids: str) -> dict[str, object]:
    return {"session": SESSION, "seq": seq, "executions": [{"exec_id": exec_id} for exec_id in exec_ids]}


def test_messages_behind_the_last_entry_are_found_with_the_replies_to_the_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    journal = Journal.memory(max_sessions=1)
    for seq, exec_id in ((2, "E1"), (3, "E2")):
        received(journal, seq)
        replied(journal, seq, exec_id)
        if seq == 2:
            ledger.write(entry(seq, exec_id))
    received(journal, 4)
    found = find_unrecorded(journal, tmp_path / "ledger", SESSION)
    assert [b"11=order-3\x01" in raw for raw in found.received] == [True, False]
    assert found.sent == [(3, "E2")]


def test_nothing_is_found_when_the_ledger_is_complete(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    journal = Journal.memory(max_sessions=1)
    received(journal, 2)
    replied(journal, 2, "E1")
    ledger.write(entry(2, "E1"))
    found = find_unrecorded(journal, tmp_path / "ledger", SESSION)
    assert (found.received, found.sent) == ([], [])


def test_entries_of_another_session_do_not_count(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    journal = Journal.memory(max_sessions=1)
    received(journal, 2)
    ledger.write({**entry(2, "E1"), "session": "FIX.4.4:BROKER:OTHER"})
    assert len(find_unrecorded(journal, tmp_path / "ledger", SESSION).received) == 1


def test_an_entry_that_a_kill_cut_short_is_taken_away_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(orjson.dumps(entry(2)) + b'\n{"session": "FI')
    Ledger(path).write(entry(3))
    assert [each["seq"] for each in read_ledger(path)] == [2, 3]
