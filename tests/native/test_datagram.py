"""Sealed datagrams: nothing forged, cut, misdirected or recorded is taken, and what is dropped is counted."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.native.datagram import STATUS_NAMES, Channel
from gateway.native.siphash import mac

KEY = b"0123456789abcdef"
HELLO, HEARTBEAT, DATA = 1, 2, 3
HEADER_BYTES, MAC_BYTES, MAX_BYTES = 96, 16, 9000
REPLAY_WINDOW = 4096 - 64  # counters behind the newest that can still be told apart
# Places of header fields (datagram.pxd).
AT_VERSION, AT_FROM_NODE, AT_TO_NODE, AT_PAIR, AT_FROM_INCARNATION, AT_COUNTER = 2, 4, 5, 8, 16, 32


def acquainted(a_incarnation: int = 5, b_incarnation: int = 6) -> tuple[Channel, Channel]:
    """Two channels that have learned each other's incarnation, as nodes do when they meet."""
    a = Channel(KEY, node=0, incarnation=a_incarnation)
    b = Channel(KEY, node=1, incarnation=b_incarnation)
    assert b.open(a.seal(HELLO, 1)) == "OK"
    assert a.open(b.seal(HELLO, 0, to_incarnation=a_incarnation)) == "OK"
    assert b.open(a.seal(HEARTBEAT, 1)) == "OK"
    return a, b


def resealed(datagram: bytes, offset: int, layout: str, value: int) -> bytes:
    """The datagram with another value in its header, by somebody who has the key."""
    body = bytearray(datagram[:-MAC_BYTES])
    struct.pack_into(layout, body, offset, value)
    return bytes(body) + mac(KEY, bytes(body))


def counted(channel: Channel) -> dict[str, int]:
    return {name: count for name, count in channel.dropped.items() if count}


def test_two_nodes_that_have_met_take_each_others_datagrams():
    a, b = acquainted()
    assert (a.peer_incarnation(1), b.peer_incarnation(0)) == (6, 5)
    assert b.open(a.seal(DATA, 1, b"body")) == "OK"
    assert a.open(b.seal(HEARTBEAT, 0)) == "OK"
    assert counted(a) == counted(b) == {}


def test_a_hello_to_no_or_another_life_changes_nothing():
    a, b = Channel(KEY, node=0, incarnation=5), Channel(KEY, node=1, incarnation=6)
    for claimed in (0, 4, 9):
        assert b.open(a.seal(HELLO, 1, to_incarnation=claimed)) == "OK"
    assert b.peer_incarnation(0) == 0


