"""What a journal does after a kill, a torn tail, damage, a loss of power, on a full disk, beside another process."""

import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import JournalCorruptError, JournalError
from gateway.native import record as names
from gateway.native.journal import Journal

SEGMENT_BYTES = 1 << 16
PAGE = 4096
PER_SEGMENT = (SEGMENT_BYTES - PAGE) // 248  # records of 200 payload bytes
SMALL = {"segment_bytes": SEGMENT_BYTES, "max_records": 1 << 16, "max_sessions": 4, "max_seq": 1 << 10}

# Offsets in journal.meta and in a segment's header.
META_VERSION, META_CLEAN, META_FLUSHED, META_TRUNCATE, META_TRUNCATING, META_BOOT_ID = 8, 20, 24, 48, 56, 60
SEGMENT_VERSION = 8


def open_small(path: Path, **other) -> Journal:
    return Journal.open(path, **{**SMALL, **other})


def fill(journal, count, payload_bytes=200, epoch=1):
    for _ in range(count):
        seq = journal.last_lsn + 1
        journal.append(names.OUT, 0, bytes([1 + seq % 251]) * payload_bytes, seq=seq, epoch=epoch)


def made(path, count, *, closed=True):
    """A journal of `count` records, closed in order or as a kill leaves it; its records."""
    journal = open_small(path)
    fill(journal, count)
    records = list(journal.records())
    if closed:
        journal.close()
    return records


def overwrite(file, offset, content):
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(content)


def segment(path, first_lsn=1):
    return path / f"{first_lsn:020d}.log"


def place(lsn):
    """(first LSN of the segment, offset) of a record of made()."""
    return (lsn - 1) // PER_SEGMENT * PER_SEGMENT + 1, PAGE + (lsn - 1) % PER_SEGMENT * 248


def lose_power(path, flushed):
    """As if the host had started anew, with `flushed` as the watermark on the disk."""
    meta = path / "journal.meta"
    overwrite(meta, META_BOOT_ID, b"another-boot".ljust(40, b"\0"))
    overwrite(meta, META_CLEAN, struct.pack("<I", 0))
    overwrite(meta, META_FLUSHED, struct.pack("<Q", flushed))


# --- kill -9 ---------------------------------------------------------------------------------------------------------

WRITER = """
import os, sys
from gateway.native.journal import Journal
from gateway.native import record as names
journal = Journal.open(sys.argv[1], segment_bytes=65536, max_records=1 << 20, max_sessions=4, max_seq=1 << 20)
os.write(1, b"%d\\n" % journal.last_lsn)
while True:
    seq = journal.last_lsn + 1
    journal.append(names.OUT, 0, b"%d " % seq * (1 + seq * 7919 % 90), seq=seq)
    journal.reserve_and_abandon(b"\\xff" * (seq * 104729 % 3000))
    if seq % 16 == 0:
        os.write(1, b"%d\\n" % seq)
    if seq % 4001 == 0:
        journal.truncate(seq - 100)
    if seq % 1000 == 0:
        journal.flush()
"""


