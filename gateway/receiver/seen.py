"""What a receiver last knew of the primary, kept beside its journal: a promotion says by it what may be missing."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from gateway.errors import GatewayError

FILE = "seen.json"


@dataclass(frozen=True)
class Seen:
    """The pair's log as the primary last told it."""

    node: str  # a or b
    epoch: int
    released_lsn: int
    log_end_lsn: int
    heard_wall_ns: int


def write_seen(directory: Path, seen: Seen) -> None:
    """Replaces the file as a whole."""
    temporary = directory / f".{FILE}.{os.getpid()}"
    temporary.write_bytes(orjson.dumps(asdict(seen)))
    temporary.replace(directory / FILE)


def read_seen(directory: Path) -> Seen | None:
    """None: it never heard of a primary. Raises GatewayError."""
    try:
        return Seen(**orjson.loads((directory / FILE).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise GatewayError(f"{directory / FILE}: cannot be read: {error}; remove it to go on without") from None
