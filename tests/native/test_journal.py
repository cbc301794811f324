"""The journal against a list: what goes in comes out, after truncation, reset and reopening too."""

import resource
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import JournalError
from gateway.native import record as names
from gateway.native.journal import Journal

SEGMENT_BYTES = 1 << 16
OUT, IN = 0, 1
SMALL = {"segment_bytes": SEGMENT_BYTES, "max_records": 1 << 16, "max_sessions": 4, "max_seq": 1 << 10}


def open_small(path: Path, **other) -> Journal:
    return Journal.open(path, **{**SMALL, **other})


@pytest.fixture
def journal(tmp_path):
    with open_small(tmp_path / "journal") as opened:
        yield opened


def fill(journal, count, payload_bytes=200, epoch=1):
    for _ in range(count):
        seq = journal.last_lsn + 1
        journal.append(names.OUT, 0, bytes([seq % 251]) * payload_bytes, seq=seq, epoch=epoch)


# --- appending and looking up ----------------------------------------------------------------------------------------


def test_an_empty_journal_is_empty(journal):
    assert (journal.last_lsn, journal.first_lsn, journal.last_epoch, len(journal)) == (0, 0, 0, 0)
    assert journal.find(0, OUT, 1) is None
    assert journal.end_of_epoch(2**32 - 1) == 0
    assert list(journal.records()) == []
    with pytest.raises(KeyError, match="LSN 1"):
        journal.at(1)


def test_lsns_are_contiguous_from_one(journal):
    assert [journal.append(names.OUT, 0, b"x", seq=seq) for seq in (1, 2, 3)] == [1, 2, 3]


def test_a_record_keeps_its_fields(journal):
    lsn = journal.append(names.IN, 2, b"8=FIX.4.4\x01", seq=5, epoch=3, client=7, aux=9, flags=5, time_ns=11)
    record = journal.at(lsn)
    assert record == journal.find(2, IN, 5)
    assert (record.kind, record.session, record.payload) == (names.IN, 2, b"8=FIX.4.4\x01")
    assert (record.seq, record.epoch, record.client, record.aux, record.flags, record.time_ns) == (5, 3, 7, 9, 5, 11)


def test_directions_and_sessions_have_numbers_of_their_own(journal):
    for session in (0, 1):
        for kind in (names.OUT, names.IN):
            journal.append(kind, session, f"{session} {kind}".encode(), seq=1)
    assert journal.find(0, OUT, 1).payload == b"0 1"
    assert journal.find(0, IN, 1).payload == b"0 2"
    assert journal.find(1, IN, 1).payload == b"1 2"
    assert journal.find(2, IN, 1) is None


def test_the_last_record_with_a_number_wins(journal):
    journal.append(names.OUT, 0, b"first", seq=4)
    journal.append(names.OUT, 0, b"second", seq=4)
    assert journal.find(0, OUT, 4).payload == b"second"


def test_a_reset_makes_older_numbers_unknown_in_its_session_only(journal):
    journal.append(names.OUT, 0, b"old", seq=1)
    journal.append(names.OUT, 1, b"other", seq=1)
    journal.append(names.STATE, 0, b"", aux=1, flags=names.RESET)
    assert journal.find(0, OUT, 1) is None
    assert journal.find(1, OUT, 1).payload == b"other"
    journal.append(names.OUT, 0, b"new", seq=1)
    assert journal.find(0, OUT, 1).payload == b"new"


@pytest.mark.parametrize(("session", "seq"), [(0, 1 << 20), (9, 3), (65535, 2**40)])
def test_beyond_the_index_a_number_is_still_found(journal, session, seq):
    journal.append(names.OUT, session, b"old", seq=seq)
    journal.append(names.STATE, session, b"", aux=1, flags=names.RESET)
    assert journal.find(session, OUT, seq) is None
    journal.append(names.OUT, session, b"new", seq=seq)
    assert journal.find(session, OUT, seq).payload == b"new"
    assert journal.find(session, IN, seq) is None


def test_end_of_epoch_is_the_last_lsn_of_that_epoch_or_an_earlier_one(journal):
    for epoch in (2, 2, 5, 7):
        journal.append(names.OUT, 0, b"x", seq=1, epoch=epoch)
    assert [journal.end_of_epoch(epoch) for epoch in (0, 1, 2, 4, 5, 6, 7, 100)] == [0, 0, 2, 2, 3, 3, 4, 4]