def run_and_kill(path, lines):
    """Starts the writer, kills it after so many lines; the last LSN it told of."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    told = 0
    for _ in range(lines):
        told = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()
    return int(rest[-1]) if rest else told


def test_a_killed_writer_leaves_a_clean_prefix_with_all_that_it_told(tmp_path):
    chance = random.Random(7)
    for _ in range(8):
        told = run_and_kill(tmp_path, chance.randrange(2, 700))
        with Journal.open(tmp_path, read_only=True) as reader:
            assert reader.recovery.damage is None
        with open_small(tmp_path, max_records=1 << 20, max_seq=1 << 20) as journal:
            assert not journal.recovery.torn
            assert not journal.recovery.power_lost
            assert not journal.recovery.tail_may_be_lost
            assert journal.last_lsn >= told - 100  # a truncation takes 100
            for lsn, record in enumerate(journal.records(), 1):
                assert record.lsn == record.seq == lsn
                assert record.payload == b"%d " % lsn * (1 + lsn * 7919 % 90)


def test_a_kill_between_two_segments_is_no_damage(tmp_path):
    """The mark at the end of the old segment is written, the header of the new one only in part."""
    records = made(tmp_path, PER_SEGMENT + 1, closed=False)
    second = segment(tmp_path, PER_SEGMENT + 1)
    if not second.exists():
        second = tmp_path / "prepared.log"
    second.rename(tmp_path / "prepared.log")
    overwrite(tmp_path / "prepared.log", 0, bytes(PAGE + 248))
    overwrite(tmp_path / "prepared.log", 0, struct.pack("<Q", 0x474F4C4E47584946))
    with open_small(tmp_path) as journal:
        assert list(journal.records()) == records[:-1]
        assert not journal.recovery.torn
        fill(journal, 3)
        assert journal.last_lsn == PER_SEGMENT + 3


def test_a_truncation_that_was_interrupted_is_finished(tmp_path):
    records = made(tmp_path, 3 * PER_SEGMENT)
    for kept in (2 * PER_SEGMENT + 5, PER_SEGMENT, 40):
        overwrite(tmp_path / "journal.meta", META_TRUNCATE, struct.pack("<QI", kept, 1))
        with open_small(tmp_path) as journal:
            assert list(journal.records()) == records[:kept]
            assert not journal.recovery.torn
        with open_small(tmp_path) as journal:
            assert len(journal) == kept
            fill(journal, 1)
            journal.truncate(kept)


# --- torn tails ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 260), st.data())
def test_a_chopped_tail_is_cut_off_reported_and_kept(tmp_path_factory, count, data):
    path = tmp_path_factory.mktemp("chopped")
    records = made(path, count)
    first, offset = place(count)
    size = data.draw(st.integers(offset, offset + 247))
    os.truncate(segment(path, first), size)
    with Journal.open(path, read_only=True) as reader:
        assert list(reader.records()) == records[:-1]
    with open_small(path) as journal:
        assert list(journal.records()) == records[:-1]
        found = journal.recovery
        assert found.tail_may_be_lost
        assert found.lost_from_lsn == count
        assert found.torn == (size > offset)
        if found.torn:
            assert found.torn_file.read_bytes() == records[-1].raw[: size - offset].rstrip(b"\0")
            assert found.truncated_bytes == found.torn_file.stat().st_size
        fill(journal, 2)
    with open_small(path) as journal:
        assert len(journal) == count + 1
        assert not journal.recovery.torn


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_last_record_is_cut_off_reported_and_kept(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged")
    count = data.draw(st.sampled_from([1, 2, 100, PER_SEGMENT, PER_SEGMENT + 1]))
    records = made(path, count)
    first, offset = place(count)
    at = data.draw(st.integers(0, 247))
    before = (records[-1].raw)[at]
    overwrite(segment(path, first), offset + at, bytes([before ^ data.draw(st.integers(1, 255))]))
    with open_small(path) as journal:
        assert list(journal.records()) == records[:-1]
        assert journal.recovery.torn
        assert journal.recovery.lost_from_lsn == count
        assert len(journal.recovery.torn_file.read_bytes()) == journal.recovery.truncated_bytes
    with open_small(path) as journal:
        assert list(journal.records()) == records[:-1]


def test_a_lost_tail_is_reported_until_the_owner_has_dealt_with_it(tmp_path):
    made(tmp_path, 10)
    overwrite(segment(tmp_path), place(10)[1] + 100, b"??")
    for _ in range(2):
        with open_small(tmp_path) as journal:
            assert journal.recovery.lost_from_lsn == 10
    with open_small(tmp_path) as journal:
        journal.tail_settled()
    with open_small(tmp_path) as journal:
        assert not journal.recovery.tail_may_be_lost


def test_what_was_cut_may_have_been_flushed_and_that_is_reported_as_long(tmp_path):
    made(tmp_path, 10)
    overwrite(segment(tmp_path), place(10)[1] + 100, b"??")
    for _ in range(2):
        with open_small(tmp_path) as journal:
            assert journal.recovery.tail_was_cut
            journal.flush()
    with open_small(tmp_path) as journal:
        journal.tail_settled()
    with open_small(tmp_path) as journal:
        assert not journal.recovery.tail_was_cut


def test_a_journal_that_was_made_anew_says_so_until_it_is_filled(tmp_path):
    for _ in range(2):
        with open_small(tmp_path) as journal:
            assert journal.recovery.new
    with open_small(tmp_path) as journal:
        journal.tail_settled()
    with open_small(tmp_path) as journal:
        assert not journal.recovery.new


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_flipped_bit_is_never_silently_used(data):
    journal = Journal.memory(segment_bytes=1 << 16)
    fill(journal, 600)
    journal.flush()
    lsn = data.draw(st.integers(1, 600))
    before = list(journal.records())
    journal.flip_bit(lsn, data.draw(st.integers(0, len(before[lsn - 1].raw) * 8 - 1)))
    try:
        torn = journal.read_again(True)
    except JournalCorruptError:
        return
    assert torn
    assert lsn == 600
    assert list(journal.records()) == before[:599]


def test_records_that_were_flushed_and_are_gone_are_reported(tmp_path):
    records = made(tmp_path, 20)
    overwrite(segment(tmp_path), place(19)[1], bytes(2 * 248))
    with open_small(tmp_path) as journal:
        assert list(journal.records()) == records[:18]
        assert journal.recovery.lost_from_lsn == 19


def test_garbage_that_was_never_published_is_no_tail(tmp_path):
    records = made(tmp_path, 5)
    overwrite(segment(tmp_path), place(6)[1] + 4, b"\xff" * 1000)
    with open_small(tmp_path) as journal:
        assert list(journal.records()) == records
        assert not journal.recovery.torn
        fill(journal, 8)
    with open_small(tmp_path) as journal:
        assert len(journal) == 13


# --- damage in the middle --------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_in_the_middle_is_refused_and_nothing_is_changed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("middle")
    count = 2 * PER_SEGMENT + 10
    records = made(path, count)
    lsn = data.draw(st.integers(1, count - 1))
    first, offset = place(lsn)
    at = data.draw(st.integers(0, 247))
    overwrite(segment(path, first), offset + at, bytes([records[lsn - 1].raw[at] ^ data.draw(st.integers(1, 255))]))
    before = {file.name: file.read_bytes() for file in path.glob("0*.log")}
    with pytest.raises(JournalCorruptError) as caught:
        open_small(path)
    message = str(caught.value)
    assert segment(path, first).name in message
    assert f"offset {offset}" in message
    assert f"LSN {lsn} " in message
    assert "catches up from its peer" in message
    assert "gateway journal verify" in message
    assert {file.name: file.read_bytes() for file in path.glob("0*.log")} == before
    with Journal.open(path, read_only=True) as reader:
        assert list(reader.records()) == records[: lsn - 1]
        assert f"LSN {lsn} " in reader.recovery.damage


@pytest.mark.parametrize("zeros", [8, 248, PAGE])
def test_a_hole_of_zeros_in_the_middle_is_no_end(tmp_path, zeros):
    made(tmp_path, 100)
    overwrite(segment(tmp_path), place(20)[1], bytes(zeros))
    with pytest.raises(JournalCorruptError, match="LSN 20 is damaged"):
        open_small(tmp_path)


def test_a_missing_segment_is_refused(tmp_path):
    made(tmp_path, 3 * PER_SEGMENT)
    segment(tmp_path, PER_SEGMENT + 1).unlink()
    with pytest.raises(JournalCorruptError, match=f"expected {PER_SEGMENT + 1}"):
        open_small(tmp_path)


def test_a_missing_first_segment_is_refused(tmp_path):
    made(tmp_path, 2 * PER_SEGMENT)
    segment(tmp_path).unlink()
    with pytest.raises(JournalCorruptError, match=f"starts with LSN {PER_SEGMENT + 1}"):
        open_small(tmp_path)


def test_a_missing_meta_file_is_refused(tmp_path):
    made(tmp_path, 3)
    (tmp_path / "journal.meta").unlink()
    with pytest.raises(JournalCorruptError, match=r"journal\.meta: missing"):
        open_small(tmp_path)


@pytest.mark.parametrize("at", [0, 12, 24, 32, 36, 39])
def test_a_damaged_segment_header_is_refused(tmp_path, at):
    made(tmp_path, 3)
    overwrite(segment(tmp_path), at, b"\xee")
    with pytest.raises(JournalCorruptError, match="header is damaged"):
        open_small(tmp_path)
    with pytest.raises(JournalCorruptError, match="header is damaged"):
        Journal.open(tmp_path, read_only=True)


def test_a_middle_segment_that_was_cut_short_is_refused(tmp_path):
    made(tmp_path, 2 * PER_SEGMENT)
    os.truncate(segment(tmp_path), SEGMENT_BYTES - 8)
    with pytest.raises(JournalCorruptError, match="expected 65536"):
        open_small(tmp_path)


# --- loss of power ---------------------------------------------------------------------------------------------------


def test_after_a_loss_of_power_what_was_not_flushed_may_be_cut_even_before_good_records(tmp_path):
    records = made(tmp_path, 2 * PER_SEGMENT)
    lose_power(tmp_path, flushed=30)
    overwrite(segment(tmp_path), place(40)[1], bytes(248))
    with open_small(tmp_path) as journal:
        found = journal.recovery
        assert list(journal.records()) == records[:39]
        assert found.power_lost
        assert found.torn
        assert found.lost_from_lsn == 40
        assert records[-1].raw in found.torn_file.read_bytes()
        fill(journal, PER_SEGMENT)
    with open_small(tmp_path) as journal:
        assert len(journal) == 39 + PER_SEGMENT
        assert not journal.recovery.power_lost


def test_after_a_loss_of_power_damage_in_what_was_flushed_is_refused_each_time(tmp_path):
    made(tmp_path, 100)
    lose_power(tmp_path, flushed=50)
    overwrite(segment(tmp_path), place(40)[1] + 60, b"??")
    for _ in range(2):
        with pytest.raises(JournalCorruptError, match="LSN 40 is damaged"):
            open_small(tmp_path)


def test_after_a_loss_of_power_a_whole_log_may_still_miss_its_tail(tmp_path):
    records = made(tmp_path, 10)
    lose_power(tmp_path, flushed=5)
    with open_small(tmp_path) as journal:
        assert list(journal.records()) == records
        assert journal.recovery.power_lost
        assert not journal.recovery.torn
        assert journal.recovery.lost_from_lsn == 11


def test_a_new_start_of_the_host_after_an_orderly_end_is_no_loss(tmp_path):
    made(tmp_path, 10)
    overwrite(tmp_path / "journal.meta", META_BOOT_ID, b"another-boot".ljust(40, b"\0"))
    with open_small(tmp_path) as journal:
        assert not journal.recovery.power_lost
        assert not journal.recovery.tail_may_be_lost


def test_a_failed_opening_does_not_hide_the_loss_of_power(tmp_path):
    made(tmp_path, 600)
    lose_power(tmp_path, flushed=5)
    with pytest.raises(JournalError, match="max_records"):
        open_small(tmp_path, max_records=500)
    with open_small(tmp_path) as journal:
        assert journal.recovery.power_lost


# --- other processes, other formats, no space ------------------------------------------------------------------------


def test_a_journal_in_use_is_refused_and_the_process_is_named(tmp_path):
    with open_small(tmp_path), pytest.raises(JournalError, match=f"in use by process {os.getpid()}"):
        open_small(tmp_path)
    open_small(tmp_path).close()


def test_a_killed_process_holds_no_lock(tmp_path):
    run_and_kill(tmp_path, 3)
    open_small(tmp_path, max_records=1 << 20, max_seq=1 << 20).close()


@pytest.mark.parametrize("other", [{"node": 1}, {"pair_id": 6}])
def test_the_journal_of_another_node_or_pair_is_refused(tmp_path, other):
    open_small(tmp_path, node=0, pair_id=5).close()
    with pytest.raises(JournalError, match="journal of node a of pair 5"):
        open_small(tmp_path, **{"pair_id": 5, **other})


def test_another_format_version_is_refused_by_name(tmp_path):
    made(tmp_path, 3)
    overwrite(segment(tmp_path), SEGMENT_VERSION, struct.pack("<I", 7))
    for read_only in (False, True):
        with pytest.raises(JournalError, match=r"\.log: format version 7, this program reads 1"):
            open_small(tmp_path, read_only=read_only)
    overwrite(tmp_path / "journal.meta", META_VERSION, struct.pack("<I", 8))
    with pytest.raises(JournalError, match=r"journal\.meta: format version 8"):
        open_small(tmp_path)


def test_what_is_no_journal_is_refused(tmp_path):
    with pytest.raises(JournalError, match="no journal here"):
        Journal.open(tmp_path / "missing", read_only=True)
    with pytest.raises(JournalError, match="no journal here"):
        Journal.open(tmp_path, read_only=True)
    (tmp_path / "file").write_bytes(b"something else" * 1000)
    with pytest.raises(JournalCorruptError, match="header is damaged"):
        Journal.open(tmp_path / "file", read_only=True)
    with pytest.raises(JournalError, match="file"):
        open_small(tmp_path / "file")


FULL = """
import resource, sys
from gateway.errors import JournalError
from gateway.native.journal import Journal
from gateway.native import record as names
journal = Journal.open(sys.argv[1], segment_bytes=1 << 20, max_records=1 << 16, max_sessions=4, max_seq=1 << 10)
journal.append(names.OUT, 0, b"before", seq=1)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, hard))
try:
    for seq in range(2, 4000):
        journal.append(names.OUT, 0, bytes(1000), seq=seq)
except JournalError as error:
    print(error)
held = journal.last_lsn
journal.flush()
assert journal.flushed_lsn == held > 900, held
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert journal.append(names.OUT, 0, b"after", seq=9) == held + 1
journal.close()
print(held + 1)
"""


def test_without_space_appending_is_refused_until_there_is_some(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    message, records = done.stdout.splitlines()
    assert "File too large: free space or mend the disk" in message
    with Journal.open(tmp_path, read_only=True) as journal:
        assert len(journal) == int(records)
        assert journal.at(journal.last_lsn).payload == b"after"


FULL_AT_ONCE = """
import resource, sys
from gateway.errors import JournalError
from gateway.native.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 15, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    Journal.open(sys.argv[1], segment_bytes=65536, max_records=1 << 10, max_seq=1 << 10)
except JournalError as error:
    print(error)
"""


def test_without_space_a_new_journal_is_refused_and_can_be_made_later(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_AT_ONCE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "File too large: free space or mend the disk" in done.stdout
    made(tmp_path, 3)
