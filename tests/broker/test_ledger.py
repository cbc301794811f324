"""The broker's ledger: what was written is read, also by another process and after a kill."""

from pathlib import Path

import pytest

from gateway.broker.ledger import Ledger, read_ledger


def test_entries_are_read_in_order_while_the_ledger_is_open(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger")
    for number in range(3):
        ledger.write({"seq": number})
        assert [entry["seq"] for entry in read_ledger(tmp_path / "ledger")] == list(range(number + 1))


def test_a_ledger_goes_on_where_the_last_one_ended(tmp_path: Path):
    for number in range(2):
        ledger = Ledger(tmp_path / "ledger")
        ledger.write({"seq": number})
        ledger.close()
    assert [entry["seq"] for entry in read_ledger(tmp_path / "ledger")] == [0, 1]


def test_a_line_that_was_cut_is_left_out(tmp_path: Path):
    (tmp_path / "ledger").write_bytes(b'{"seq":0}\n{"seq":')
    assert list(read_ledger(tmp_path / "ledger")) == [{"seq": 0}]


def test_without_a_path_nothing_is_kept(tmp_path: Path):
    ledger = Ledger(None)
    ledger.write({"seq": 0})
    ledger.close()
    with pytest.raises(FileNotFoundError):
        list(read_ledger(tmp_path / "ledger"))
