"""Changes to inputs: what a damaged disk, a broken counterparty or an attacker may do to bytes. No I/O."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

MAX_INPUT_BYTES = 1 << 14
MAX_CHANGES = 8
NUMBERS = [0, 1, 2, 7, 8, 63, 64, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1]
NUMBERS += [2**32, 2**63 - 1, 2**63, 2**64 - 1]
Change = Callable[["Mutator", bytearray], None]


class Mutator:
    """Makes new inputs of old ones. The same seed makes the same."""

    def __init__(self, chance: random.Random, tokens: Sequence[bytes] = ()) -> None:
        self.chance = chance
        self.tokens = tokens

    def next(self, corpus: Sequence[bytes]) -> bytes:
        """An input of `corpus`, changed in one place or some."""
        chance = self.chance
        data = bytearray(chance.choice(corpus))
        if len(corpus) > 1 and chance.random() < 0.1:
            other = chance.choice(corpus)
            data = data[: self._place(data)] + other[self._place(other) :]
        for _ in range(chance.choice([0, 1, 1, 1, 2, 3, MAX_CHANGES])):
            chance.choice(CHANGES)(self, data)
        return bytes(data[:MAX_INPUT_BYTES])

    def _place(self, data: bytes | bytearray) -> int:
        return self.chance.randrange(len(data) + 1)

    def _range(self, data: bytearray) -> slice:
        start = self._place(data)
        return slice(start, start + self.chance.choice([1, 1, 2, 4, 8, 32, 200, 2000]))

    def flip(self, data: bytearray) -> None:
        """One bit."""
        if data:
            data[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)

    def set(self, data: bytearray) -> None:
        """One byte."""
        if data:
            data[self.chance.randrange(len(data))] = self.chance.randrange(256)

    def insert(self, data: bytearray) -> None:
        """Some bytes of chance."""
        at = self._place(data)
        data[at:at] = self.chance.randbytes(self.chance.choice([1, 1, 2, 4, 16, 300]))

    def token(self, data: bytearray) -> None:
        """Something that means something to the target, put in or over."""
        if self.tokens:
            at = self._place(data)
            token = self.chance.choice(self.tokens)
            data[at : at + self.chance.choice([0, len(token)])] = token

    def number(self, data: bytearray) -> None:
        """A number near a limit, in binary or in digits."""
        at = self._place(data)
        number = self.chance.choice(NUMBERS) + self.chance.choice([0, 0, -1, 1])
        width = self.chance.choice([0, 1, 2, 4, 8])
        written = (number % 2 ** (8 * width)).to_bytes(width, "little") if width else b"%d" % number
        data[at : at + self.chance.choice([0, len(written)])] = written

    def remove(self, data: bytearray) -> None:
        """Some bytes."""
        del data[self._range(data)]

    def repeat(self, data: bytearray) -> None:
        """Some bytes again, and perhaps many times."""
        if len(data) < MAX_INPUT_BYTES:
            piece = data[self._range(data)]
            at = self._place(data)
            data[at:at] = piece * self.chance.choice([1, 1, 2, 20])

    def move(self, data: bytearray) -> None:
        """Some bytes to somewhere else."""
        taken = self._range(data)
        piece = data[taken]
        del data[taken]
        at = self._place(data)
        data[at:at] = piece

    def cut(self, data: bytearray) -> None:
        """The end."""
        del data[self._place(data) :]


CHANGES: Sequence[Change] = [
    Mutator.flip,
    Mutator.flip,
    Mutator.set,
    Mutator.insert,
    Mutator.token,
    Mutator.token,
    Mutator.number,
    Mutator.number,
    Mutator.remove,
    Mutator.repeat,
    Mutator.move,
    Mutator.cut,
]