@given(st.data())
def test_one_changed_bit_anywhere_is_noticed(data: st.DataObject):
    a, b = acquainted()
    datagram = bytearray(a.seal(DATA, 1, data.draw(st.binary(max_size=100))))
    bit = data.draw(st.integers(0, len(datagram) * 8 - 1))
    datagram[bit // 8] ^= 1 << bit % 8
    before = b.peer_incarnation(0)
    status = b.open(bytes(datagram))
    assert status in {"BAD_MAC", "WRONG_MAGIC", "WRONG_VERSION", "WRONG_PAIR", "WRONG_NODE", "TRUNCATED"}
    assert counted(b) == {status: 1}
    assert b.peer_incarnation(0) == before


@given(st.binary(max_size=100), st.data())
def test_a_datagram_that_was_cut_short_or_made_longer_is_dropped(body: bytes, data: st.DataObject):
    a, b = acquainted()
    datagram = a.seal(DATA, 1, body)
    assert b.open(datagram[: data.draw(st.integers(0, len(datagram) - 1))]) == "TRUNCATED"
    assert b.open(datagram + data.draw(st.binary(min_size=1, max_size=20))) == "TRUNCATED"
    assert b.open(datagram) == "OK"


@given(st.binary(max_size=300))
def test_random_bytes_are_dropped_and_counted(noise: bytes):
    _, b = acquainted()
    assert counted(b) == {}
    assert b.open(noise) != "OK"
    assert sum(b.dropped.values()) == 1


@given(st.binary(max_size=200), st.binary(min_size=MAC_BYTES, max_size=MAC_BYTES))
def test_a_right_header_with_an_invented_mac_is_dropped(body: bytes, invented: bytes):
    a, b = acquainted()
    datagram = a.seal(DATA, 1, body)
    if invented != datagram[-MAC_BYTES:]:
        assert b.open(datagram[:-MAC_BYTES] + invented) == "BAD_MAC"


def test_another_key_is_dropped():
    _, b = acquainted()
    stranger = Channel(KEY[::-1], node=0, incarnation=5)
    assert b.open(stranger.seal(HELLO, 1)) == "BAD_MAC"


@pytest.mark.parametrize(
    ("offset", "layout", "value", "status"),
    [
        (0, "<H", 0x5848, "WRONG_MAGIC"),
        (AT_VERSION, "B", 2, "WRONG_VERSION"),
        (AT_PAIR, "<I", 2, "WRONG_PAIR"),
        (AT_TO_NODE, "B", 2, "WRONG_NODE"),
        (AT_FROM_NODE, "B", 1, "WRONG_NODE"),
        (AT_FROM_NODE, "B", 8, "WRONG_NODE"),
        (AT_FROM_NODE, "B", 255, "WRONG_NODE"),
        (AT_FROM_INCARNATION, "<Q", 4, "STALE"),
    ],
)
def test_a_datagram_that_is_not_for_us_is_dropped_even_with_a_right_mac(offset, layout, value, status):
    a, b = acquainted()
    assert b.open(resealed(a.seal(DATA, 1), offset, layout, value)) == status
    assert counted(b) == {status: 1}


def test_the_largest_datagram_is_taken_and_a_larger_one_is_not():
    a, b = acquainted()
    room = MAX_BYTES - HEADER_BYTES - MAC_BYTES
    assert b.open(a.seal(DATA, 1, bytes(room))) == "OK"
    assert b.open(a.seal(DATA, 1, bytes(room + 1))) == "OVERSIZED"


def test_the_second_path_and_a_replay_are_taken_once():
    a, b = acquainted()
    recorded = [a.seal(DATA, 1, bytes([i])) for i in range(10)]
    assert [b.open(datagram) for datagram in recorded] == ["OK"] * 10
    assert [b.open(datagram) for datagram in recorded] == ["DUPLICATE"] * 10


def test_nothing_recorded_from_an_earlier_life_of_either_node_is_taken():
    a, b = acquainted()
    to_the_first_b = a.seal(DATA, 1)
    b = Channel(KEY, node=1, incarnation=7)
    assert b.open(to_the_first_b) == "STALE"
    from_the_first_a = [a.seal(HELLO, 1, to_incarnation=7), a.seal(DATA, 1)]
    a = Channel(KEY, node=0, incarnation=8)
    assert b.open(a.seal(HELLO, 1, to_incarnation=7)) == "OK"
    assert [b.open(datagram) for datagram in from_the_first_a] == ["STALE", "STALE"]
    assert b.peer_incarnation(0) == 8


def test_a_recorded_hello_does_not_make_a_node_forget_its_peer():
    a = Channel(KEY, node=0, incarnation=4)
    recorded = a.seal(HELLO, 1)
    a, b = acquainted()
    assert b.open(recorded) == "OK"
    assert b.peer_incarnation(0) == 5
    assert b.open(a.seal(DATA, 1)) == "OK"


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=200))
def test_the_replay_window_takes_each_counter_at_most_once_and_never_refuses_a_fresh_one(counters: list[int]):
    a, b = acquainted()
    template = a.seal(DATA, 1)
    base = struct.unpack_from("<Q", template, AT_COUNTER)[0]
    seen: set[int] = set()
    newest = 0
    for counter in counters:
        status = b.open(resealed(template, AT_COUNTER, "<Q", base + counter))
        if counter in seen:
            assert status == "DUPLICATE"
        elif counter + REPLAY_WINDOW > newest:
            assert status == "OK"
        if status == "OK":
            seen.add(counter)
            newest = max(newest, counter)


def test_a_counter_at_the_end_of_its_range_is_still_taken_once():
    a, b = acquainted()
    last = resealed(a.seal(DATA, 1), AT_COUNTER, "<Q", 2**64 - 1)
    assert b.open(last) == "OK"
    assert b.open(last) == "DUPLICATE"


def test_every_reason_to_drop_has_a_counter():
    assert set(Channel(KEY).dropped) == set(STATUS_NAMES) - {"OK"}


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_key_of_another_length_is_refused_and_not_shown(size: int):
    with pytest.raises(ValueError, match=f"16 bytes, found {size}") as refused:
        Channel(b"s" * size)
    assert "sss" not in str(refused.value)