def test_an_epoch_never_goes_back(journal):
    journal.append(names.OUT, 0, b"x", epoch=5)
    with pytest.raises(ValueError, match="epoch 4 after epoch 5"):
        journal.append(names.OUT, 0, b"x", epoch=4)
    assert journal.last_lsn == 1


def test_an_abandoned_reservation_leaves_nothing(journal, tmp_path):
    journal.append(names.OUT, 0, b"before", seq=1)
    journal.reserve_and_abandon(b"\xff" * 500)
    assert journal.last_lsn == 1
    journal.append(names.OUT, 0, b"after", seq=2)
    journal.reserve_and_abandon(b"\xff" * 900)
    assert [record.payload for record in Journal.open(tmp_path / "journal", read_only=True).records()] == [
        b"before",
        b"after",
    ]
    journal.close()
    with open_small(tmp_path / "journal") as again:
        assert [record.payload for record in again.records()] == [b"before", b"after"]
        assert not again.recovery.torn


# --- segments --------------------------------------------------------------------------------------------------------


def test_records_go_on_in_the_next_segment_and_none_straddles(journal, tmp_path):
    fill(journal, 1000)
    segments = {journal.place_of(lsn)[0] for lsn in range(1, 1001)}
    assert len(segments) > 2
    for lsn in range(1, 1001):
        _, offset = journal.place_of(lsn)
        assert offset >= 4096
        assert offset + len(journal.at(lsn).raw) <= SEGMENT_BYTES
    journal.prepare()
    assert {f"{first:020d}.log" for first in segments} == {path.name for path in (tmp_path / "journal").glob("0*.log")}


@pytest.mark.parametrize("payload_bytes", [*range(192, 209), 1000, SEGMENT_BYTES - 4096 - 48])
def test_segments_are_filled_whatever_the_record_size(tmp_path, payload_bytes):
    padded = (48 + payload_bytes + 7) // 8 * 8
    per_segment = (SEGMENT_BYTES - 4096) // padded
    with open_small(tmp_path) as journal:
        fill(journal, per_segment + 1, payload_bytes)
        assert journal.place_of(per_segment)[0] == 1
        assert journal.place_of(per_segment + 1)[0] == per_segment + 1
    with open_small(tmp_path) as journal:
        assert len(journal) == per_segment + 1
        fill(journal, 1, payload_bytes)
        assert journal.last_lsn == per_segment + 2


