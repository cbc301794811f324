"""Byte streams in shared memory: nothing lost, nobody left asleep, and no belief in what the other side says."""

from __future__ import annotations

import mmap
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.native.sharedstream import SharedStream

RING_BYTES = 1 << 18
TO_NODE_WRITTEN, TO_NODE_READ = 64, 128  # offsets of the positions
TO_CLIENT_WRITTEN, TO_CLIENT_READ = 192, 256


@pytest.fixture
def descriptor():
    fd = SharedStream.make()
    yield fd
    os.close(fd)


@pytest.fixture
def both(descriptor):
    return SharedStream(descriptor, is_node=True), SharedStream(descriptor)


def read(side, size=RING_BYTES):
    place = bytearray(size)
    return bytes(place[: side.read_into(place)])


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, RING_BYTES + 5000)), min_size=1, max_size=40)
)  # (who, write or read, how much)
def test_what_goes_in_comes_out_in_order_in_both_directions(steps):
    fd = SharedStream.make()
    sides = SharedStream(fd, is_node=True), SharedStream(fd)
    os.close(fd)
    written, got = [bytearray(), bytearray()], [bytearray(), bytearray()]
    for who, writes, size in steps:
        if writes:
            data = bytes((len(written[who]) + i) * 31 % 251 for i in range(size))
            room = RING_BYTES - (len(written[who]) - len(got[not who]))
            assert sides[who].write(data) == min(size, room)
            written[who] += data[: min(size, room)]
        else:
            got[who] += read(sides[who], size)
    for who in (0, 1):
        got[who] += read(sides[who])
        assert got[who] == written[not who]


def test_a_reader_that_sleeps_is_to_be_woken_once(both):
    node, client = both
    assert not node.sleep()
    client.write(b"order")
    assert client.must_wake_reader()
    client.write(b"another")
    assert not client.must_wake_reader()
    assert read(node) == b"orderanother"


def test_a_reader_does_not_fall_asleep_before_what_is_there(both):
    node, client = both
    client.write(b"order")
    assert node.sleep()


def test_a_reader_that_polls_is_not_woken(both):
    node, client = both
    client.write(b"order")
    assert not client.must_wake_reader()
    assert read(node) == b"order"


def test_a_writer_that_found_no_room_is_to_be_woken_once_there_is(both):
    node, client = both
    assert client.write(bytes(RING_BYTES)) == RING_BYTES
    assert client.write(b"more") == 0
    read(node, 1)
    assert node.must_wake_writer()
    read(node, 1)
    assert not node.must_wake_writer()
    assert client.write(b"more") == 2


@pytest.mark.parametrize("said", [1 << 62, RING_BYTES + 1])
@pytest.mark.parametrize(
    ("offset", "act"),
    [(TO_NODE_WRITTEN, read), (TO_CLIENT_READ, lambda node: node.write(b"execution"))],
)
def test_a_position_that_cannot_be_is_an_end_not_a_crash(descriptor, both, offset, act, said):
    node, _ = both
    with mmap.mmap(descriptor, 4096) as memory:
        memory[offset : offset + 8] = said.to_bytes(8, "little")
    with pytest.raises(ConnectionError, match="spoilt"):
        act(node)


def test_what_a_side_knows_of_itself_is_not_read_back(descriptor, both):
    node, client = both
    client.write(b"one")
    with mmap.mmap(descriptor, 4096) as memory:
        for offset in (TO_NODE_READ, TO_CLIENT_WRITTEN):
            memory[offset : offset + 8] = (77).to_bytes(8, "little")
    assert read(node) == b"one"
    node.write(b"two")
    assert read(client) == b"two"


def test_a_client_cannot_take_the_memory_from_under_the_node(descriptor):
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 1 << 30)


def test_memory_of_another_version_is_refused(descriptor):
    with mmap.mmap(descriptor, 4096) as memory:
        memory[8] = 99
    with pytest.raises(ValueError, match="same version"):
        SharedStream(descriptor)
    other = os.memfd_create("other")
    with pytest.raises(ValueError, match="same version"):
        SharedStream(other)
    os.close(other)


def test_what_was_handed_over_is_not_used_any_more(both):
    node, _ = both
    assert node.address
    other = SharedStream(SharedStream.make(), is_node=True)
    other.detach()
    for act in (lambda: other.write(b"x"), lambda: read(other), other.sleep, lambda: other.address):
        with pytest.raises(ValueError, match="handed over"):
            act()
