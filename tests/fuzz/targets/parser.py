"""FIX bytes: the parser, and the validation against a dictionary. What is parsed is inside the input, and stable."""

from __future__ import annotations

from typing import ClassVar

from gateway.fix.builtin import builtin_dictionary
from gateway.native.parser import STATUS_NAMES, decimal_e8, parse, parse_body, utc_timestamp_ns
from tests.fuzz.fixtext import TOKENS, framed, repaired

MAX_TAG = 2**32 - 1


class ParserTarget:
    """The input as a stream; then again with the frames of its messages repaired."""

    tokens: ClassVar[list[bytes]] = TOKENS

    def __init__(self) -> None:
        self._dictionary = builtin_dictionary()

    def seeds(self) -> list[bytes]:
        """Messages of the kinds that differ in form."""
        order = (
            b"35=D\x0149=A\x0156=B\x0134=2\x0152=20231114-22:13:20.123\x0111=x\x0155=Z\x0154=1\x0138=100.5\x0140=2\x01"
        )
        return [
            framed(b"8=FIX.4.4\x01" + order),
            framed(
                b"8=FIX.4.4\x0135=A\x0149=A\x0156=B\x0134=1\x0152=20231114-22:13:20\x0195=3\x0196=a\x01b\x0198=0\x01108=30\x01"
            ),
            framed(b"8=FIXT.1.1\x01" + order + b"453=1\x01448=p\x01447=D\x01452=1\x01802=1\x01523=s\x01803=4\x01"),
            framed(b"8=FIX.4.2\x01" + order)
            + framed(b"8=FIX.4.2\x0135=0\x0149=A\x0156=B\x0134=3\x0152=20231114-22:13:20\x01"),
            b"junk" + framed(b"8=FIX.4.4\x01" + order)[:-9],
        ]

    def run(self, data: bytes) -> None:
        """Parses; AssertionError when what comes out cannot be."""
        self._stream(data)
        self._stream(repaired(data))
        for field in parse_body(data).fields:
            assert field[1] in data
        decimal_e8(data[:40])
        utc_timestamp_ns(data[:40])

    def _stream(self, data: bytes) -> None:
        for _ in range(100):
            found = parse(data)
            assert found.status in STATUS_NAMES
            assert 0 <= found.consumed <= len(data)
            if found.status == "OK":
                self._message(data[: found.consumed], found)
            if found.consumed == 0:
                return
            data = data[found.consumed :]

    def _message(self, raw: bytes, found: object) -> None:
        again = parse(raw)
        assert again == found
        assert sum(raw[:-7]) % 256 == int(raw[-4:-1])
        for tag, value in again.fields:
            assert 0 < tag <= MAX_TAG
            assert b"%d=%s\x01" % (tag, value) in raw or b"=%s\x01" % value in raw
        self._dictionary.validate(raw)
