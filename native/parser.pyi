"""Face of the parser for tests and tools."""

from typing import NamedTuple

STATUS_NAMES: tuple[str, ...]
GARBLED_NAMES: tuple[str, ...]
MAX_WIDE: int

class Parsed(NamedTuple):
    """Outcome of parsing: `fields` are (tag, value) in order of arrival, empty unless status is OK."""

    status: str
    consumed: int
    reason: str
    fields: list[tuple[int, bytes]]
    msg_type: str
    seq: int

def parse(data: bytes, *, max_message_bytes: int = ...) -> Parsed: ...
def parse_body(data: bytes) -> Parsed: ...
def decimal_e8(value: bytes) -> int | None: ...
def utc_timestamp_ns(value: bytes) -> int: ...
def set_wide(fields: int) -> int: ...
def measure_parse(stream: bytes, rounds: int) -> float: ...
