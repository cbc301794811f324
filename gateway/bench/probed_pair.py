"""A pair of busy-polling nodes between a probe's client and the same probe's broker."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson

from gateway.bench.messages import CL_ORD_ID, EXECUTION, ORDER_FIELDS
from gateway.client.address import parse_address
from gateway.config import load_config
from gateway.demo.world import BEGIN_STRING, CLIENT, LOOPBACK, SENDER, TARGET, World
from gateway.native import clientwire as wire
from gateway.native.journal import Journal
from gateway.native.probe import Probe
from gateway.native.session import Session

START_TIMEOUT_S = 20.0


@contextlib.contextmanager
def probed_pair(directory: Path, mode: str, replication: str = "", more: str = "") -> Iterator[Probe]:
    """Node a busy-polls on the first core; node b and the probe share the second. Everything is stopped at the end.

    `replication`: lines for that section of the configuration; `more`: sections behind its last.
    """
    world = World(directory, mode=mode, reactor="busy-poll", engine="native")
    first, second = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    text = world.config.read_text()
    world.config.write_text(text.replace("[replication]\n", f"[replication]\n{replication}\n", 1) + more)
    # Node b sleeps between datagrams: on two cores it must not take the probe's.
    _amend(world.config, "a", f"cpu = {first}")
    _amend(world.config, "b", f'cpu = {second}\nreactor = "epoll"', without='reactor = "busy-poll"')
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((LOOPBACK, world.broker_port)))
        for node in ("a", "b"):
            stack.enter_context(_node(world, node))
        broker, _ = listener.accept()
        session = Session(
            Journal.memory(max_sessions=1),
            role="acceptor",
            begin_string=BEGIN_STRING,
            sender_comp_id=TARGET,
            target_comp_id=SENDER,
        )
        session.connected(time.monotonic_ns(), time.time_ns())
        client = stack.enter_context(_logged_in(world))
        stack.enter_context(broker)
        for sock in (client, broker):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
        os.sched_setaffinity(0, {second})
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0) | {first})
        probe = Probe(
            session,
            client.fileno(),
            broker.fileno(),
            index=0,
            prefix=CL_ORD_ID[:-9],
            fields=ORDER_FIELDS,
            execution=EXECUTION,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (probe.pump() and _in_sync(world)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the pair is not ready after {START_TIMEOUT_S} s; logs are in {directory}")
            time.sleep(0.01)
        yield probe


def _amend(config: Path, node: str, line: str, without: str = "") -> None:
    head, section, tail = re.split(rf"(\[node\.{node}\]\n)", config.read_text())
    config.write_text(head + section + line + "\n" + tail.replace(without + "\n", "", 1 if without else 0))


@contextlib.contextmanager
def _node(world: World, node: str) -> Iterator[None]:
    with (world.directory / f"{node}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "node", "--config", str(world.config), "--node", node],
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def _logged_in(world: World) -> Iterator[socket.socket]:
    """The client's connection, once the node is primary."""
    address = parse_address(str(load_config(world.config).node["a"].clients))
    with socket.create_connection(address) as client:
        client.sendall(wire.login(CLIENT, b""))
        frames, _ = wire.decode(client.recv(4096))
        if not isinstance(frames[0], wire.Welcome):
            raise RuntimeError(f"node a is not primary: {frames[0]!r}")
        yield client


def _in_sync(world: World) -> bool:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{world.control_ports['a']}/status", timeout=5) as answer:
        return bool(orjson.loads(answer.read())["release"] == "ACKED")
