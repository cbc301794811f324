"""FIX messages for inputs: what frames them is repaired, so that what is inside gets looked at."""

from __future__ import annotations

import re
from itertools import pairwise

SOH = b"\x01"
START = re.compile(rb"8=FIX[^\x01]{0,8}\x01")
FRAME = re.compile(rb"^(8=[^\x01]*\x01)(?:9=[^\x01]*\x01)?(.*?)(?:10=[^\x01]*\x01?)?$", re.DOTALL)
TOKENS = [
    b"\x01",
    b"=",
    b"\x0110=000\x01",
    b"8=FIX.4.4\x019=",
    b"\x0134=",
    b"\x0135=",
    b"\x0143=Y\x01",
    b"\x0136=",
    b"\x01123=Y",
]
TOKENS += [b"\x01141=Y\x01", b"\x0195=4\x0196=", b"\x01789=", b"\x017=1\x0116=0\x01", b"\x01122=20231114-22:13:20\x01"]
TOKENS += [
    b"\x01453=2\x01448=a\x01448=b\x01",
    b"\x01112=",
    b"\x01108=0\x01",
    b"FIXT.1.1",
    b"FIX.4.2",
    b"99999999999999999999",
]
TOKENS += [
    b"\x0111=a\x01",
    b"\x0137=x\x01",
    b"\x0139=2\x01",
    b"\x01150=F\x01",
    b"\x0138=1e9\x01",
    b"\x0144=-0.00000001\x01",
]


def repaired(data: bytes) -> bytes:
    """Each message in `data` with the BodyLength (9) and CheckSum (10) that it should have; what is before the first is
    dropped."""
    starts = [match.start() for match in START.finditer(data)]
    pieces = [data[start:end] for start, end in pairwise([*starts, len(data)])]
    return b"".join(framed(piece) for piece in pieces)


def framed(message: bytes) -> bytes:
    """One message with the right BodyLength and CheckSum."""
    match = FRAME.match(message)
    if match is None:
        return message
    begin, body = match[1], match[2]
    if not body.endswith(SOH):
        body += SOH
    head = begin + b"9=%d\x01" % len(body)
    return head + body + b"10=%03d\x01" % (sum(head + body) % 256)
