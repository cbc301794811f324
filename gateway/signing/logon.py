"""What a hook is told of the Logon that is to be filled, and its fields on the wire. Pure but for reading secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gateway.config.secrets import read_secret
from gateway.errors import ConfigError, GatewayError
from gateway.fix.logontags import SESSION_TAGS

SOH = "\x01"
NS_PER_S = 10**9
TAG_RAW_DATA_LENGTH = 95
TAG_RAW_DATA = 96

LogonField = tuple[int, str | bytes]  # tag and value


@dataclass(frozen=True, slots=True)
class Logon:
    """A Logon (35=A) about to be sent."""

    session: str  # its name in the configuration
    begin_string: str
    sender_comp_id: str
    target_comp_id: str
    seq: int  # MsgSeqNum (34)
    sending_time: str  # SendingTime (52) as it will stand in the header
    sending_time_ns: int  # the same, ns since the Unix epoch
    options: Mapping[str, str] = field(repr=False)  # `logon_options`

    def option(self, key: str) -> str:
        """One of `logon_options`. Raises ConfigError: it is missing."""
        try:
            return self.options[key]
        except KeyError:
            raise ConfigError(f"session {self.session!r}: logon_options.{key} is missing") from None

    def secret(self, key: str) -> bytes:
        """What the environment variable logon_options.KEY_env or the file logon_options.KEY_file holds. Raises
        ConfigError."""
        env, file = self.options.get(f"{key}_env"), self.options.get(f"{key}_file")
        if (env is None) == (file is None):
            raise ConfigError(
                f"session {self.session!r}: one of logon_options.{key}_env and logon_options.{key}_file is needed"
            )
        what = f"session {self.session!r}: logon_options.{key}"
        return read_secret(what, env=env, file=Path(file) if file else None)


def raw_data(value: bytes) -> list[LogonField]:
    """RawDataLength (95) and RawData (96)."""
    return [(TAG_RAW_DATA_LENGTH, str(len(value))), (TAG_RAW_DATA, value)]


def encode(fields: Iterable[LogonField]) -> bytes:
    """`tag=value<SOH>` of each. Raises GatewayError that names the tag, never the value."""
    found = b""
    for tag, value in fields:
        raw = value.encode() if isinstance(value, str) else value
        if not isinstance(tag, int) or tag <= 0 or tag in SESSION_TAGS:
            raise GatewayError(f"tag {tag}: a logon hook may not write it")
        if not raw or b"\x01" in raw:
            raise GatewayError(f"tag {tag}: its value is empty or holds SOH")
        found += b"%d=%s\x01" % (tag, raw)
    return found


def utc_timestamp(wall_ns: int, digits: int) -> str:
    """UTCTimestamp with 0, 3, 6 or 9 digits of a second, as the session writes it."""
    text = datetime.fromtimestamp(wall_ns // NS_PER_S, UTC).strftime("%Y%m%d-%H:%M:%S")
    return f"{text}.{wall_ns % NS_PER_S:09d}"[: len(text) + 1 + digits] if digits else text
