"""Configuration files and data dictionaries: anything but a ConfigError is a finding."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import ClassVar

from gateway.config import load_config
from gateway.errors import ConfigError
from gateway.fix.dictionary import load_dictionary
from tests.fuzz.fixtext import framed

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
WORDS = [
    "session",
    "client",
    "node.a",
    "limits",
    "register",
    "replication",
    "schedule",
    "reset_at",
    "holidays",
    "endpoints",
]
VALUES = [
    "true",
    "-1",
    "0",
    "1e400",
    "nan",
    "inf",
    "9999999999999999999999",
    '""',
    "[]",
    "{}",
    '"10ms"',
    '"-5s"',
    '"1e9h"',
]
VALUES += [
    '"Mon-Fri 07:00-17:30 Europe/London"',
    '"Sun 17:00-Fri 16:00 America/New_York"',
    '"0 GiB"',
    '"[::1]:80"',
    "1979-05-27",
]
VALUES += [
    '"127.0.0.1:99999"',
    '"\\u0000"',
    '"\\ud7ff"',
    "0x7fffffffffffffffffffffff",
    "07:32:00",
    '"..../:x"',
    '"24:00 UTC"',
]


class FileTarget:
    """Something that is loaded from a file."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="fuzz-config-")
        self._file = Path(self._directory.name) / "file"

    def run(self, data: bytes) -> None:
        """Loads it."""
        self._file.write_bytes(data)
        with contextlib.suppress(ConfigError):
            self.load(self._file)

    def load(self, path: Path) -> None:
        """To be told by each."""
        raise NotImplementedError


class ConfigTarget(FileTarget):
    """A pair's configuration."""

    tokens: ClassVar[list[bytes]] = [
        word.encode() for word in [*WORDS, *VALUES, " = ", "\n[", "]\n", "\n[[", "]]\n", "'''", "\n"]
    ]

    def seeds(self) -> list[bytes]:
        """Those of the repository, and one with every kind of value."""
        more = b"""schedule = "Mon-Fri 07:00-17:30 Europe/London"\nholidays = [2026-12-25]\nresend_max_age = "5m"\n"""
        local = (CONFIGS / "local.toml").read_bytes()
        at = local.index(b"[[client]]")
        return [local, (CONFIGS / "pair.toml").read_bytes(), local[:at] + more + local[at:]]

    def load(self, path: Path) -> None:
        """And looks at everything in it."""
        config = load_config(path)
        repr(config)
        config.fingerprint()
        for session in config.session:
            _ = session.windows


class DictionaryTarget(FileTarget):
    """A data dictionary in QuickFIX's form."""

    tokens: ClassVar[list[bytes]] = [
        b"<group name='G' required='Y'>",
        b"</group>",
        b"<component name='C' required='N'/>",
        b"number='1'",
        b"type='INT'",
    ]
    tokens += [
        b"<field name='A' required='Y'/>",
        b"<value enum='1'/>",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
        b"&a;",
        b"<message ",
    ]

    def seeds(self) -> list[bytes]:
        """A small one that has everything."""
        return [DICTIONARY]

    def load(self, path: Path) -> None:
        """And validates a message with it."""
        load_dictionary(path).validate(HEARTBEAT)


HEARTBEAT = framed(b"8=FIX.4.4\x0135=0\x0149=A\x0156=B\x0134=1\x0152=20231114-22:13:20\x01453=1\x01448=x\x01447=D\x01")
DICTIONARY = b"""<fix type='FIX' major='4' minor='4'>
<header><field name='BeginString' required='Y'/><field name='MsgType' required='Y'/></header>
<messages><message name='Heartbeat' msgtype='0' msgcat='admin'><field name='Text' required='N'/>
<group name='NoParts' required='N'><field name='Part' required='Y'/><component name='Inner' required='N'/></group>
</message></messages>
<trailer><field name='CheckSum' required='Y'/></trailer>
<components><component name='Inner'><field name='Kind' required='N'/></component></components>
<fields><field number='8' name='BeginString' type='STRING'/><field number='35' name='MsgType' type='STRING'/>
<field number='10' name='CheckSum' type='STRING'/><field number='58' name='Text' type='STRING'/>
<field number='453' name='NoParts' type='NUMINGROUP'/><field number='448' name='Part' type='STRING'/>
<field number='447' name='Kind' type='CHAR'><value enum='D' description='D'/>
<value enum='B' description='B'/></field></fields></fix>
"""
