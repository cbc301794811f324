"""What no file tells: measured or asked of the kernel. Each probe is short, bounded, sends nothing and changes nothing;
all raise UnreadableError alone. Tests put another in its place.

Structures: <linux/ethtool.h>, <linux/sockios.h>, <sys/timex.h>.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from gateway.config import Address

IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU = 10, 2, 14  # <linux/in.h>
IPV6_MTU = 24  # <linux/in6.h>
SIOCGIFADDR = 0x8915
SIOCETHTOOL = 0x8946
ETHTOOL_GCOALESCE, COALESCE_WORDS = 0x0E, 23
ETHTOOL_GRINGPARAM, RING_WORDS = 0x10, 9
ETHTOOL_GET_TS_INFO, TS_INFO_WORDS = 0x41, 11
HARDWARE = 1 | 4 | 64  # SOF_TIMESTAMPING_TX_HARDWARE, RX_HARDWARE, RAW_HARDWARE: <linux/net_tstamp.h>

FLUSHES = 200
FLUSH_BUDGET_NS = 1_000_000_000
FLUSH_BYTES = 512  # about a record or two
COMMAND_TIMEOUT_S = 2.0

TIMEX_BYTES = 256  # at least sizeof(struct timex)
TIMEX_HEAD = struct.Struct("@Illlli")  # modes, offset, freq, maxerror, esterror, status
STA_UNSYNC = 0x40


class UnreadableError(Exception):
    """A fact that cannot be had here; the text says why."""


class ClockState(NamedTuple):
    """The kernel's clock discipline (adjtimex)."""

    synchronised: bool
    max_error_us: int


class Coalescing(NamedTuple):
    """How a card gathers interrupts."""

    rx_usecs: int
    tx_usecs: int
    adaptive: bool


class Rings(NamedTuple):
    """A card's descriptors: in use and at most."""

    rx: int
    rx_max: int
    tx: int
    tx_max: int


class Probes:
    """The host itself."""

    def path_mtu(self, own: Address, peer: Address) -> int:
        """MTU of the way from our address to the peer's, as the kernel knows it, in bytes with the IP header."""
        with _connected(own.host, peer) as sock:
            if sock.family == socket.AF_INET6:
                return sock.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)
            return sock.getsockopt(socket.IPPROTO_IP, IP_MTU)

    def interface_towards(self, peer: Address, own: str | None = None) -> str:
        """Name of the network interface that the way to `peer` begins at."""
        with _connected(own, peer) as sock:
            address = sock.getsockname()[0]
        for name, held in _addresses():
            if held == address:
                return name
        raise UnreadableError(f"no interface has the address {address}")

    def flush_times(self, directory: Path) -> list[int]:
        """ns of each fdatasync after a small write, in a file of its own that is gone afterwards. Of a directory that
        is not made yet: on the disk that it will be on."""
        while not directory.exists() and directory != directory.parent:
            directory = directory.parent
        try:
            with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
                return _flush_times(file.fileno())
        except OSError as error:
            raise UnreadableError(f"{directory}: {error.strerror}") from None

    def clock_state(self) -> ClockState:
        """The state of the kernel's clock, whoever keeps it."""
        buffer = ctypes.create_string_buffer(TIMEX_BYTES)
        try:
            failed = ctypes.CDLL(None, use_errno=True).adjtimex(buffer) < 0
        except (OSError, AttributeError):
            raise UnreadableError("this system has no adjtimex()") from None
        if failed:
            raise UnreadableError(f"adjtimex(): {os.strerror(ctypes.get_errno())}")
        _, _, _, max_error, _, status = TIMEX_HEAD.unpack_from(buffer.raw)
        return ClockState(not status & STA_UNSYNC, max_error)

    def chrony_tracking(self) -> str:
        """`chronyc -c tracking`."""
        command = shutil.which("chronyc")
        if command is None:
            raise UnreadableError("chronyc is not installed")
        try:
            done = subprocess.run(
                [command, "-c", "tracking"], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnreadableError(f"chronyc: {error}") from None
        if done.returncode:
            raise UnreadableError(f"chronyc: {(done.stdout + done.stderr).strip()[:80]}")
        return done.stdout

    def hardware_stamps(self, interface: str) -> bool:
        """Whether the card stamps what it sends and receives."""
        words = _ethtool(interface, ETHTOOL_GET_TS_INFO, TS_INFO_WORDS)
        return words[1] & HARDWARE == HARDWARE

    def coalescing(self, interface: str) -> Coalescing:
        """How the card gathers interrupts."""
        words = _ethtool(interface, ETHTOOL_GCOALESCE, COALESCE_WORDS)
        return Coalescing(words[1], words[5], bool(words[10] or words[11]))

    def rings(self, interface: str) -> Rings:
        """The sizes of the card's rings."""
        words = _ethtool(interface, ETHTOOL_GRINGPARAM, RING_WORDS)
        return Rings(words[5], words[1], words[8], words[4])


def _flush_times(fd: int) -> list[int]:
    content = bytes(FLUSH_BYTES)
    os.posix_fallocate(fd, 0, FLUSHES * FLUSH_BYTES)  # as the journal's segments are
    os.fsync(fd)  # the file's length is not what is measured
    times: list[int] = []
    begun = time.perf_counter_ns()
    while len(times) < FLUSHES and time.perf_counter_ns() - begun < FLUSH_BUDGET_NS:
        os.pwrite(fd, content, len(times) * FLUSH_BYTES)
        before = time.perf_counter_ns()
        os.fdatasync(fd)
        times.append(time.perf_counter_ns() - before)
    return times


def _connected(own: str | None, peer: Address) -> socket.socket:
    """A UDP socket of the way to `peer`: connect() of UDP sends nothing."""
    sock = socket.socket(socket.AF_INET6 if ":" in peer.host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        if own is not None:
            sock.bind((own, 0))
        sock.connect(tuple(peer))
    except OSError as error:
        sock.close()
        raise UnreadableError(f"{own or 'any address'} towards {peer}: {error.strerror}") from None
    return sock


def _addresses() -> list[tuple[str, str]]:
    """(interface, address) of this host: IPv4 by ioctl, IPv6 from /proc/net/if_inet6."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(sock, SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:
                continue  # it has no IPv4 address
            found.append((name, socket.inet_ntoa(answer[20:24])))
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        address, *_, name = line.split()
        found.append((name, socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))))
    return found


def _ethtool(interface: str, command: int, words: int) -> list[int]:
    """A structure of ethtool as 32-bit words, the command among them."""
    asked = array.array("I", [command] + [0] * (words - 1))
    request = struct.pack("16sP", interface.encode(), asked.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            fcntl.ioctl(sock, SIOCETHTOOL, request + bytes(16))
        except OSError as error:
            raise UnreadableError(f"{interface}: the driver does not tell: {error.strerror}") from None
    return list(asked)
