"""A journal that is damaged or gone: refused by name, filled again from the peer, never taken for the one that was."""

import asyncio
import shutil
from pathlib import Path

from gateway.demo.observer import OTHER
from tests.system.stage import Stage

STARTUP_WAIT_MS = 200  # after which a node with a journal would act without its peer
LONG_ENOUGH_S = 5 * STARTUP_WAIT_MS / 1000
PLACE = 4096 + 48 + 4  # in the payload of the first record, behind the segment's header page


def flip_bit(journal: Path) -> Path:
    """Changes a bit of a record that others follow; the file."""
    file = min(journal.glob("[0-9]*.log"))
    with file.open("r+b") as raw:
        raw.seek(PLACE)
        byte = raw.read(1)[0]
        raw.seek(PLACE)
        raw.write(bytes([byte ^ 4]))
    return file


async def test_a_damaged_journal_is_refused_and_a_new_one_is_filled_by_the_peer(native_stage: Stage) -> None:
    async with native_stage as stage:
        flow = stage.flow(rate=500, count=2000)
        await flow.submitted(400)
        standby = OTHER[await stage.see.primary()]
        journal = stage.node_dir(standby) / "journal"
        await stage.kill(standby)
        damaged = flip_bit(journal)
        await stage.start_node(standby)
        process = stage.processes[standby]
        assert await asyncio.wait_for(process.wait(), 20) not in (0, None)
        told = (stage.directory / f"{standby}.log").read_text()
        assert str(damaged) in told
        assert "catches up from its peer" in told
        journal.rename(journal.with_name("journal-damaged"))
        await stage.rejoin(standby)
        dead, leader = await stage.take_over()
        assert leader == standby
        await stage.rejoin(dead)
        await stage.assert_all_processed(flow)


async def test_a_node_does_not_act_for_a_journal_that_is_gone(native_stage: Stage) -> None:
    async with native_stage as stage:
        flow = stage.flow(rate=500, count=100)
        await flow.done()
        leader = await stage.see.primary()
        for node in (OTHER[leader], leader):
            await stage.kill(node)
        shutil.rmtree(stage.node_dir(leader) / "journal")
        stage.amend("[replication]", f'[replication]\nstartup_wait = "{STARTUP_WAIT_MS}ms"')
        await stage.start_node(leader)
        await stage.until_role(leader, "STARTING")
        await asyncio.sleep(LONG_ENOUGH_S)  # it is time that must change nothing
        status = await stage.see.status(leader)
        assert status is not None
        assert (status["role"], status["cause"]) == ("STARTING", "NEW_LOG")
