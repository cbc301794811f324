"""The floor of an order's way: a forwarder where the gateway is, an echo where its standby is, in processes of their
own on the same cores (native/hops.h has both)."""

from __future__ import annotations

import contextlib
import mmap
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gateway.bench.messages import EXECUTION, ORDER
from gateway.bench.processes import Cores, pinned, placed, process, tcp_pair, udp_pair
from gateway.native.floors import COLUMNS, RINGS_BYTES, echo, forward, measure


@dataclass(frozen=True, slots=True)
class Forwarder:
    """A running forwarder and the ends that measure it."""

    client: socket.socket
    broker: socket.socket
    cores: Cores
    wait: str
    late_acks: bool
    rings: mmap.mmap | None = None
    pids: list[int] = field(default_factory=list)

    def measure(self, count: int, *, interval_ns: int = 0, pause_ns: int = 0) -> NDArray[np.uint64]:
        """`count` rows of times in ns: due, handed in, out, answered, in. Raises RuntimeError."""
        times = np.empty((count, COLUMNS), np.uint64)
        with pinned(self.cores.measuring):
            measure(
                self.client.fileno(),
                self.broker.fileno(),
                ORDER,
                EXECUTION,
                times,
                interval_ns=interval_ns,
                pause_ns=pause_ns,
                wait=self.wait,
                late_acks=self.late_acks,
                rings=self.rings,
            )
        return times


@contextlib.contextmanager
def forwarder(
    *,
    with_standby: bool,
    wait: str = "spin",
    late_acks: bool = False,
    cores: Cores | None = None,
    shared: bool = False,
) -> Iterator[Forwarder]:
    """A forwarder on `cores`; `wait` is what every party does while there is nothing: "spin", "yield" or "block".

    `late_acks`: TCP_QUICKACK is off, so that an acknowledgement rides on the answer. Where the standby's core is the
    measuring end's too, neither may spin. `shared`: the client is in shared memory; not to be had with "block".
    """
    cores = cores or placed(on_one=wait == "block")
    beside = "yield" if wait == "spin" and cores.standby == cores.measuring and with_standby else wait
    with contextlib.ExitStack() as stack:
        client, client_end = tcp_pair(stack)
        broker_end, broker = tcp_pair(stack)
        pids, standby_fd = [], -1
        rings = mmap.mmap(-1, RINGS_BYTES) if shared else None
        if with_standby:
            primary, standby = udp_pair(stack)
            standby_fd = primary.fileno()
            stack.callback(primary.send, b"")
            pids.append(stack.enter_context(process(cores.standby, echo, standby.fileno(), wait=beside)))
        fds = client_end.fileno(), broker_end.fileno(), standby_fd
        pids.insert(
            0, stack.enter_context(process(cores.gateway, forward, *fds, wait=wait, late_acks=late_acks, rings=rings))
        )
        stack.callback(client.shutdown, socket.SHUT_RDWR)
        for sock in (client, broker):
            sock.setblocking(False)
        yield Forwarder(client, broker, cores, beside, late_acks, rings, pids)
