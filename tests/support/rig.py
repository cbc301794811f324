"""A running pair with clients of every kind, and sessions that are not ready in every way."""

from __future__ import annotations

from pathlib import Path

from gateway.client import Client, PositionFile
from gateway.config import load_config
from gateway.demo.observer import NODES
from gateway.demo.world import LOOPBACK, free_ports
from tests.support.running import RunningPair

WAIT_S = 10.0  # nothing is waited for longer; a test that gets there has failed
MORE = """\

[[client]]
name = "limited"
limits = {{ max_order_qty = 100, max_notional = 1000, max_open_qty = 250 }}

[[client]]
name = "throttled"
limits = {{ orders_per_second = 0.001, burst = 2 }}

[[client]]
name = "fenced-in"
sessions = ["BROKER"]

[[client]]
name = "locked"
token_file = "token"

[[session]]
name = "REFUSING"
begin_string = "FIX.4.4"
sender_comp_id = "GATEWAY"
target_comp_id = "NOBODY"
endpoints = ["{host}:{port}"]
when_not_ready = "refuse"

[[session]]
name = "HOLDING"
begin_string = "FIX.4.4"
sender_comp_id = "GATEWAY"
target_comp_id = "LATE"
endpoints = ["{host}:{port}"]
when_not_ready = "hold"

[[session]]
name = "FULL"
begin_string = "FIX.4.4"
sender_comp_id = "GATEWAY"
target_comp_id = "LATER"
endpoints = ["{host}:{port}"]
when_not_ready = "hold"

[[session]]
name = "BRIEF"
begin_string = "FIX.4.4"
sender_comp_id = "GATEWAY"
target_comp_id = "LATEST"
endpoints = ["{host}:{port}"]
when_not_ready = "hold"
hold_max_age = "50ms"
"""


class Rig(RunningPair):
    """A broker and a pair that run, and clients of them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        (directory / "token").write_text("open sesame\n")
        (directory / "token").chmod(0o600)
        text = self.world.config.read_text()
        for node in NODES:
            text = text.replace(f"[node.{node}]\n", f'[node.{node}]\nshared_clients = "{node}.sock"\n')
        # No test here is of a takeover: a node that a busy machine keeps waiting is not to be taken for dead.
        text = text.replace("[replication]\n", '[replication]\nsuspect_after = "5s"\n')
        self.world.config.write_text(text + MORE.format(host=LOOPBACK, port=free_ports(1)[0]))
        self.shared_nodes = [directory / f"{node}.sock" for node in NODES]
        self.nodes = ",".join(str(node.clients) for node in load_config(self.world.config).node.values())
        self._clients: list[Client] = []

    def stop(self) -> None:
        self.hang_up()
        super().stop()

    def command(self, path: str, **arguments: object) -> tuple[int, dict]:
        """An operator's command to the primary."""

        async def post() -> tuple[int, dict]:
            return await self.see.command(await self.see.primary(), path, **arguments)

        return self._loop.run(post())

    def client(self, name: str = "strategy", token: str = "", *, shared: bool = False, **options: object) -> Client:
        """A connected client, over TCP or in shared memory; it is closed after the test."""
        options = {"from_now": True, **options}
        if isinstance(options.get("positions"), PositionFile):
            options["from_now"] = False
        self._clients.append(
            Client(self.shared_nodes if shared else self.nodes, name, token, connect_timeout=WAIT_S, **options)
        )
        return self._clients[-1]

    def hang_up(self) -> None:
        while self._clients:
            self._clients.pop().close()
