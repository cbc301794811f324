"""The lines of a drop copy: each message once, whatever happens between two runs."""

import json
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.native import record as names
from gateway.native.journal import Journal
from gateway.receiver.copies import Copies

REPORT = b"8=FIX.4.4\x019=5\x0135=8\x0134=1\x01554=secret\x0111=a\x0110=000\x01"


def log_of(count: int) -> Journal:
    log = Journal.memory(segment_bytes=1 << 20, max_records=1 << 12, max_sessions=2, max_seq=1 << 10)
    for i in range(1, count + 1):
        flags = names.APPLICATION if i % 2 else 0
        log.append(names.IN, i % 3, REPORT, seq=i, flags=flags)
    return log


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_application_messages_alone_are_written_with_their_sessions_name(tmp_path: Path):
    output = tmp_path / "copies"
    copies = Copies(log_of(9), ["ONE", "TWO"], output, None)
    assert copies.write_new() == 5
    assert not copies.behind
    copies.close()
    assert [line["lsn"] for line in lines(output)] == [1, 3, 5, 7, 9]
    assert [line["session_name"] for line in lines(output)] == ["TWO", "ONE", "2", "TWO", "ONE"]
    assert "secret" not in output.read_text()


def test_a_file_is_gone_on_with_behind_its_last_whole_line(tmp_path: Path):
    output = tmp_path / "copies"
    for count, torn in ((5, b'{"lsn": 7, "ki'), (5, b""), (9, b"")):
        copies = Copies(log_of(count), ["ONE"], output, None)
        copies.write_new()
        copies.close()
        with output.open("ab") as file:
            file.write(torn)
    assert [line["lsn"] for line in lines(output)] == [1, 3, 5, 7, 9]


def test_what_is_not_in_the_log_any_more_is_said(tmp_path: Path):
    output = tmp_path / "copies"
    log = log_of(9)
    copies = Copies(log, ["ONE"], output, None)
    copies.write_new()
    log.truncate(4)
    copies.truncated()
    log.append(names.IN, 0, REPORT, seq=5, flags=names.APPLICATION)
    copies.write_new()
    copies.close()
    assert [(line["kind"], line["lsn"]) for line in lines(output)[-2:]] == [("TRUNCATED", 4), ("IN", 5)]
    again = Copies(log, ["ONE"], output, None)
    assert again.write_new() == 0
    again.close()


def test_a_file_of_something_else_is_not_written_to(tmp_path: Path):
    output = tmp_path / "copies"
    output.write_text("notes\n")
    with pytest.raises(GatewayError, match="none of a drop copy"):
        Copies(log_of(1), ["ONE"], output, None)
    assert output.read_text() == "notes\n"


def test_the_first_lsn_can_be_named(tmp_path: Path):
    output = tmp_path / "copies"
    copies = Copies(log_of(9), ["ONE"], output, 6)
    copies.write_new()
    copies.close()
    assert [line["lsn"] for line in lines(output)] == [7, 9]
