"""The record's layout and checksum, as another program would read them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.native import record as names
from gateway.native.crc32c import checksum
from gateway.native.journal import Journal
from gateway.native.record import intact

HEADER = struct.Struct("<IIQQQIIIHBB")


def one_record(payload=b"payload", **fields):
    with Journal.memory(segment_bytes=1 << 16, max_records=16, max_seq=16) as journal:
        lsn = journal.append(names.OUT, 3, payload, **fields)
        return journal.at(lsn)


def test_header_has_48_bytes_in_this_order():
    record = one_record(seq=7, epoch=9, client=11, aux=13, flags=5, time_ns=17)
    length, crc, lsn, seq, time_ns, epoch, client, aux, session, kind, flags = HEADER.unpack_from(record.raw)
    assert HEADER.size == 48
    assert (length, lsn, seq, time_ns, epoch, client, aux) == (48 + 7, 1, 7, 17, 9, 11, 13)
    assert (session, kind, flags) == (3, names.OUT, 5)
    assert crc == record.crc
    assert record.raw[48:] == record.payload == b"payload"


@given(st.binary(max_size=500))
def test_crc_covers_length_and_everything_behind_the_crc(payload):
    raw = one_record(payload).raw
    assert struct.unpack_from("<I", raw, 4)[0] == checksum(raw[8:], checksum(raw[:4]))


@given(st.binary(max_size=100), st.data())
def test_a_changed_byte_makes_it_not_intact(payload, data):
    raw = bytearray(one_record(payload).raw)
    assert intact(bytes(raw))
    place = data.draw(st.integers(8, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    assert not intact(bytes(raw))


@pytest.mark.parametrize("length", [0, 1, 8, 47])
def test_a_length_below_the_header_is_not_intact(length):
    raw = struct.pack("<I", length) + one_record().raw[4:]
    assert not intact(raw)


def test_a_length_beyond_the_bytes_is_not_intact():
    raw = one_record().raw
    assert not intact(raw[:-1])
    assert not intact(raw[:3])


def test_repr_hides_the_payload():
    assert "secret" not in repr(one_record(b"554=secret\x01"))
