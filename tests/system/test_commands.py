"""What an operator does: switchover, takeover, solo, stopping; and what the pair is configured to."""

import json
import socket
from collections.abc import Callable

from gateway.demo.observer import OTHER
from gateway.demo.world import LOOPBACK
from gateway.native.datagram import Channel
from tests.system.stage import Stage

HELLO, AT_VERSION = 1, 2  # datagram.pxd


async def test_switchover_hands_over_without_a_gap(stage: Stage) -> None:
    async with stage:
        flow = stage.flow(rate=800, count=1600)
        for number in (400, 900):
            await flow.submitted(number)
            leader = await stage.see.primary()
            code, answer = await stage.see.command(leader, "switchover")
            assert code == 200, answer
            await stage.see.until_primary(OTHER[leader])
            await stage.see.until_healthy()
        await stage.assert_all_processed(flow)


async def test_a_rolling_upgrade_loses_and_refuses_nothing(stage: Stage) -> None:
    async with stage:
        flow = stage.flow(rate=300, count=6000)
        await flow.submitted(300)
        first = await stage.see.primary()
        for leader in (first, OTHER[first]):
            code, answer = await stage.see.command(leader, "switchover")
            assert code == 200, answer
            await stage.see.until_primary(OTHER[leader])
            assert await stage.stop(leader) == 0
            await stage.rejoin(leader)  # with the next version of the program
        assert not flow.counts.done, "the drill must take place under load: more orders"
        await stage.assert_all_processed(flow)


async def test_a_peer_of_another_format_is_named_with_both_versions(native_stage: Stage) -> None:
    async with native_stage as stage:
        leader = await stage.see.primary()
        peer = OTHER[leader]
        assert await stage.stop(peer) == 0
        datagram = bytearray(Channel(bytes(16), node="ab".index(peer)).seal(HELLO, "ab".index(leader)))
        datagram[AT_VERSION] = 9
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((LOOPBACK, stage.replication_ports[peer]))
            stranger.sendto(datagram, (LOOPBACK, stage.replication_ports[leader]))

        await stage.until_logged(leader, "event", "peer_of_another_format")
        (line,) = [line for line in stage.log(leader) if line["event"] == "peer_of_another_format"]
        assert (line["peer_version"], line["own_version"]) == (9, 1)


async def test_takeover_by_command_fences_the_living_primary(stage: Stage) -> None:
    async with stage:
        flow = stage.flow(rate=800, count=1200)
        await flow.submitted(400)
        leader = await stage.see.primary()
        code, answer = await stage.see.command(OTHER[leader], "takeover")
        assert code == 200, answer
        await stage.see.until_primary(OTHER[leader])
        await stage.see.until_healthy()
        await stage.assert_all_processed(flow)


async def test_a_command_that_makes_no_sense_is_refused_with_its_reason(native_stage: Stage) -> None:
    async with native_stage as stage:
        leader = await stage.see.primary()
        code, answer = await stage.see.command(leader, "takeover")
        assert code == 409
        assert "not standby" in answer["error"]
        code, answer = await stage.see.command(OTHER[leader], "sessions/BROKER/logout")
        assert code == 409
        assert "not primary" in answer["error"]


async def test_stopping_the_primary_hands_over_to_the_standby(stage: Stage) -> None:
    async with stage:
        flow = stage.flow(rate=800, count=1200)
        await flow.submitted(400)
        leader = await stage.see.primary()
        assert await stage.stop(leader) == 0
        await stage.see.until_primary(OTHER[leader])
        await stage.rejoin(leader)
        await stage.assert_all_processed(flow)


async def test_the_kill_switch_survives_a_takeover(native_stage: Stage) -> None:
    async with native_stage as stage:
        leader = await stage.see.primary()
        code, _ = await stage.see.command(leader, "kill", client="strategy")
        assert code == 200
        dead, leader = await stage.take_over()
        await stage.rejoin(dead)
        flow = stage.flow(rate=200, count=20)
        counts = await flow.done()
        assert counts.accepted == 0
        code, _ = await stage.see.command(leader, "unkill", client="strategy")
        assert code == 200
        await stage.judge()


async def test_a_takeover_leaves_an_incident_report(native_stage: Stage) -> None:
    async with native_stage as stage:
        _, leader = await stage.take_over()
        path = stage.node_dir(leader) / "incidents" / "epoch-000002.json"
        report = json.loads(path.read_text())
        assert report["node"] == leader
        assert report["cause"] == "TRIPWIRE"
        steps = report["sessions"][0]["ms_after_suspicion"]
        assert 0 <= steps["connecting"] <= steps["connected"] <= steps["logged_on"] <= steps["ready"]
        assert "became primary of epoch 2" in path.with_suffix(".txt").read_text()


async def test_durability_every_flushes_before_it_releases(make_stage: Callable[..., Stage]) -> None:
    async with make_stage(journal='durability = "every"') as stage:
        flow = stage.flow(rate=300, count=600)
        await flow.submitted(200)
        dead, _ = await stage.take_over()
        await stage.rejoin(dead)
        await stage.assert_all_processed(flow)


async def test_a_busy_polling_pair_survives_a_kill(make_stage: Callable[..., Stage]) -> None:
    async with make_stage(reactor="busy-poll") as stage:
        flow = stage.flow(rate=500, count=1000)
        await flow.submitted(300)
        dead, _ = await stage.take_over()
        await stage.rejoin(dead)
        await stage.assert_all_processed(flow)


async def test_a_broker_that_restarts_is_found_again(native_stage: Stage) -> None:
    async with native_stage as stage:
        flow = stage.flow(rate=500, count=1000)
        await flow.submitted(300)
        await stage.kill("broker")
        await flow.submitted(500)
        await stage.start_broker()
        await stage.see.until_healthy()
        await stage.assert_all_processed(flow)
