"""Connections in a configuration file: endpoints, socket options, TLS, proxies, the acceptor's front door. Pure data
with checks; times in ns, sizes in bytes."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from gateway.config.section import Section, refuse_inline_secret
from gateway.config.units import Duration, Size, SocketAddress, parse_duration, parse_size

NS_PER_S = 10**9
NS_PER_MS = 10**6
NS_PER_US = 10**3
MAX_BUFFER_BYTES = 1 << 30
MAX_FIRST_MESSAGE_BYTES = 1 << 14  # what a command can hand to the reactor
MAX_INTERFACE_CHARS = 15  # IFNAMSIZ less the terminating zero

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_ip(value: object) -> str:
    """`"10.0.0.1"`. Raises ValueError."""
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise ValueError('a numeric IP address, such as "10.0.0.1" or "::1"') from None


def parse_network(value: object) -> Network:
    """`"10.1.0.0/16"`, or one address. Raises ValueError."""
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    try:
        return ipaddress.ip_network(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(
            'a network, such as "10.1.0.0/16" (no bits set behind the prefix), or one address, such as "10.1.2.3"'
        ) from None


IpAddress = Annotated[
    str,
    PlainValidator(parse_ip),
    WithJsonSchema({"type": "string", "description": "a numeric IP address", "examples": ["10.0.0.1"]}),
]
SourceNetwork = Annotated[
    Network,
    PlainValidator(parse_network),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "description": "a network or one address", "examples": ["10.1.0.0/16"]}),
]
Interface = Annotated[str, Field(min_length=1, max_length=MAX_INTERFACE_CHARS, pattern=r"^[^\s/]+$")]


class Tcp(Section):
    """`[session.tcp]`, `[acceptor.tcp]`: options of the sockets. Absent: as the system has them."""

    nodelay: bool = Field(True, description="TCP_NODELAY: no message waits for the one before to be acknowledged")
    keepalive_idle: Duration | None = Field(None, description="TCP_KEEPIDLE: silence before the first probe; whole s")
    keepalive_interval: Duration | None = Field(None, description="TCP_KEEPINTVL: between probes; whole s")
    keepalive_count: int | None = Field(None, ge=1, le=127, description="TCP_KEEPCNT: unanswered probes before the end")
    user_timeout: Duration | None = Field(
        None,
        description="TCP_USER_TIMEOUT: sent data that stays unacknowledged for so long ends it; whole ms",
    )
    send_buffer: Size | None = Field(None, ge=4096, le=MAX_BUFFER_BYTES, description="SO_SNDBUF")
    receive_buffer: Size | None = Field(None, ge=4096, le=MAX_BUFFER_BYTES, description="SO_RCVBUF")
    quick_ack: bool = Field(False, description="TCP_QUICKACK: acknowledge at once; the system may fall back")
    busy_poll: Duration | None = Field(None, description="SO_BUSY_POLL: poll the card on reads for so long; whole us")
    interface: Interface | None = Field(None, description="SO_BINDTODEVICE: network interface", examples=["eth1"])

    @model_validator(mode="after")
    def _units(self) -> Self:
        for key, unit, name, most in (
            ("keepalive_idle", NS_PER_S, "seconds", 32767),
            ("keepalive_interval", NS_PER_S, "seconds", 32767),
            ("user_timeout", NS_PER_MS, "milliseconds", 2**31 - 1),
            ("busy_poll", NS_PER_US, "microseconds", 10**6),
        ):
            value = getattr(self, key)
            if value is not None and (value % unit or not 0 < value // unit <= most):
                raise ValueError(f"`{key}`: whole {name} from 1 to {most} are allowed")
        return self


class Tls(Section):
    """What both sides' TLS have in common."""

    cert_file: Path | None = Field(None, description="our certificate and its chain, PEM")
    key_file: Path | None = Field(None, description="its private key, PEM; absent: it is in `cert_file`")
    key_password_env: str | None = None
    key_password_file: Path | None = None
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    handshake_timeout: Duration = parse_duration("5s")

    @model_validator(mode="before")
    @classmethod
    def _no_inline_secret(cls, data: object) -> object:
        return refuse_inline_secret(data, "key_password")

    @model_validator(mode="after")
    def _key(self) -> Self:
        if self.cert_file is None and (self.key_file or self.key_password_env or self.key_password_file):
            raise ValueError("`key_file` and the key's password belong to a `cert_file`")
        return self


