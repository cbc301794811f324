"""A host that lost power may have lost the end of its log: it skips ahead, and asks before it sends anything again."""

import struct
from pathlib import Path

import pytest

from gateway.demo.observer import OTHER
from gateway.native.journal import Journal
from tests.system.stage import Stage

META_CLEAN, META_FLUSHED, META_BOOT_ID = 20, 24, 60  # offsets in journal.meta
LOST_RECORDS = 30


def lose_tail(directory: Path) -> None:
    """As if the host had lost power before the last records were on its disk."""
    with Journal.open(directory, pair_id=1, node="ab".index(directory.parent.name[-1])) as journal:
        last = journal.last_lsn - LOST_RECORDS
        journal.truncate(last)
    with (directory / "journal.meta").open("r+b") as meta:
        for offset, content in (
            (META_BOOT_ID, b"another-boot".ljust(40, b"\0")),
            (META_CLEAN, struct.pack("<I", 0)),
            (META_FLUSHED, struct.pack("<Q", last)),
        ):
            meta.seek(offset)
            meta.write(content)


def tail_is_in_doubt(directory: Path) -> bool:
    with Journal.open(directory, pair_id=1, node="ab".index(directory.parent.name[-1])) as journal:
        return journal.recovery.tail_may_be_lost


@pytest.mark.parametrize("engine", ["native", "quickfix"])
async def test_a_node_that_lost_its_tail_and_is_alone_sends_nothing_twice(tmp_path: Path, engine: str) -> None:
    async with Stage(tmp_path, engine=engine) as stage:
        flow = stage.flow(rate=800, count=1200)
        await flow.submitted(400)
        leader = await stage.see.primary()
        for node in (OTHER[leader], leader):
            await stage.kill(node)
        lose_tail(stage.node_dir(leader) / "journal")
        await stage.start_node(leader)
        await stage.see.until_primary(leader)
        # Not every execution: the record that says whose it is may be lost, and its client not back yet.
        await flow.accepted(1200)
        status = await stage.see.status(leader)
        await stage.stop_all("client")
        ledger = stage.evidence().broker
    assert status is not None
    assert status["orders"]["in_doubt"] == 0
    processed = [order.cl_ord_id for order in ledger.orders]
    assert len(processed) == len(set(processed))
    assert len(processed) == 1200
    assert not tail_is_in_doubt(stage.node_dir(leader) / "journal")


async def test_a_lost_tail_is_remembered_until_the_node_is_whole(tmp_path: Path) -> None:
    """A second restart does not bring the tail back; the primary's log does."""
    async with Stage(tmp_path) as stage:
        flow = stage.flow(rate=800, count=1200)
        await flow.submitted(400)
        standby = OTHER[await stage.see.primary()]
        await stage.kill(standby)
        journal = stage.node_dir(standby) / "journal"
        lose_tail(journal)
        assert tail_is_in_doubt(journal)
        assert tail_is_in_doubt(journal)
        await stage.rejoin(standby)
        await flow.done()
        result = await stage.judge()
    assert result.processed == 1200
    assert not tail_is_in_doubt(journal)
