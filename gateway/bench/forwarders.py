"""What the pair is measured against: a forwarder in its place, and a standby that only echoes.

Placed on the cores as the pair is: the forwarder polls on the first, the echo sleeps on the second, which the measuring
thread shares.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from gateway.bench.messages import EXECUTION, ORDER
from gateway.native.forwarder import echo, forward, measure_forward

LOOPBACK = "127.0.0.1"


def measure_forwarder(times: NDArray[np.uint64], pause_ns: int, *, with_standby: bool) -> None:
    """Fills `times` (rows of four, ns) as the probe does, through a forwarder."""
    first, second = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    with contextlib.ExitStack() as stack:
        client, client_end = _tcp(stack)
        broker_end, broker = _tcp(stack)
        standby_fd = -1
        if with_standby:
            primary, standby = _udp(stack)
            standby_fd = primary.fileno()
            stack.callback(primary.send, b"")
            stack.enter_context(_process(second, echo, standby.fileno()))
        stack.enter_context(_process(first, forward, client_end.fileno(), broker_end.fileno(), standby_fd))
        stack.callback(client.shutdown, socket.SHUT_RDWR)
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        os.sched_setaffinity(0, {second})
        measure_forward(client.fileno(), broker.fileno(), ORDER, EXECUTION, times, pause_ns)


@contextlib.contextmanager
def _process(cpu: int, function: Callable[..., None], *arguments: int) -> Iterator[None]:
    def run() -> None:
        os.sched_setaffinity(0, {cpu})
        function(*arguments)

    process = get_context("fork").Process(target=run, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.join(5)
        process.kill()


def _tcp(stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        one = stack.enter_context(socket.create_connection(listener.getsockname()))
        other = stack.enter_context(listener.accept()[0])
    for sock in (one, other):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one, other


def _udp(stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    one, other = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
    for sock in (one, other):
        sock.bind((LOOPBACK, 0))
    one.connect(other.getsockname())
    other.connect(one.getsockname())
    return one, other