class ClientTls(Tls):
    """`[session.tls]`, `endpoints.tls`: TLS of connections that we make."""

    ca_file: Path | None = Field(None, description="whose certificates are trusted; absent: the system's list")
    server_name: str | None = Field(
        None, min_length=1, max_length=253, description="name in the counterparty's certificate, sent as SNI"
    )
    insecure_no_verification: bool = Field(
        False, description="takes any certificate: anyone on the way can read and change everything"
    )

    @model_validator(mode="after")
    def _verification(self) -> Self:
        if self.insecure_no_verification and self.ca_file is not None:
            raise ValueError("`insecure_no_verification` and `ca_file` exclude each other")
        return self


class ServerTls(Tls):
    """`[acceptor.tls]`: TLS of connections that we accept."""

    client_ca_file: Path | None = Field(
        None, description="client certificates are required, and must be of these authorities"
    )

    @model_validator(mode="after")
    def _certificate(self) -> Self:
        if self.cert_file is None:
            raise ValueError("an acceptor needs `cert_file`, and `key_file` where the key is not in it")
        return self


class Proxy(Section):
    """`endpoints.proxy`: who makes the connection for us."""

    kind: Literal["socks5", "http"] = Field(description="SOCKS5 (RFC 1928), or CONNECT of an HTTP proxy (RFC 9110)")
    address: SocketAddress
    user: str | None = Field(None, min_length=1, description="with password_env or password_file")
    password_env: str | None = None
    password_file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_inline_secret(cls, data: object) -> object:
        return refuse_inline_secret(data, "password")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.user is None) != (self.password_env is None and self.password_file is None):
            raise ValueError("`user` and one of `password_env` and `password_file` go together")
        if self.kind == "socks5" and len((self.user or "").encode()) > 255:
            raise ValueError("`user`: SOCKS5 allows 255 bytes (RFC 1929)")
        if self.kind == "http" and ":" in (self.user or ""):
            raise ValueError("`user`: Basic authentication allows no colon (RFC 7617)")
        return self


class Endpoint(Section):
    """One of `session.endpoints`: `"host:port"`, or a table."""

    address: SocketAddress
    source: IpAddress | None = Field(None, description="our address; absent: as the system routes")
    interface: Interface | None = Field(None, description="goes before session.tcp.interface")
    proxy: Proxy | None = None
    remote_name: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="with a proxy: the name that it looks up and connects to, instead of the address",
    )
    tls: ClientTls | None = Field(None, description="goes before session.tls")
    plaintext: bool = Field(False, description="no TLS here, though there is [session.tls]")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return data if isinstance(data, dict | Endpoint) else {"address": data}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        reached = self.proxy.address if self.proxy else self.address
        if self.source is not None and (":" in self.source) != (":" in reached.host):
            raise ValueError(f"`source` {self.source} and {reached} must both be IPv4 or both IPv6")
        if self.remote_name is not None and self.proxy is None:
            raise ValueError("`remote_name` belongs to a `proxy`: names are not looked up here")
        if self.plaintext and self.tls is not None:
            raise ValueError("`plaintext` and `tls` exclude each other")
        return self


class Acceptor(Section):
    """`[acceptor]`: who may connect to the addresses of `fix_listen`, and how much of it."""

    allowed: list[SourceNetwork] | None = Field(
        None, min_length=1, description="networks that may connect; absent: any (loopback alone, on a node)"
    )
    max_connections: int = Field(256, ge=1, le=65536)
    max_connections_per_source: int = Field(32, ge=1, le=65536, description="of one address")
    max_unidentified: int = Field(64, ge=1, le=65536, description="connections that have not sent a whole Logon yet")
    first_message_timeout: Duration = Field(parse_duration("5s"), description="from the connection to a whole Logon")
    max_first_message: Size = Field(parse_size("4 KiB"), ge=256, le=MAX_FIRST_MESSAGE_BYTES)
    tcp: Tcp = Tcp()
    tls: ServerTls | None = None


def tls_of(endpoint: Endpoint, of_session: ClientTls | None) -> ClientTls | None:
    """TLS of connections to `endpoint`; None: plain."""
    return None if endpoint.plaintext else endpoint.tls or of_session


def tcp_of(endpoint: Endpoint, of_session: Tcp) -> Tcp:
    """Socket options of connections to `endpoint`."""
    return of_session.model_copy(update={"interface": endpoint.interface}) if endpoint.interface else of_session


def is_direct(endpoint: Endpoint, of_session: ClientTls | None) -> bool:
    """Whether it takes no more than connect() to get there: no proxy, no TLS."""
    return endpoint.proxy is None and tls_of(endpoint, of_session) is None
