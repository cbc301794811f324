"""Facts about the host that stand in every result: figures mean nothing without them. Reads only."""

from __future__ import annotations

import os
import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gateway import __version__
from gateway.config import Config
from gateway.doctor.aim import aim_of
from gateway.doctor.checks import examine_all
from gateway.doctor.host import Host, UnreadableError
from gateway.node.build import UDP_BUFFER_BYTES

CPU = "sys/devices/system/cpu"
FILES = {
    "governor": f"{CPU}/cpu0/cpufreq/scaling_governor",
    "isolated": f"{CPU}/isolated",
    "online": f"{CPU}/online",
    "smt": f"{CPU}/smt/active",
    "clock_source": "sys/devices/system/clocksource/clocksource0/current_clocksource",
    "command_line": "proc/cmdline",
    "busy_poll": "proc/sys/net/core/busy_poll",
    "busy_read": "proc/sys/net/core/busy_read",
    "tcp_rmem": "proc/sys/net/ipv4/tcp_rmem",
    "tcp_wmem": "proc/sys/net/ipv4/tcp_wmem",
    "load_average": "proc/loadavg",
}
PACKAGES = ("numpy", "quickfix", "simplefix", "uvloop", "matplotlib")


def host_facts(config: Config | None, node: str, *, thorough: bool) -> dict[str, Any]:
    """CPU, kernel, isolation, socket options, versions; `thorough`: the findings of `gateway doctor` too (a second)."""
    host = Host()
    facts: dict[str, Any] = {
        "cpu": _cpu(host),
        "cores": sorted(os.sched_getaffinity(0)),
        "virtual": host.is_virtual,
        "kernel": f"{platform.system()} {platform.release()}",
        "files": {name: _text(host, path) for name, path in FILES.items()},
        "socket_options": _socket_options(config),
        "versions": {"gateway": __version__, "python": platform.python_version(), **_versions()},
    }
    if thorough:
        findings = examine_all(host, aim_of(config, node, UDP_BUFFER_BYTES))
        facts["doctor"] = [
            {"what": f"{finding.area}: {finding.what}", "status": finding.status.value, "found": finding.found}
            for finding in findings
        ]
    return facts


def _cpu(host: Host) -> str:
    try:
        return host.labelled("proc/cpuinfo", "model name")
    except UnreadableError:
        return platform.machine()


def _text(host: Host, path: str) -> str:
    try:
        return host.text(path)
    except UnreadableError:
        return "not to be had here"


def _socket_options(config: Config | None) -> dict[str, Any]:
    """The defaults of a TCP socket, as every party of a measurement has them; those of the user's own session."""
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        options: dict[str, Any] = {
            "TCP_NODELAY": bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)),
            "TCP_QUICKACK": bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)),
            "SO_SNDBUF": sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
            "SO_RCVBUF": sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        }
    if config is not None:
        options["configured"] = config.session[0].tcp.model_dump(mode="json", exclude_unset=True)
    return options


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
