"""Inputs that are a list of steps: one byte that says what, a length, and so many bytes. Any bytes are such a list."""

from __future__ import annotations

import struct
from collections.abc import Iterator

LENGTH = struct.Struct("<H")
MAX_STEPS = 200


def step(what: int, data: bytes = b"") -> bytes:
    """One step, as `steps` reads it."""
    return bytes([what]) + LENGTH.pack(len(data)) + data


def steps(data: bytes, kinds: int) -> Iterator[tuple[int, bytes]]:
    """(what, bytes) of each step, `what` less than `kinds`."""
    at = 0
    for _ in range(MAX_STEPS):
        if at + 3 > len(data):
            return
        length = LENGTH.unpack_from(data, at + 1)[0]
        yield data[at] % kinds, data[at + 3 : at + 3 + length]
        at += 3 + length


def number(data: bytes, at: int = 0, width: int = 1) -> int:
    """An unsigned number in `data`, as far as that goes."""
    return int.from_bytes(data[at : at + width], "little")
