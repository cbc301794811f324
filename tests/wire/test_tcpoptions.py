"""Socket options: what is configured is set, and what cannot be is told."""

from __future__ import annotations

import errno
import socket

import pytest
from pydantic import ValidationError

from gateway.config.connections import Tcp
from gateway.errors import ConfigError
from gateway.wire.tcpoptions import SO_BUSY_POLL, SocketOption, apply, options, packed, probe


def test_every_option_reaches_the_socket():
    tcp = Tcp(
        nodelay=True, keepalive_idle="7s", keepalive_interval="3s", keepalive_count=4, user_timeout="1500ms",
        send_buffer="16 KiB", receive_buffer="32 KiB", quick_ack=True, interface="lo",
    )  # fmt: skip
    with socket.socket() as sock:
        apply(sock, options(tcp), "session 'X'")
        tcp_level = socket.IPPROTO_TCP
        assert sock.getsockopt(tcp_level, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(tcp_level, socket.TCP_KEEPIDLE) == 7
        assert sock.getsockopt(tcp_level, socket.TCP_KEEPINTVL) == 3
        assert sock.getsockopt(tcp_level, socket.TCP_KEEPCNT) == 4
        assert sock.getsockopt(tcp_level, socket.TCP_USER_TIMEOUT) == 1500
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 16 * 1024
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 32 * 1024
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).startswith(b"lo\0")


def test_options_packed_for_native_code_mean_the_same():
    tcp = Tcp(keepalive_count=4, send_buffer="16 KiB", interface="lo")
    with socket.socket() as sock, socket.socket() as other:
        apply(other, options(tcp), "session 'X'")
        for level, name, value in packed(options(tcp)):
            sock.setsockopt(level, name, value)
            assert sock.getsockopt(level, name, 16) == other.getsockopt(level, name, 16)


def test_what_is_not_configured_is_left_to_the_system():
    assert [option.key for option in options(Tcp())] == ["nodelay"]


def test_busy_poll_counts_in_microseconds():
    assert SocketOption("busy_poll", socket.SOL_SOCKET, SO_BUSY_POLL, 50) in options(Tcp(busy_poll="50us"))


@pytest.mark.parametrize(
    ("key", "value", "unit"),
    [
        ("keepalive_idle", "1500ms", "seconds"),
        ("keepalive_interval", "0s", "seconds"),
        ("user_timeout", "10us", "milliseconds"),
        ("busy_poll", "10ns", "microseconds"),
    ],
)
def test_a_time_that_the_system_cannot_count_in_is_refused(key, value, unit):
    with pytest.raises(ValidationError, match=f"`{key}`: whole {unit}"):
        Tcp(**{key: value})


class Refusing:
    """A socket that the system permits nothing."""

    def setsockopt(self, *_):
        raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize(
    ("key", "value", "needed"),
    [("busy_poll", "50us", "CAP_NET_ADMIN"), ("interface", "eth1", "CAP_NET_RAW")],
)
def test_an_option_that_needs_a_privilege_says_which(key, value, needed):
    wanted = [option for option in options(Tcp(**{key: value})) if option.key == key]
    with pytest.raises(ConfigError, match=rf"session 'X': tcp.{key}: not permitted: .*{needed}"):
        apply(Refusing(), wanted, "session 'X'")


def test_an_interface_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(ConfigError, match=r"tcp.interface: there is no network interface 'nope0'; there are: .*lo"):
        probe(Tcp(interface="nope0"), "session 'X'")


def test_a_buffer_that_the_system_cuts_short_is_told_with_the_remedy():
    [warning] = probe(Tcp(receive_buffer="1 GiB"), "session 'X'")
    assert "session 'X': tcp.receive_buffer: 1073741824 bytes wanted" in warning
    assert "sysctl -w net.core.rmem_max=1073741824" in warning
    assert probe(Tcp(receive_buffer="16 KiB"), "session 'X'") == []
