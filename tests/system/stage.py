"""A pair, a broker and a strategy as real processes, and what a story needs to say about them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.audit.audit import AuditResult, audit
from gateway.audit.record import ClientRecorder
from gateway.chaos.relay import Faults, Relay
from gateway.client import Client
from gateway.client.orderfile import read_orders
from gateway.config import load_config
from gateway.demo.observer import OTHER, Observer, is_primary
from gateway.demo.trader import Counts, Trader
from gateway.demo.world import CLIENT, LOOPBACK, SESSION, World
from tests.support.waiting import wait_until

FLOW_TIMEOUT_S = 100.0
LOG_TIMEOUT_S = 15.0
EXAMPLES = 3  # of orders without an answer
LAST_LOG_LINES = 12
ORDERS = Path(__file__).parents[2] / "configs" / "orders.csv"


class Flow:
    """A strategy that sends orders at a steady rate from a thread of this process."""

    def __init__(self, world: World, rate: float, count: int) -> None:
        self.count = count
        self.counts = Counts()
        self._trader: Trader | None = None
        self._failed: BaseException | None = None
        self._world = world
        nodes = load_config(world.config).node.values()  # here: the story may rewrite the file meanwhile
        addresses = ",".join(str(node.clients) for node in nodes)
        self._thread = threading.Thread(target=self._run, args=(addresses, rate, count), name="strategy", daemon=True)
        self._thread.start()

    def _run(self, nodes: str, rate: float, count: int) -> None:
        recorder = ClientRecorder(self._world.client_record)
        try:
            with Client(nodes, CLIENT, connect_timeout=30) as client:
                self._trader = Trader(client, CLIENT, SESSION, read_orders(ORDERS), recorder, self._show)
                self._trader.run(rate, count)
        except BaseException as error:
            self._failed = error

    def _show(self, counts: Counts) -> None:
        self.counts = counts

    @property
    def unanswered(self) -> list[str]:
        """ClOrdIDs of the orders that are not answered."""
        return self._trader.unanswered if self._trader is not None else []

    async def submitted(self, count: int) -> None:
        """Waits until so many orders are submitted."""
        await self._until(f"{count} orders are submitted", lambda: self.counts.submitted >= count)

    async def accepted(self, count: int) -> None:
        """Waits until so many orders are accepted."""
        await self._until(f"{count} orders are accepted", lambda: self.counts.accepted >= count)

    async def done(self) -> Counts:
        """Waits until every order is answered and quiet."""
        await self._until("every order is answered and quiet", lambda: self.counts.done)
        return self.counts

    async def _until(self, what: str, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            if condition():
                return True
            if self._failed is not None:
                raise self._failed
            return False

        await wait_until(holds, what, FLOW_TIMEOUT_S)


class Stage(World):
    """The world of one test. `async with stage:` starts broker and pair, and stops everything."""

    def __init__(
        self,
        directory: Path,
        *,
        engine: str = "native",
        mode: str = "sync",
        reactor: str = "epoll",
        journal: str = "",
        heartbeat_s: int = 30,
        faults: Faults | None = None,
        register: str = "",
    ) -> None:
        super().__init__(directory, mode=mode, reactor=reactor, engine=engine)
        self.broker_store = directory / "broker-store" if engine == "native" else "memory"
        self.relay: Relay | None = None
        self.amend("[journal]", "[journal]\n" + journal)
        # So that a busy machine is not taken for a dead peer.
        self.amend("[replication]", '[replication]\nsuspect_after = "1s"')
        if register:
            self.amend('kind = "file"\npath = "register"', register)
        self.amend("heartbeat = 30", f"heartbeat = {heartbeat_s}")
        if faults is not None:
            self.relay = self._insert_relay(faults)

    async def __aenter__(self) -> Stage:
        async with contextlib.AsyncExitStack() as stack:
            if self.relay is not None:
                stack.enter_context(self.relay)
            self.see = await stack.enter_async_context(Observer(self))
            stack.push_async_callback(self.stop_all)
            await self.start_broker()
            await self.start_node("a")
            await self.start_node("b")
            await self.see.until_healthy()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def flow(self, rate: float, count: int) -> Flow:
        """Starts a flow of orders."""
        return Flow(self, rate, count)

    async def take_over(self) -> tuple[str, str]:
        """Kills the primary and waits for the other: (dead node, new primary)."""
        dead = await self.see.primary()
        await self.kill(dead)
        await self.see.until_primary(OTHER[dead])
        return dead, OTHER[dead]

    async def rejoin(self, node: str) -> None:
        """Starts a dead node and waits until it is an in-sync standby."""
        await self.start_node(node)
        await self.see.until_healthy()

    async def until_solo(self, node: str) -> None:
        """Waits until `node` is primary alone, by the register."""

        async def alone() -> bool:
            status = await self.see.status(node)
            return is_primary(status) and status is not None and status["register"]["in_sync"] == [node]

        await self.see.until(f"node {node} is solo", alone)

    async def until_role(self, node: str, role: str) -> None:
        """Waits until the node says that it has this role."""

        async def has_it() -> bool:
            return (await self.see.status(node) or {}).get("role") == role

        await self.see.until(f"node {node} is {role}", has_it)

    async def assert_all_processed(self, flow: Flow) -> AuditResult:
        """At the flow's end everything stops, the audit passes, and each order was accepted and processed."""
        try:
            counts = await flow.done()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self._what_is_missing(flow)}") from None
        result = await self.judge()
        assert counts.accepted == result.processed == flow.count, (counts.accepted, result.processed, flow.count)
        return result

    async def _what_is_missing(self, flow: Flow) -> str:
        """For a failure that may not come again: the orders without an answer, who knows of them, and what is said."""
        lines = [f"{flow.counts}", f"unanswered: {flow.unanswered[:EXAMPLES]}"]
        for name in flow.unanswered[:EXAMPLES]:
            for file in (self.client_record, self.ledger):
                text = file.read_text(errors="replace") if file.exists() else ""
                lines += [f"{file.name}: {line}" for line in text.splitlines() if name in line]
        for node, status in (await self.see.statuses()).items():
            lines += [f"{node}: {status}", *(f"{node}: {line}" for line in self.log(node)[-LAST_LOG_LINES:])]
        return "\n".join(lines)

    async def judge(self) -> AuditResult:
        """Stops everything, the standby first, and audits; fails with the findings if the audit does."""
        await self.stop_all("client", OTHER[await self.see.primary()])
        result = audit(self.evidence())
        assert result.passed, [(f.name, f.count, f.examples) for f in result.findings if not f.passed]
        return result

    def log(self, node: str) -> list[dict[str, Any]]:
        """What a node has written to its log, line by line; what is no JSON is left out."""
        file = self.directory / f"{node}.log"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in lines if line[:1] == "{" and line[-1:] == "\n"]

    async def until_logged(self, node: str, key: str, value: str) -> dict[str, Any]:
        """Waits until a line of a node's log has this value; the first that has."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.log(node) if line.get(key) == value]

        return (await wait_until(found, f"node {node} logs {key}={value}", LOG_TIMEOUT_S))[0]

    def amend(self, old: str, new: str) -> None:
        """Changes the configuration, for nodes that start from now on."""
        text = self.config.read_text()
        assert old in text, old
        self.config.write_text(text.replace(old, new, 1))

    def _insert_relay(self, faults: Faults) -> Relay:
        a, b = ((LOOPBACK, self.replication_ports[node]) for node in ("a", "b"))
        relay = Relay(a, b, faults)
        for (_, port), (host, via) in ((a, relay.a_peer), (b, relay.b_peer)):
            line = f'replication = ["{LOOPBACK}:{port}"]'
            self.amend(line, f'{line}\nreplication_peer = ["{host}:{via}"]')
        return relay
