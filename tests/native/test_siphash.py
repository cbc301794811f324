"""SipHash-2-4-128 against the published vectors and against the algorithm written out plainly."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.native.siphash import mac

KEY = bytes(range(16))
MASK = 2**64 - 1


def rotate(x: int, bits: int) -> int:
    return (x << bits | x >> (64 - bits)) & MASK


def sip_round(v: list[int]) -> None:
    v[0] = (v[0] + v[1]) & MASK
    v[2] = (v[2] + v[3]) & MASK
    v[1] = rotate(v[1], 13) ^ v[0]
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] = rotate(v[0], 32)
    v[2] = (v[2] + v[1]) & MASK
    v[0] = (v[0] + v[3]) & MASK
    v[1] = rotate(v[1], 17) ^ v[2]
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] = rotate(v[2], 32)


def plain_mac(key: bytes, data: bytes) -> bytes:
    """Section 2 of the paper, with the constants of the 128-bit variant."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        sip_round(v)
        sip_round(v)
        v[0] ^= word
    result = b""
    for lane, constant in ((2, 0xEE), (1, 0xDD)):
        v[lane] ^= constant
        for _ in range(4):
            sip_round(v)
        result += struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])
    return result


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "a3817f04ba25a8e66df67214c7550293"),
        (1, "da87c1d86b99af44347659119b22fc45"),
        (8, "3b62a9ba6258f5610f83e264f31497b4"),
        (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
    ],
)
def test_the_published_vectors(size: int, expected: str):
    assert mac(KEY, bytes(range(size))).hex() == expected


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=300))
def test_agrees_with_the_paper_for_every_key_and_length(key: bytes, data: bytes):
    assert mac(key, data) == plain_mac(key, data)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_key_of_another_length_is_refused(size: int):
    with pytest.raises(ValueError, match=f"16 bytes, found {size}"):
        mac(bytes(size), b"")
