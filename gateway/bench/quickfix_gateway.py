"""A gateway made of QuickFIX, in a process of its own, between a probe's client and the same probe's broker."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.bench.pairconfig import OMS, SENDER, TARGET
from gateway.bench.probed_pair import POLL_S, START_TIMEOUT_S, probe_of, probe_session, times_of
from gateway.bench.processes import LOOPBACK, Cores, connected, program
from gateway.demo.world import free_ports
from gateway.errors import GatewayError
from gateway.native.probe import Probe


@dataclass(frozen=True, slots=True)
class QuickFixGateway:
    """A running engine and the probe that measures it."""

    probe: Probe
    cores: Cores
    wait: str
    pids: list[int]

    def measure(self, count: int, *, interval_ns: int = 0, pause_ns: int = 0) -> NDArray[np.uint64]:
        """`count` rows of times in ns: due, handed in, out, answered, in. Raises RuntimeError."""
        return times_of(self.probe, self.cores, self.wait, count, interval_ns, pause_ns)


@contextlib.contextmanager
def quickfix_gateway(directory: Path, store: str, cores: Cores) -> Iterator[QuickFixGateway]:
    """Starts the engine with a "memory" or "file" store on the gateway's core. Raises GatewayError."""
    (listen,) = free_ports(1)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((LOOPBACK, 0)))
        broker_port = listener.getsockname()[1]
        engine = stack.enter_context(_engine(directory, store, listen, broker_port, cores.gateway))
        listener.settimeout(START_TIMEOUT_S)
        try:
            broker = stack.enter_context(listener.accept()[0])
        except TimeoutError:
            raise GatewayError(f"QuickFIX did not connect in {START_TIMEOUT_S:g} s: {_log(directory)}") from None
        client = stack.enter_context(
            connected(listen, START_TIMEOUT_S, lambda: f"QuickFIX takes no clients: {_log(directory)}")
        )
        session, client_session = probe_session("acceptor", TARGET, SENDER), probe_session("initiator", OMS, SENDER)
        probe = probe_of(session, client, broker, client_session)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not probe.pump():
            if time.monotonic() > deadline:
                raise GatewayError(f"QuickFIX is not logged on after {START_TIMEOUT_S:g} s: {_log(directory)}")
            time.sleep(POLL_S)
        wait = "block" if cores.gateway == cores.measuring else "spin"
        yield QuickFixGateway(probe, cores, wait, [engine])


@contextlib.contextmanager
def _engine(directory: Path, store: str, listen: int, broker: int, core: int) -> Iterator[int]:
    command = [sys.executable, "-m", "gateway.bench.quickfix_passthrough"]
    command += [str(listen), str(broker), str(directory), store]
    with program(command, directory / "quickfix.log") as child:
        os.sched_setaffinity(child.pid, {core})  # before it has threads
        yield child.pid


def _log(directory: Path) -> str:
    lines = (directory / "quickfix.log").read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
