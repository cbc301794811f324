"""What bench_tls measures: an echo with and without TLS, and the ways to it from a plain socket."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import trustme
import uvloop
from numpy.typing import NDArray

from gateway.config.connections import ClientTls, Endpoint, ServerTls, Tcp
from gateway.demo.world import free_ports
from gateway.wire.dialer import dial, route_to
from gateway.wire.tls import client_context, server_context

HOST = "127.0.0.1"
MESSAGE = b"8" * 200  # bytes of a NewOrderSingle, about
START_LIMIT_S = 10.0
FORK = multiprocessing.get_context("fork")
STUNNEL = """\
foreground = yes
pid =
debug = err
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[fix]
client = yes
accept = {host}:{port}
connect = {host}:{target}
CAfile = {ca_file}
verifyChain = yes
checkIP = {host}
"""


class Echo:
    """A server process that sends back what comes, on one connection after the other."""

    def __init__(self, directory: Path, with_tls: bool) -> None:
        self.ca_file = directory / "ca.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        issued = authority.issue_cert(HOST)
        certificate = directory / "server.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
        context = server_context(ServerTls(cert_file=certificate), "tls") if with_tls else None
        listener = socket.create_server((HOST, 0))
        self.port = listener.getsockname()[1]
        self._process = FORK.Process(target=_echo, args=(listener, context), daemon=True)
        self._process.start()
        listener.close()

    def stop(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.join()


@contextlib.contextmanager
def plain(echo: Echo) -> Iterator[socket.socket]:
    """Straight to the echo."""
    with _connected(echo.port) as sock:
        yield sock


@contextlib.contextmanager
def own_tls(echo: Echo) -> Iterator[ssl.SSLSocket]:
    """TLS in the measuring thread itself: what the cipher takes, without a hand-over."""
    context = client_context(ClientTls(ca_file=echo.ca_file), "tls")
    with _connected(echo.port) as sock, context.wrap_socket(sock, server_hostname=HOST) as wrapped:
        yield wrapped


@contextlib.contextmanager
def pumped(echo: Echo) -> Iterator[socket.socket]:
    """Through the gateway's pump, which has a process of its own here: the reactor shares no lock with it either."""
    ours, theirs = socket.socketpair()
    process = FORK.Process(target=_pump, args=(theirs, echo.port, echo.ca_file), daemon=True)
    process.start()
    theirs.close()
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    try:
        with socket.socket(fileno=descriptors[0]) as sock:
            sock.setblocking(True)
            yield sock
    finally:
        process.terminate()
        process.join()
        ours.close()


@contextlib.contextmanager
def stunnelled(echo: Echo, program: str) -> Iterator[socket.socket]:
    """Through stunnel on this host."""
    [port] = free_ports(1)
    file = echo.ca_file.with_name("stunnel.conf")
    file.write_text(STUNNEL.format(host=HOST, port=port, target=echo.port, ca_file=echo.ca_file))
    process = subprocess.Popen([program, str(file)], stderr=subprocess.DEVNULL)
    try:
        with _connected(port) as sock:
            yield sock
    finally:
        process.terminate()
        process.wait()


def round_trips(sock: socket.socket, count: int) -> NDArray[np.float64]:
    """ns from the call that sends MESSAGE to the return of the one that has read it back, each of `count` times."""
    elapsed = np.empty(count)
    for i in range(count):
        started = time.perf_counter_ns()
        sock.sendall(MESSAGE)
        left = len(MESSAGE)
        while left:
            left -= len(sock.recv(left))
        elapsed[i] = time.perf_counter_ns() - started
    return elapsed


def _connected(port: int) -> socket.socket:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            sock = socket.create_connection((HOST, port))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


def _echo(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), sock:
            end = context.wrap_socket(sock, server_side=True) if context else sock
            while data := end.recv(65536):
                end.sendall(data)


def _pump(parent: socket.socket, port: int, ca_file: Path) -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

    async def run() -> None:
        route = route_to(Endpoint(address=f"{HOST}:{port}"), Tcp(), ClientTls(ca_file=ca_file), 10**10, "bench")
        with await dial(route) as sock:
            socket.send_fds(parent, [b"x"], [sock.fileno()])
        await asyncio.Event().wait()

    uvloop.run(run())
