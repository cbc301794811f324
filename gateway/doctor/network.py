"""Checks of the network stack: busy polling, buffers, and the way to the peer. Pure over a Host and its probes."""

from __future__ import annotations

from gateway.doctor.aim import Aim
from gateway.doctor.finding import Check, Verdict, bad, ok, unknown, warn
from gateway.doctor.host import Host

AREA = "network"
CORE = "proc/sys/net/core"
POLL_US = 50
UDP_HEADERS = {4: 28, 6: 48}  # IP and UDP, without options


def _polling(option: str) -> Check:
    def judge(host: Host, aim: Aim) -> Verdict:
        value = host.number(f"{CORE}/{option}")
        if value > 0:
            return ok(f"{value} us")
        if not aim.leaves_the_host:
            return ok("0; nothing here leaves the host")
        return warn("0", f"sysctl -w net.core.{option}={POLL_US}")

    why = {
        "busy_poll": "epoll_wait() asks the card itself instead of waiting for its interrupt",
        "busy_read": "a read asks the card itself instead of waiting for its interrupt",
    }[option]
    return Check(AREA, f"net.core.{option}", f"{POLL_US} us", why, judge)


def _buffer(name: str, wanted_of: str) -> Check:
    def judge(host: Host, aim: Aim) -> Verdict:
        wanted: int = getattr(aim, wanted_of)
        limit = host.number(f"{CORE}/{name}")
        asked = f"at least {wanted}"
        return (
            ok(str(limit), asked) if limit >= wanted else bad(str(limit), f"sysctl -w net.core.{name}={wanted}", asked)
        )

    way = (
        "from the peer, when a core is busy for a moment"
        if name == "rmem_max"
        else "to the peer, when the card is behind"
    )
    why = f"the kernel cuts the gateway's buffers to this: a burst {way}, is lost and must be sent again"
    return Check(AREA, f"net.core.{name}", "what the gateway asks for", why, judge)


def _path_mtu(host: Host, aim: Aim) -> Verdict:
    if not aim.paths:
        return unknown("without a configuration, there is no peer")
    texts, short = [], []
    wanted = ""
    for path in aim.paths:
        mtu = host.probes.path_mtu(path.own, path.peer)
        needed = aim.datagram_bytes + UDP_HEADERS[6 if ":" in path.peer.host else 4]
        wanted = f"at least {needed}: `datagram_bytes` {aim.datagram_bytes} and headers"
        texts.append(f"{mtu} to {path.peer.host}")
        if mtu < needed:
            short.append((mtu, needed - aim.datagram_bytes, path.peer.host))
    if not short:
        return ok(", ".join(texts), wanted)
    mtu, headers, host_name = min(short)
    fix = (
        f"ping -M do -s {aim.datagram_bytes} {host_name}; raise the MTU (ip link set DEV mtu "
        f"{aim.datagram_bytes + headers}) on the whole way, or set replication.datagram_bytes = {mtu - headers}"
    )
    return bad(", ".join(texts), fix, wanted)


CHECKS = (
    _polling("busy_poll"),
    _polling("busy_read"),
    _buffer("rmem_max", "receive_buffer"),
    _buffer("wmem_max", "send_buffer"),
    Check(
        AREA,
        "path MTU to the peer",
        "`datagram_bytes` and headers",
        "a datagram that does not fit is cut up or dropped, and every one that is full gets lost",
        _path_mtu,
    ),
)
