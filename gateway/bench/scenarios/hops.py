"""The machine itself: round trips between two processes, with nothing in them. What every other figure stands on."""

from __future__ import annotations

import contextlib
import mmap
import socket
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from gateway.bench.messages import ORDER
from gateway.bench.processes import (
    continue_processes,
    pinned,
    placed,
    process,
    stop_processes,
    tcp_pair,
    udp_pair,
)
from gateway.bench.scenario import Instrument, Opener, Round, Scenario, Setting, Subject
from gateway.native.floors import (
    SHARED_BYTES,
    begin_shared,
    echo,
    echo_shared,
    end_shared,
    round_trips,
    round_trips_shared,
)

Kind = Literal["tcp", "udp", "shared"]
KINDS: tuple[Kind, ...] = ("tcp", "udp", "shared")
MESSAGE = ORDER.ljust(200, b"x")
TEXTS = {"tcp": "over TCP", "udp": "over UDP", "shared": "through shared memory"}


class Echoed:
    """An echo in a process, and the round trips to it."""

    def __init__(
        self, pid: int, core: int, trips: Callable[[np.ndarray[tuple[int], np.dtype[np.uint64]]], None]
    ) -> None:
        self._pid, self._core, self._trips = pid, core, trips
        self.operations = 0

    def measure(self) -> Round:
        """One round."""
        times = np.empty(self.operations, np.uint64)
        with pinned(self._core):
            self._trips(times)
        return Round({"round trip": times})

    def sleep(self) -> None:
        """The echo is stopped."""
        stop_processes([self._pid])

    def wake(self) -> None:
        """It goes on."""
        continue_processes([self._pid])


def _opener(kind: Kind, wait: str) -> Opener:
    @contextlib.contextmanager
    def opened(setting: Setting) -> Iterator[Instrument]:
        cores = placed(on_one=wait == "block")
        with contextlib.ExitStack() as stack:
            if kind == "shared":
                memory = mmap.mmap(-1, SHARED_BYTES)
                begin_shared(memory)
                pid = stack.enter_context(process(cores.gateway, echo_shared, memory, len(MESSAGE), wait=wait))
                stack.callback(end_shared, memory)
                one = Echoed(pid, cores.measuring, lambda times: round_trips_shared(memory, MESSAGE, times, wait=wait))
            else:
                near, far = tcp_pair(stack) if kind == "tcp" else udp_pair(stack)
                pid = stack.enter_context(process(cores.gateway, echo, far.fileno(), wait=wait))
                stack.callback(_end, near, kind)
                one = Echoed(pid, cores.measuring, lambda times: round_trips(near.fileno(), MESSAGE, times, wait=wait))
            one.operations = setting.operations
            stack.callback(one.wake)
            yield one

    return opened


def _end(near: socket.socket, kind: Kind) -> None:
    """The echo returns: its connection ends, or the datagram is empty."""
    if kind == "tcp":
        near.shutdown(socket.SHUT_RDWR)
    else:
        near.send(b"")


def _scenario(kind: Kind, wait: str) -> Scenario:
    how = "both sleep, one core" if wait == "block" else "both poll"
    name = f"hops.{kind}" + (".epoll" if wait == "block" else ".poll")
    text = f"{len(MESSAGE)} bytes to another process and back {TEXTS[kind]}; {how}"
    return Scenario(name, text, (Subject("floor", "floor", _opener(kind, wait)),), 20_000, 500)


SCENARIOS = (
    *(_scenario(kind, "spin") for kind in KINDS),
    *(_scenario(kind, "block") for kind in KINDS if kind != "shared"),
)
