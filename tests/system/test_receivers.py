"""Receivers that are not waited for, as real processes: far away over a bad link, killed, and through a takeover."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.chaos.relay import Faults, Relay
from gateway.client import Client
from gateway.client.submission import Outcome, Submission
from gateway.demo.observer import OTHER
from gateway.demo.world import CLIENT, LOOPBACK, SESSION, free_ports, write_secret
from gateway.native import record as names
from gateway.native.journal import Journal
from gateway.receiver.seen import read_seen
from tests.support.command import gateway
from tests.support.waiting import wait_until
from tests.system.stage import Stage

FAR = Faults(loss=0.05, distance_s=2.0)
NEAR = Faults()
SECTION = """
[[receiver]]
name = "far"
kind = "{kind}"
address = "{address}"
nodes = {{ a = "{a}", b = "{b}" }}
data_dir = "far"
key_file = "receiver.key"
round_trip = "{round_trip}"
"""
CATCH_UP_S = 60.0
ORDER = b"1=ACCT\x0121=1\x0155=AAPL\x0154=1\x0138=1\x0140=2\x0144=1\x0159=0\x0160=20261121-07:00:00.000\x01"


class ReceiverStage(Stage):
    """A pair, and a receiver behind a relay to each node."""

    def __init__(self, directory: Path, kind: str, faults: Faults, round_trip: str) -> None:
        super().__init__(directory)
        self._kind, self._round_trip = kind, round_trip
        own, a, b = ((LOOPBACK, port) for port in free_ports(3))
        self.links = {"a": Relay(a, own, faults), "b": Relay(b, own, faults, seed=2)}
        write_secret(directory / "receiver.key", secrets.token_hex(16))
        text = self.config.read_text()
        for name, relay in self.links.items():
            self._write(name, text, relay.a_peer, a, b)
        self._write("far", text, own, self.links["a"].b_peer, self.links["b"].b_peer)

    def _write(self, process: str, text: str, *addresses: tuple[str, int]) -> None:
        address, a, b = (f"{host}:{port}" for host, port in addresses)
        section = SECTION.format(kind=self._kind, address=address, a=a, b=b, round_trip=self._round_trip)
        self.config_of(process).write_text(text + section)

    def config_of(self, process: str) -> Path:
        return self.directory / f"{process}.toml" if process in ("a", "b", "far") else self.config

    @contextlib.contextmanager
    def carried(self) -> Iterator[None]:
        with self.links["a"], self.links["b"]:
            yield

    async def start_receiver(self, *more: str) -> None:
        command = "drop-copy" if self._kind == "drop-copy" else "receiver"
        await self.start("far", command, "far", "--config", str(self.config_of("far")), *more)

    async def until_held(self) -> None:
        """Waits until the receiver has told the primary that it holds all that is released."""
        primary = await self.see.primary()

        async def holds() -> bool:
            status = await self.see.status(primary)
            assert status is not None
            (receiver,) = status["receivers"]
            return receiver["joined"] and receiver["received_lsn"] >= status["log"]["last_lsn"] - 1

        await self.see.until("the receiver holds all that is released", holds, CATCH_UP_S)

    async def until_noted(self, lsn: int) -> None:
        """Waits until the receiver has noted that the primary's log goes to `lsn` at least."""

        def noted() -> bool:
            seen = read_seen(self.directory / "far")
            return seen is not None and seen.log_end_lsn >= lsn

        await wait_until(noted, f"the receiver has noted that the log goes to LSN {lsn}")

    def records(self, place: str) -> list[bytes]:
        with Journal.open(self.directory / place / "journal", read_only=True) as journal:
            return [record.raw for record in journal.records()]


async def test_a_far_receiver_follows_through_loss_kills_and_a_takeover(tmp_path: Path) -> None:
    stage = ReceiverStage(tmp_path, "disaster-recovery", FAR, "5s")
    with stage.carried():
        async with stage:
            await stage.start_receiver()
            flow = stage.flow(rate=300, count=2400)
            await flow.submitted(600)
            await stage.kill("far")
            await flow.submitted(900)
            await stage.start_receiver()
            dead, primary = await stage.take_over()
            await flow.submitted(1500)
            await stage.rejoin(dead)
            counts = await flow.done()
            await stage.until_held()
            await stage.stop("far")
            result = await stage.judge()
    assert counts.accepted == result.processed == 2400
    assert "receiver_joined" in (tmp_path / f"{primary}.log").read_text()
    held, log = stage.records("far"), stage.records(f"node-{primary}")
    assert held == log[: len(held)]
    assert len(held) > 4800


