"""Durations, sizes and addresses as a person writes them. Pure."""

from __future__ import annotations

import ipaddress
import re
from datetime import time
from decimal import Decimal
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|min|h)")
_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
MAX_PORT = 65535


class Address(NamedTuple):
    """A numeric IP address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this host can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


class DailyTime(NamedTuple):
    """A time of day in a time zone."""

    time: time
    zone: ZoneInfo


def parse_duration(value: object) -> int:
    """`"10ms"` to ns. Raises ValueError."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return round(Decimal(match[1]) * _NS[match[2]])
    raise ValueError('a duration with its unit, such as "50us", "10ms", "2s" or "5min"')


def parse_size(value: object) -> int:
    """`"64 MiB"` to bytes. Raises ValueError."""
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(match[1]) * _BYTES[match[2]]
    raise ValueError('a size with its unit, such as "512 KiB" or "64 MiB"')


def parse_address(value: object) -> Address:
    """`"10.0.0.1:7001"` or `"[::1]:7001"`. Raises ValueError."""
    allowed = 'a numeric address and port, such as "10.0.0.1:7001" or "[::1]:7001"'
    if not isinstance(value, str) or ":" not in value:
        raise ValueError(allowed)
    host, _, port = value.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise ValueError(f"{allowed} (names are not looked up: a resolver has no place in a takeover)") from None
    if not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise ValueError(f"{allowed}; ports go from 1 to {MAX_PORT}")
    return Address(str(address), int(port))


def parse_daily_time(value: object) -> DailyTime:
    """`"17:00 America/New_York"`. Raises ValueError."""
    allowed = 'a time of day and a time zone, such as "17:00 America/New_York" or "22:30:00 UTC"'
    if not isinstance(value, str) or value.count(" ") != 1:
        raise ValueError(allowed)
    clock, zone = value.split(" ")
    try:
        return DailyTime(time.fromisoformat(clock), ZoneInfo(zone))
    except (ValueError, ZoneInfoNotFoundError):
        raise ValueError(allowed) from None


def format_duration(duration_ns: int) -> str:
    """As `parse_duration` reads it, in the largest unit that leaves a whole number."""
    unit = next((u for u in ("h", "min", "s", "ms", "us") if duration_ns and duration_ns % _NS[u] == 0), "ns")
    return f"{duration_ns // _NS[unit]}{unit}"


def format_size(size: int) -> str:
    """As `parse_size` reads it, in the largest unit that leaves a whole number."""
    unit = next((u for u in ("GiB", "MiB", "KiB") if size and size % _BYTES[u] == 0), "B")
    return f"{size // _BYTES[unit]} {unit}"


def format_daily_time(value: DailyTime) -> str:
    """As `parse_daily_time` reads it."""
    return f"{value.time.isoformat()} {value.zone.key}"


def _text(description: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "description": description, "examples": [example]})


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    _text("a duration with its unit: ns, us, ms, s, min or h", "10ms"),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    _text("a size with its unit: B, KiB, MiB or GiB", "64 MiB"),
]
SocketAddress = Annotated[
    Address,
    PlainValidator(parse_address),
    PlainSerializer(str, return_type=str, when_used="json"),
    _text("a numeric IP address and a port", "10.0.0.1:7001"),
]
TimeOfDay = Annotated[
    DailyTime,
    PlainValidator(parse_daily_time),
    PlainSerializer(format_daily_time, return_type=str, when_used="json"),
    _text("a time of day and a time zone", "17:00 America/New_York"),
]
