"""The flusher: what it makes durable, what it prepares, what it tells of failures."""

import threading

import pytest

from gateway.errors import JournalError
from gateway.journal.flusher import Flusher
from gateway.native import record as names
from gateway.native.journal import Journal

PATIENCE_S = 20


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path, segment_bytes=1 << 16, max_records=1 << 16, max_sessions=2, max_seq=1 << 10) as opened:
        yield opened


def eventually(condition):
    """Waits for another thread; a test whose condition never comes fails."""
    pause = threading.Event()
    for _ in range(PATIENCE_S * 1000):
        if condition():
            return True
        pause.wait(0.001)
    return False


def flusher(journal, policy, errors=None, interval_ns=1_000_000):
    def fail(text):
        raise AssertionError(text)

    return Flusher(journal, policy=policy, interval_ns=interval_ns, on_error=fail if errors is None else errors.append)


@pytest.mark.parametrize("policy", ["interval", "every"])
def test_records_become_durable_while_it_runs(journal, policy):
    running = flusher(journal, policy)
    running.start()
    for count in range(1, 400):
        journal.append(names.OUT, 0, bytes(300), seq=count)
    assert eventually(lambda: journal.flushed_lsn == 399)
    running.stop()


def test_the_policy_none_leaves_writing_to_the_system_until_the_end(journal):
    running = flusher(journal, "none")
    running.start()
    journal.append(names.OUT, 0, b"x", seq=1)
    assert journal.flushed_lsn == 0
    running.stop()
    assert journal.flushed_lsn == 1


@pytest.mark.parametrize("policy", ["none", "interval", "every"])
def test_the_next_segment_is_ready_before_it_is_needed(journal, tmp_path, policy):
    running = flusher(journal, policy)
    running.start()
    journal.append(names.OUT, 0, bytes(40000), seq=1)
    assert eventually((tmp_path / "prepared.log").exists)
    assert eventually((tmp_path / f"{1:020d}.log").exists)
    running.stop()


def test_stopping_twice_or_before_the_start_is_no_error(journal):
    running = flusher(journal, "every")
    running.stop()
    running = flusher(journal, "every")
    running.start()
    running.stop()
    running.stop()


def test_after_one_flusher_another_can_run(journal):
    for count in range(1, 4):
        running = flusher(journal, "every")
        running.start()
        journal.append(names.OUT, 0, b"x", seq=count)
        assert eventually(lambda: journal.flushed_lsn == journal.last_lsn)
        running.stop()


def test_truncating_while_it_runs_is_safe(journal):
    running = flusher(journal, "every")
    running.start()
    for _ in range(30):
        for _ in range(300):
            journal.append(names.OUT, 0, bytes(300), seq=1)
        journal.truncate(journal.last_lsn - 290)
    assert eventually(lambda: journal.flushed_lsn == journal.last_lsn == 300)
    running.stop()


def test_without_space_flushing_goes_on_and_the_failure_is_told_once(journal, tmp_path):
    """The next segment cannot be made: a directory stands where its file should be."""
    journal.append(names.OUT, 0, b"x", seq=1)
    journal.prepare()
    (tmp_path / "prepared.log").mkdir()
    errors = []
    journal.append(names.OUT, 0, bytes(40000), seq=2)
    running = flusher(journal, "every", errors)
    running.start()
    assert eventually(lambda: errors)
    journal.append(names.OUT, 0, b"x", seq=3)
    assert eventually(lambda: journal.flushed_lsn == 3)
    with pytest.raises(JournalError, match="File exists"):
        journal.append(names.OUT, 0, bytes(40000), seq=4)
    (tmp_path / "prepared.log").rmdir()
    assert eventually((tmp_path / "prepared.log").exists)
    assert journal.append(names.OUT, 0, bytes(40000), seq=4) == 4
    running.stop()
    assert len(errors) == 1
    assert "File exists" in errors[0]


@pytest.mark.parametrize("wrong", [{"policy": "sometimes"}, {"policy": "interval", "interval_ns": 0}])
def test_wrong_settings_are_refused(journal, wrong):
    with pytest.raises(ValueError, match=r"policy|interval_ns"):
        Flusher(journal, on_error=print, **{"interval_ns": 1, **wrong})
