"""CRC-32C: known answers, and hardware against table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.native.crc32c import checksum, checksum_portable, has_hardware

# RFC 3720 appendix B.4, and the check value of the CRC catalogue.
KNOWN = [
    (b"", 0x00000000),
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
]


@pytest.mark.parametrize(("data", "expected"), KNOWN)
@pytest.mark.parametrize("implementation", [checksum, checksum_portable])
def test_known_answers(implementation, data, expected):
    assert implementation(data) == expected


@given(st.binary(max_size=700), st.integers(0, 2**32 - 1))
def test_hardware_and_table_agree(data, seed):
    assert checksum(data, seed) == checksum_portable(data, seed)


@given(st.binary(max_size=400), st.binary(max_size=400))
@pytest.mark.parametrize("implementation", [checksum, checksum_portable])
def test_goes_on_from_where_it_stopped(implementation, first, second):
    assert implementation(second, implementation(first)) == implementation(first + second)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_every_flipped_bit_shows(data, draw):
    bit = draw.draw(st.integers(0, len(data) * 8 - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    assert checksum(bytes(flipped)) != checksum(data)


def test_says_whether_there_is_hardware():
    assert has_hardware() in (True, False)
