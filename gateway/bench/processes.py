"""Parties of a measurement that run in processes and on cores of their own. Sockets are made here, before the fork."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from gateway.errors import GatewayError

LOOPBACK = "127.0.0.1"
STOP_TIMEOUT_S = 5.0
CONNECT_POLL_S = 0.01


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent() -> None:
    """In a new process: it is killed when its parent dies, also while it is stopped."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the parties run: the gateway (or what stands in its place), its standby, and the measuring end."""

    gateway: int
    standby: int
    measuring: int


def placed(*, on_one: bool = False, gateway: int | None = None) -> Cores:
    """Cores of this process's own set: as far apart as there are any, or all parties on one.

    `gateway`: the core that a configuration names.
    """
    allowed = sorted(os.sched_getaffinity(0))
    first = gateway if gateway in allowed else allowed[0]
    assert first is not None
    if on_one:
        return Cores(first, first, first)
    others = [core for core in allowed if core != first] or [first]
    return Cores(first, others[-1] if len(others) > 1 else others[0], others[0])


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """This thread on one core, and back where it was."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def process(core: int, function: Callable[..., None], *arguments: object, **named: object) -> Iterator[int]:
    """Runs a function in a process on `core`; its id. The caller makes the function return, or it is killed."""

    def run() -> None:
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.sched_setaffinity(0, {core})
        function(*arguments, **named)

    child = get_context("fork").Process(target=run, daemon=True)
    child.start()
    assert child.pid is not None
    try:
        yield child.pid
    finally:
        child.join(STOP_TIMEOUT_S)
        child.kill()
        child.join()


@contextlib.contextmanager
def program(command: list[str], log: Path, stop_timeout_s: float = 20.0) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program with its output in `log` and a pipe for its input; asked to stop at the end, and killed if it
    does not."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            process_group=0,  # not a session of its own: yielding works only within one (sched(7), autogroup)
            preexec_fn=die_with_parent,  # noqa: PLW1509  (one call into libc, which is loaded)
        )
    try:
        yield child
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.terminate()
        try:
            child.wait(stop_timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def connected(port: int, timeout_s: float, why_not: Callable[[], str]) -> socket.socket:
    """A connection to a program that may not listen yet. Raises GatewayError with `why_not()` when it never does."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return socket.create_connection((LOOPBACK, port))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise GatewayError(why_not()) from None
            time.sleep(CONNECT_POLL_S)


def tcp_pair(stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection on the loopback, without Nagle's delay."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        one = stack.enter_context(socket.create_connection(listener.getsockname()))
        other = stack.enter_context(listener.accept()[0])
    for sock in (one, other):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one, other


def udp_pair(stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    """Two connected UDP sockets on the loopback."""
    one, other = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
    for sock in (one, other):
        sock.bind((LOOPBACK, 0))
    one.connect(other.getsockname())
    other.connect(one.getsockname())
    return one, other


def stop_processes(pids: list[int]) -> None:
    """SIGSTOP: they are there, and take nothing of the cores."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


def continue_processes(pids: list[int]) -> None:
    """SIGCONT, in the order given."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