async def test_a_drop_copy_has_each_message_once_through_kills_and_a_takeover(tmp_path: Path) -> None:
    stage = ReceiverStage(tmp_path, "drop-copy", NEAR, "20ms")
    output = tmp_path / "copies.jsonl"
    with stage.carried():
        async with stage:
            await stage.start_receiver("--output", str(output))
            flow = stage.flow(rate=500, count=1500)
            await flow.submitted(300)
            await stage.kill("far")
            await stage.take_over()
            await stage.start_receiver("--output", str(output))
            await flow.done()
            await stage.until_held()
            await wait_until(lambda: output.read_bytes().count(b"\n") >= 3000, "the copies are written")
            await stage.stop("far")
            primary = await stage.see.primary()
            await stage.stop_all()
    lines = [json.loads(line) for line in output.read_bytes().splitlines()]
    with Journal.open(tmp_path / f"node-{primary}" / "journal", read_only=True) as journal:
        wanted = [r for r in journal.records() if r.kind in (names.OUT, names.IN) and r.flags & names.APPLICATION]
    assert len(lines) >= 3000
    assert [line["lsn"] for line in lines] == [record.lsn for record in wanted[: len(lines)]]
    assert {line["session_name"] for line in lines} == {"BROKER"}


async def test_a_receiver_becomes_a_node_when_its_operator_accepts_the_loss(tmp_path: Path) -> None:
    stage = ReceiverStage(tmp_path, "disaster-recovery", NEAR, "20ms")
    site = tmp_path / "site.toml"
    with stage.carried():
        async with stage:
            await stage.start_receiver()
            flow = stage.flow(rate=500, count=300)
            await flow.done()
            await stage.until_held()
            primary = await stage.see.primary()
            status = await stage.see.status(primary)
            await stage.until_noted(status["log"]["last_lsn"])
            numbers = status["sessions"][0]
            await stage.kill(OTHER[primary])
            await stage.kill(primary)
            promote = ("promote", "far", "--config", str(site), "--as", "a")
            text = stage.config_of("a").read_text()
            site.write_text(text.replace('"node-a"', '"site-a"').replace('"register"', '"site-register"'))
            assert "is in use by process" in await run(*promote, "--accept-loss", fails=True)
            await stage.stop("far")
            told = await run(*promote, fails=True)
            assert "known to be missing" in told
            assert "nothing was done" in told
            assert not (tmp_path / "site-a").exists()
            await run(*promote, "--accept-loss")
            stage.config_of("a").write_text(site.read_text())
            await stage.start_node("a")
            await stage.until_role("a", "STARTING")
            await run("act-alone", "--config", str(site), "--node", "a", "--accept-loss")
            await stage.see.until_primary("a")
            submission = await asyncio.to_thread(hand_in, f"{LOOPBACK}:{stage.client_ports['a']}")
    assert submission.outcome is Outcome.ACCEPTED
    assert submission.seq >= numbers["next_out"] + 1000


def hand_in(address: str) -> Submission:
    """One order, and what became of it."""
    with Client(address, CLIENT, from_now=True) as client:
        submitted: Submission = client.submit(SESSION, "D", ORDER, "after-promotion").wait(20)
        return submitted


async def run(*arguments: str, fails: bool = False) -> str:
    """What a command prints."""
    done = await asyncio.to_thread(gateway, *arguments)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["disaster-recovery"])
async def test_a_receiver_that_is_not_there_costs_nothing(tmp_path: Path, kind: str) -> None:
    stage = ReceiverStage(tmp_path, kind, NEAR, "20ms")
    with stage.carried():
        async with stage:
            flow = stage.flow(rate=500, count=500)
            counts = await flow.done()
            primary = await stage.see.primary()
            status = await stage.see.status(primary)
            await stage.judge()
    assert counts.accepted == 500
    (receiver,) = status["receivers"]
    assert (receiver["name"], receiver["joined"], receiver["datagrams_sent"]) == ("far", False, 0)
