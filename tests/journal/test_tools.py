"""`gateway journal`: what it shows, what it hides, what it finds."""

import json
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.journal.cli import app
from gateway.journal.export import as_object
from gateway.journal.fields import SECRET_TAGS, masked_fields
from gateway.native import record as names
from gateway.native.journal import Journal

LOGON = (
    b"8=FIX.4.4\x019=99\x0135=A\x0149=US\x01553=user\x01554=hunter2\x01925=hunter3\x01"
    b"95=9\x0196=raw\x01554=x\x011401=4\x011402=\x01\x01\x01\x01\x01108=30\x0110=000\x01"
)


@pytest.fixture
def path(tmp_path):
    with Journal.open(tmp_path / "journal", segment_bytes=1 << 16, max_records=1 << 12, max_seq=1 << 10) as journal:
        journal.append(names.EPOCH, 0, b"", epoch=3)
        journal.append(names.OUT, 0, LOGON, seq=1, epoch=3, time_ns=1_700_000_000_123_456_789)
        journal.append(
            names.IN, 0, b"8=FIX.4.4\x0135=8\x0158=caf\xe9\x01", seq=1, aux=2, epoch=3, flags=names.APPLICATION
        )
        journal.append(names.STATE, 0, struct.pack("<QQ", 7, 9), aux=2, epoch=3)
        journal.append(names.STATE, 0, b"\x01", aux=3, epoch=3, client=4)
        journal.append(names.REJECTED, 0, struct.pack("<H", 2) + b"A1" + b"throttle", aux=12, epoch=3)
        journal.append(names.CHECKPOINT, 0, struct.pack("<H", 3) + b"key" + b"554=secret", epoch=3)
        journal.append(names.OUT, 0, b"8=FIX.4.4\x0135=D\x0111=A2\x01", seq=5, epoch=4)
    return tmp_path / "journal"


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_export_writes_one_object_a_line(path):
    lines = [json.loads(line) for line in run("export", path).splitlines()]
    assert [line["lsn"] for line in lines] == list(range(1, 9))
    assert [line["kind"] for line in lines] == ["EPOCH", "OUT", "IN", "STATE", "STATE", "REJECTED", "CHECKPOINT", "OUT"]
    assert lines[1]["time"] == "2023-11-14T22:13:20.123456789Z"
    assert lines[2]["fields"][2] == [58, "caf\xe9"]
    assert lines[2]["flags"] == ["APPLICATION"]
    assert (lines[3]["state"], lines[3]["next_out"], lines[3]["next_in"]) == ("SET_SEQ", 7, 9)
    assert (lines[4]["state"], lines[4]["killed"], lines[4]["client"]) == ("KILL", True, 4)
    assert (lines[5]["clordid"], lines[5]["text"]) == ("A1", "throttle")
    assert (lines[6]["key"], lines[6]["value_bytes"]) == ("key", 10)


def test_export_takes_a_range_and_a_new_file(path, tmp_path):
    run("export", path, "--from", 3, "--to", 5, "-o", tmp_path / "out.jsonl")
    assert [json.loads(line)["lsn"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [3, 4, 5]
    run("export", path, "-o", tmp_path / "out.jsonl", code=2)


def test_no_secret_leaves_the_journal(path):
    for output in (run("export", path), run("inspect", path, "--last", 8), run("inspect", path, "--lsn", 2)):
        assert "user" in output
        for secret in ("hunter2", "hunter3", "raw", "secret"):
            assert secret not in output


def test_the_fields_behind_a_secret_with_soh_in_it_are_read_right():
    fields = masked_fields(LOGON)
    assert [tag for tag, _ in fields] == [8, 9, 35, 49, 553, 554, 925, 95, 96, 1401, 1402, 108, 10]
    assert dict(fields)[108] == "30"


@pytest.mark.parametrize(
    "start", [b"96=", b"95=\x0196=", b"95=x\x0196=", b"95=99\x0196=", b"95=3\x0196=", b"1402=", b"1404="]
)
def test_a_secret_of_unclear_length_hides_all_that_follows(start):
    fields = masked_fields(b"35=A\x01" + start + b"abcd\x01efgh\x0158=ijkl\x01")
    text = json.dumps(fields)
    assert not any(piece in text for piece in ("abcd", "efgh", "ijkl"))
    assert fields[0] == (35, "A")


@given(st.binary(max_size=200))
def test_any_bytes_can_be_shown(payload):
    masked_fields(payload)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 2000).filter(lambda tag: tag not in (90, 95, 1401, 1403, *SECRET_TAGS)),
            st.text("abc =|", min_size=1, max_size=8),
        )
    )
)
def test_what_is_no_secret_is_shown_as_it_is(fields):
    message = "".join(f"{tag}={value}\x01" for tag, value in fields).encode()
    assert masked_fields(message) == fields


def test_inspect_sums_up(path):
    output = run("inspect", path)
    for expected in ("1 to 8", "2 OUT", "3 (LSN 1 to 7), 4 (LSN 8 to 8)", "numbers skipped"):
        assert expected in output
    assert run("inspect", path, "--lsn", 9, code=2)


def test_verify_is_content_with_a_sound_journal(path):
    assert run("verify", path).splitlines()[-1] == "sound"


def test_verify_works_beside_a_live_node(tmp_path):
    with Journal.open(tmp_path, segment_bytes=1 << 16, max_records=1 << 12, max_seq=1 << 10) as journal:
        journal.append(names.OUT, 0, b"x", seq=1)
        assert "1 records" in run("verify", tmp_path)


def test_verify_tells_of_damage_and_leaves_it(path):
    with Journal.open(path, read_only=True) as journal:
        _, offset = journal.place_of(2)
    segment = path / f"{1:020d}.log"
    content = bytearray(segment.read_bytes())
    content[offset + 50] ^= 1
    segment.write_bytes(content)
    output = run("verify", path, code=1)
    assert "LSN 2 is damaged" in output
    assert segment.read_bytes() == content


def test_an_export_that_ends_at_damage_says_so_and_fails(path, tmp_path):
    with Journal.open(path, read_only=True) as journal:
        _, offset = journal.place_of(3)
    with (path / f"{1:020d}.log").open("r+b") as segment:
        segment.seek(offset + 50)
        segment.write(b"\xff\xff")
    assert "LSN 3 is damaged" in run("export", path, "--output", tmp_path / "out", code=1)
    assert len((tmp_path / "out").read_bytes().splitlines()) == 2
    assert "LSN 3 is damaged" in run("export", path, code=1)


def test_verify_tells_of_a_torn_tail(path):
    with Journal.open(path, read_only=True) as journal:
        _, offset = journal.place_of(8)
    os.truncate(path / f"{1:020d}.log", offset + 60)
    assert "torn tail of" in run("verify", path)


def test_records_set_aside_can_be_inspected_and_exported(path):
    with Journal.open(path) as journal:
        expected = [as_object(record) for record in journal.records(6)]
        kept = journal.truncate(5)
    assert [json.loads(line) for line in run("export", kept).splitlines()] == json.loads(json.dumps(expected))
    assert run("verify", kept).splitlines()[-1] == "sound"