def test_the_next_segment_is_ready_long_before_the_present_one_is_full(journal):
    fill(journal, journal.segment_bytes // 7 // 240)
    journal.prepare()
    assert (journal.path / "prepared.log").exists()


def test_a_record_larger_than_a_segment_is_refused(journal):
    with pytest.raises(JournalError, match="does not fit"):
        journal.append(names.OUT, 0, bytes(SEGMENT_BYTES - 4096 - 47))
    assert journal.append(names.OUT, 0, bytes(SEGMENT_BYTES - 4096 - 48)) == 1


def test_a_large_record_gets_a_new_segment_though_the_present_one_is_almost_empty(journal):
    journal.append(names.OUT, 0, bytes(20000))
    assert journal.append(names.OUT, 0, bytes(50000)) == 2


def test_more_records_than_the_index_holds_are_refused():
    with Journal.memory(segment_bytes=1 << 20, max_records=1000, max_seq=16) as journal:
        with pytest.raises(JournalError, match="of at most 1023 records are taken"):
            fill(journal, 2000, 10)
        assert journal.last_lsn == 1023
        assert journal.at(1023).seq == 1023


def test_opening_with_too_small_an_index_says_so(tmp_path):
    with open_small(tmp_path) as journal:
        fill(journal, 1000, 20)
    with pytest.raises(JournalError, match="max_records"):
        open_small(tmp_path, max_records=500)


def test_an_existing_journal_keeps_its_segment_size(tmp_path):
    with open_small(tmp_path) as journal:
        fill(journal, 10)
    with open_small(tmp_path, segment_bytes=1 << 20) as journal:
        assert journal.segment_bytes == SEGMENT_BYTES


@pytest.mark.parametrize(
    "wrong",
    [
        {"segment_bytes": 1000},
        {"segment_bytes": (1 << 16) + 8},
        {"segment_bytes": 1 << 32},
        {"max_sessions": 0},
        {"max_sessions": 65537},
        {"max_records": 0},
        {"max_seq": 0},
    ],
)
def test_sizes_out_of_bounds_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Journal.memory(**wrong)


# --- raw records -----------------------------------------------------------------------------------------------------


def test_a_copy_by_raw_records_is_the_same_byte_for_byte(journal):
    fill(journal, 700)
    with Journal.memory() as copy:
        for record in journal.records():
            assert copy.append_raw(record.raw) == record.lsn
        assert list(copy.records()) == list(journal.records())
        assert copy.find(0, OUT, 500) == journal.find(0, OUT, 500)


def test_raw_records_out_of_order_damaged_or_cut_are_refused(journal):
    with Journal.memory() as copy:
        fill(journal, 3, epoch=4)
        first, second, third = (record.raw for record in journal.records())
        with pytest.raises(JournalError, match="LSN 2 of epoch 4 does not follow LSN 0"):
            copy.append_raw(second)
        copy.append_raw(first)
        with pytest.raises(JournalError, match="does not follow"):
            copy.append_raw(first)
        with pytest.raises(JournalError, match="wrong CRC"):
            copy.append_raw(second[:-1] + b"?")
        with pytest.raises(JournalError, match="another length"):
            copy.append_raw(second[:-1])
        with pytest.raises(JournalError, match="another length"):
            copy.append_raw(b"")
        copy.append_raw(second)
        copy.append_raw(third)
        assert list(copy.records()) == list(journal.records())


def test_a_raw_record_of_an_earlier_epoch_is_refused(journal):
    with Journal.memory() as older:
        older.append(names.OUT, 0, b"x", epoch=1)
        older.append(names.OUT, 0, b"y", epoch=1)
        journal.append(names.OUT, 0, b"z", epoch=2)
        with pytest.raises(JournalError, match="epoch 1 does not follow LSN 1 of epoch 2"):
            journal.append_raw(older.at(2).raw)


# --- truncation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 1, 247, 248, 249, 500, 999])
def test_truncation_cuts_and_keeps_what_it_cuts(journal, tmp_path, keep):
    fill(journal, 1000)
    before = list(journal.records())
    kept = journal.truncate(keep)
    assert list(journal.records()) == before[:keep]
    assert kept.name == f"diverged-1-{keep + 1}-{1000 - keep}.log"
    with Journal.open(kept, read_only=True) as aside:
        assert list(aside.records()) == before[keep:]
        assert aside.first_lsn == keep + 1
    assert journal.find(0, OUT, keep + 1) is None
    fill(journal, 300, 111)
    after = list(journal.records())
    assert after[:keep] == before[:keep]
    journal.close()
    with open_small(tmp_path / "journal") as again:
        assert list(again.records()) == after


def test_truncation_brings_back_what_the_cut_records_hid(journal):
    journal.append(names.OUT, 0, b"first", seq=1, epoch=1)
    journal.append(names.OUT, 0, b"second", seq=1, epoch=2)
    journal.append(names.STATE, 0, b"", flags=names.RESET, epoch=2)
    journal.truncate(1)
    assert journal.find(0, OUT, 1).payload == b"first"
    assert (journal.last_epoch, journal.end_of_epoch(9)) == (1, 1)


def test_truncation_goes_to_the_file_that_is_named(journal, tmp_path):
    fill(journal, 5)
    kept = journal.truncate(2, tmp_path / "aside.log")
    assert kept == tmp_path / "aside.log"
    with Journal.open(kept, read_only=True) as aside:
        assert [record.lsn for record in aside.records()] == [3, 4, 5]


def test_two_truncations_at_the_same_place_keep_two_files(journal):
    fill(journal, 5)
    first = journal.truncate(3)
    fill(journal, 2)
    second = journal.truncate(3)
    assert first != second
    assert first.exists()
    assert second.exists()


def test_truncation_beyond_the_end_does_nothing(journal):
    fill(journal, 3)
    assert journal.truncate(3) is None
    assert journal.truncate(99) is None
    assert journal.last_lsn == 3


def test_when_the_cut_records_cannot_be_kept_nothing_is_cut(journal, tmp_path):
    fill(journal, 5)
    with pytest.raises(JournalError, match="nothing was truncated"):
        journal.truncate(2, tmp_path / "missing" / "aside.log")
    assert journal.last_lsn == 5


def test_what_could_not_be_kept_whole_is_not_left_behind(journal, tmp_path):
    """A standby tries again: a full disk must not fill with beginnings of the same file."""
    fill(journal, 1000)
    before, limits = sorted(tmp_path.rglob("*")), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(JournalError, match="nothing was truncated"):
            journal.truncate(2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (journal.last_lsn, sorted(tmp_path.rglob("*"))) == (1000, before)


@pytest.mark.parametrize("tried_again", [True, False])
def test_a_truncation_that_failed_half_way_takes_nothing_of_what_comes_later(journal, tmp_path, tried_again):
    fill(journal, 400)
    journal.truncate(300)  # its segments have their names now
    fill(journal, 10)
    behind = sorted((tmp_path / "journal").glob("0*.log"))[-1]
    behind.unlink()
    behind.mkdir()  # cannot be removed now: as on a failing disk
    with pytest.raises(JournalError, match="did not finish"):
        journal.truncate(2)
    behind.rmdir()
    if tried_again:
        assert journal.truncate(2) is None
    fill(journal, 100, 111)
    after = list(journal.records())
    journal.close()
    with open_small(tmp_path / "journal") as again:
        assert list(again.records()) == after


def test_after_it_the_log_goes_on_in_no_further_segment_before_it_was_tried_again(journal, tmp_path):
    fill(journal, 400)
    journal.truncate(300)
    fill(journal, 10)
    behind = sorted((tmp_path / "journal").glob("0*.log"))[-1]
    kept = behind.rename(tmp_path / "kept")
    behind.mkdir()
    with pytest.raises(JournalError, match="did not finish"):
        journal.truncate(2)
    behind.rmdir()
    kept.rename(behind)  # it could not be removed, and is there
    with pytest.raises(JournalError):
        fill(journal, 1000, 111)
    journal.truncate(journal.last_lsn)
    fill(journal, 1000, 111)
    after = list(journal.records())
    journal.close()
    with open_small(tmp_path / "journal") as again:
        assert list(again.records()) == after


# --- durability and closing ------------------------------------------------------------------------------------------


def test_flushing_moves_the_watermark_to_the_end(journal):
    fill(journal, 900)
    assert journal.flushed_lsn == 0
    journal.flush()
    assert journal.flushed_lsn == 900
    journal.truncate(500)
    assert journal.flushed_lsn == 500
    fill(journal, 10)
    assert journal.flushed_lsn == 500
    journal.flush()
    assert journal.flushed_lsn == 510


def test_incarnations_grow_over_restarts(tmp_path):
    with open_small(tmp_path) as journal:
        assert journal.next_incarnation(1000) == 1000
        assert journal.next_incarnation(1000) == 1001
    with open_small(tmp_path) as journal:
        assert journal.next_incarnation(5) == 1002
        assert journal.next_incarnation(5000) == 5000


def test_a_closed_journal_refuses_everything_and_reads_nothing(tmp_path):
    journal = open_small(tmp_path)
    fill(journal, 3)
    iterator = journal.records()
    next(iterator)
    journal.close()
    journal.close()
    for use in (
        lambda: journal.append(names.OUT, 0, b"x"),
        journal.flush,
        journal.prepare,
        lambda: journal.truncate(1),
        lambda: journal.append_raw(bytes(48)),
        journal.next_incarnation,
    ):
        with pytest.raises(JournalError, match="closed"):
            use()
    assert journal.find(0, OUT, 1) is None
    assert journal.end_of_epoch(1) == 0
    assert list(iterator) == []


def test_reading_beside_the_writer_sees_a_prefix(journal, tmp_path):
    fill(journal, 10)
    with Journal.open(tmp_path / "journal", read_only=True) as reader:
        fill(journal, 500)
        assert [record.lsn for record in reader.records()] == list(range(1, 11))
        with pytest.raises(JournalError, match="reading only"):
            reader.append(names.OUT, 0, b"x")
    with Journal.open(tmp_path / "journal", read_only=True) as reader:
        assert list(reader.records()) == list(journal.records())
        assert reader.recovery.damage is None


def test_no_descriptor_stays_open(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    with open_small(tmp_path) as journal:
        fill(journal, 2000)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# --- against a list --------------------------------------------------------------------------------------------------

payloads = st.binary(max_size=60) | st.integers(0, 9000).map(lambda size: b"\xa7" * size)


class AgainstAList(RuleBasedStateMachine):
    """Every rule does to a list what it does to the journal; the invariants compare the two."""

    @initialize()
    def start(self):
        self.path = Path(tempfile.mkdtemp(dir=self.root))
        self.journal = open_small(self.path)
        self.model = []

    @rule(
        kind=st.sampled_from([names.OUT, names.IN, names.CHECKPOINT]),
        session=st.integers(0, 5),
        payload=payloads,
        seq=st.integers(0, 6) | st.integers(1020, 1030),
        newer=st.integers(0, 1),
    )
    def append(self, kind, session, payload, seq, newer):
        epoch = max(1, self.journal.last_epoch + newer)
        lsn = self.journal.append(kind, session, payload, seq=seq, epoch=epoch)
        self.model.append((lsn, epoch, kind, 0, session, seq, payload))

    @rule(session=st.integers(0, 5))
    def reset(self, session):
        epoch = max(1, self.journal.last_epoch)
        lsn = self.journal.append(names.STATE, session, b"", aux=1, flags=names.RESET, epoch=epoch)
        self.model.append((lsn, epoch, names.STATE, names.RESET, session, 0, b""))

    @rule(payload=payloads, seq=st.integers(0, 6))
    def append_raw(self, payload, seq):
        epoch = max(1, self.journal.last_epoch)
        raw = raw_record(len(self.model) + 1, epoch, names.IN, 1, seq, payload)
        lsn = self.journal.append_raw(raw)
        self.model.append((lsn, epoch, names.IN, 0, 1, seq, payload))

    @rule(payload=payloads)
    def abandon(self, payload):
        self.journal.reserve_and_abandon(payload)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def truncate(self, data):
        lsn = data.draw(st.integers(0, len(self.model)))
        self.journal.truncate(lsn)
        del self.model[lsn:]

    @rule(orderly=st.booleans())
    def reopen(self, orderly):
        if orderly:
            self.journal.close()
        else:
            del self.journal  # nothing is written any more, as after a kill
        self.journal = open_small(self.path)
        assert not self.journal.recovery.torn
        assert not self.journal.recovery.tail_may_be_lost

    @rule()
    def flush(self):
        self.journal.flush()
        assert self.journal.flushed_lsn == len(self.model)

    @invariant()
    def same_records(self):
        found = [(r.lsn, r.epoch, r.kind, r.flags, r.session, r.seq, r.payload) for r in self.journal.records()]
        assert found == self.model
        assert self.journal.last_lsn == len(self.model)
        assert self.journal.flushed_lsn <= self.journal.last_lsn

    @invariant()
    def same_numbers(self):
        expected = {}
        for lsn, _, kind, flags, session, seq, _ in self.model:
            if flags & names.RESET:
                expected = {key: value for key, value in expected.items() if key[0] != session}
            elif kind in (names.OUT, names.IN) and seq:
                expected[session, kind - names.OUT, seq] = lsn
        for session in range(6):
            for direction in (OUT, IN):
                for seq in (*range(7), *range(1020, 1031)):
                    record = self.journal.find(session, direction, seq)
                    assert (record.lsn if record else None) == expected.get((session, direction, seq))

    @invariant()
    def same_epochs(self):
        for epoch in range(self.journal.last_epoch + 2):
            assert self.journal.end_of_epoch(epoch) == max(
                (lsn for lsn, of, *_ in self.model if of <= epoch), default=0
            )

    def teardown(self):
        if hasattr(self, "journal"):
            self.journal.close()


def raw_record(lsn, epoch, kind, session, seq, payload):
    from gateway.native.crc32c import checksum

    length = struct.pack("<I", 48 + len(payload))
    rest = struct.pack("<QQQIIIHBB", lsn, seq, 0, epoch, 0, 0, session, kind, 0) + payload
    return length + struct.pack("<I", checksum(rest, checksum(length))) + rest


def test_against_a_list(tmp_path):
    from hypothesis.stateful import run_state_machine_as_test

    machine = type("Machine", (AgainstAList,), {"root": str(tmp_path)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
