"""Frames of the client protocol: what is built is read back, at any split; what is no frame is refused by name."""

import re
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.native import clientwire as wire

u8 = st.integers(0, 2**8 - 1)
u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80)
keys = st.binary(max_size=40)
blobs = st.binary(max_size=300)
places = st.lists(st.tuples(u16, u32, u64), max_size=5)
infos = st.lists(st.builds(wire.SessionInfo, u16, ids, u8, u32, u64, u64), max_size=5)

# Every kind of frame: its strategy of arguments, and the attributes that must come back.
KINDS = {
    wire.login: (st.tuples(ids, blobs, places, u16), ("name", "token", "positions", "version")),
    wire.checkpoint: (st.tuples(keys, blobs), ("key", "value")),
    wire.fetch: (st.tuples(keys), ("key",)),
    wire.ping: (st.tuples(u64), ("seq",)),
    wire.positions: (st.tuples(places), ("positions",)),
    wire.welcome: (st.tuples(u8, u64, infos), ("node", "epoch", "sessions")),
    wire.standby: (st.tuples(u8), ("node",)),
    wire.accepted: (st.tuples(u16, u32, u64, ids), ("session", "generation", "seq", "cl_ord_id")),
    wire.rejected: (st.tuples(u16, u8, ids, text), ("session", "reason", "cl_ord_id", "text")),
    wire.held: (st.tuples(u16, ids), ("session", "cl_ord_id")),
    wire.order_state: (
        st.tuples(u16, u32, u64, u8, ids, u32),
        ("session", "generation", "seq", "state", "cl_ord_id", "reason"),
    ),
    wire.message: (st.tuples(u16, u32, u64, blobs, st.booleans()), ("session", "generation", "seq", "raw", "poss_dup")),
    wire.fate: (st.tuples(u16, u32, u64, u8, ids), ("session", "generation", "seq", "kind", "cl_ord_id")),
    wire.session_change: (st.tuples(u16, u32, u8, u64), ("session", "generation", "state", "next_out")),
    wire.checkpoint_stored: (st.tuples(keys), ("key",)),
    wire.checkpoint_value: (st.tuples(keys, st.none() | blobs), ("key", "value")),
    wire.pong: (st.tuples(u64), ("seq",)),
    wire.error: (st.tuples(u8, text), ("code", "text")),
}


def only(frame: bytes) -> wire.Frame:
    frames, used = wire.decode(frame)
    assert used == len(frame)
    (decoded,) = frames
    return decoded


@pytest.mark.parametrize("build", KINDS, ids=lambda build: build.__name__)
def test_what_is_built_is_read_back(build: Callable[..., Any]) -> None:
    arguments, attributes = KINDS[build]

    @given(arguments)
    def check(values: Any) -> None:
        decoded = only(build(*values))
        assert wire.FrameType(decoded.type).name in {build.__name__.upper(), "SESSION"}
        assert tuple(getattr(decoded, name) for name in attributes) == values

    check()


values = st.binary(min_size=1, max_size=30).filter(lambda value: b"\x01" not in value)
fields_of_any_kind = st.lists(st.tuples(st.integers(1000, 1100), values), max_size=8).map(
    lambda pairs: b"".join(b"%d=%b\x01" % pair for pair in pairs)
)


@given(u16, ids, ids, fields_of_any_kind)
def test_submit_puts_the_clordid_before_the_fields(session: int, msg_type: str, cl_ord_id: str, fields: bytes) -> None:
    decoded = only(wire.submit(session, msg_type, cl_ord_id, fields))
    assert (decoded.session, decoded.msg_type) == (session, msg_type)
    assert decoded.fields == b"11=" + cl_ord_id.encode() + b"\x01" + fields


def test_submit_without_clordid_leaves_the_fields_alone() -> None:
    assert only(wire.submit(1, "F", "", b"41=x\x0111=y\x01")).fields == b"41=x\x0111=y\x01"


@given(st.lists(st.builds(wire.message, u16, u32, u64, blobs), max_size=6), st.data())
def test_any_split_of_the_stream_gives_the_same_frames(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frames)
    cut = data.draw(st.integers(0, len(stream)))
    first, used = wire.decode(stream[:cut])
    second, rest = wire.decode(stream, used)
    assert used + rest == len(stream)
    assert [f.raw for f in first + second] == [only(f).raw for f in frames]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_crash(noise: bytes) -> None:
    try:
        frames, used = wire.decode(noise)
    except wire.FrameError:
        return
    assert 0 <= used <= len(noise)
    assert len(frames) * wire.HEADER_BYTES <= used


@given(st.sampled_from(list(KINDS)), st.data())
def test_damaged_frames_are_refused_or_decoded_but_never_crash(build: Callable[..., Any], data: st.DataObject) -> None:
    frame = bytearray(build(*data.draw(KINDS[build][0])))
    at = data.draw(st.integers(4, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    try:
        _, used = wire.decode(frame)
    except wire.FrameError:
        return
    assert used == len(frame)


def test_a_data_field_may_hold_soh() -> None:
    fields = b"95=3\x0196=a\x01b\x01"
    assert only(wire.submit(0, "D", "", fields)).fields == fields


def test_frames_before_a_malformed_one_are_returned_first() -> None:
    good, bad = wire.pong(1), b"\x03" + bytes(23)
    frames, used = wire.decode(good + bad)
    assert [f.seq for f in frames] == [1]
    with pytest.raises(wire.FrameError, match=r"frame length 3 is not in 24\.\.65536"):
        wire.decode(good + bad, used)


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (b"\xff\xff\xff\xff" + bytes(20), "frame length 4294967295"),
        (b"\x18\0\0\0\x63" + bytes(19), "frame type 99 is not known"),
        (b"\x18\0\0\0\x07" + bytes(19), "frame type 7 is not known"),
        (b"\x18\0\0\0\x02" + bytes(19), "does not hold its MsgType"),
        (b"\x18\0\0\0\x11" + bytes(19), "STANDBY body must have 1 byte"),
        (b"\x19\0\0\0\x12" + bytes(19) + b"\xff", "ClOrdID of ACCEPTED is not ASCII"),
        (b"\x19\0\0\0\x10\0\x01" + bytes(18), "does not hold its 1 sessions"),
        (b"\x19\0\0\0\x06" + bytes(20), "not a multiple of 16"),
        (b"\x18\0\0\0\x01" + bytes(19), "LOGIN body of 0 bytes is too short"),
        (b"\x19\0\0\0\x13" + bytes(19) + b"\x05", "does not hold its ClOrdID"),
        (b"\x1a\0\0\0\x03" + bytes(19) + b"\x05\0", "does not hold its key of 5 bytes"),
    ],
)
def test_malformed_frames_are_named(frame: bytes, complaint: str) -> None:
    with pytest.raises(wire.FrameError, match=complaint):
        wire.decode(frame)


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: wire.submit(0, "", "x", b""), "MsgType"),
        (lambda: wire.submit(0, "D", "x" * 65, b""), "at most 64 bytes"),
        (lambda: wire.submit(0, "D", "a\x01b", b""), "no SOH"),
        (lambda: wire.submit(0, "D", "\u00e9", b""), "must be ASCII"),
        (lambda: wire.submit(0, "D", "x", b"58=" + b"x" * 65536 + b"\x01"), "SUBMIT frame would have"),
        (lambda: wire.submit(0, "D", "x", b"55=A\x0144=\x01"), "field at byte 5 of 9 is not tag=value"),
        (lambda: wire.submit(0, "D", "x", b"55=A"), "field 55 at byte 0 does not end with SOH"),
        (lambda: wire.submit(0, "D", "x", b"=A\x01"), "not tag=value"),
        (lambda: wire.submit(0, "D", "x", b"055=A\x01"), "not tag=value"),
        (lambda: wire.submit(0, "D", "x", b"55"), "not tag=value"),
        (lambda: wire.checkpoint(bytes(65536), b""), "key must have at most 65535"),
        (lambda: wire.message(0, 0, 1, bytes(65536)), "at most 65536 are allowed"),
    ],
)
def test_what_no_frame_can_carry_is_refused_when_built(build: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(wire.FrameError, match=complaint):
        build()


def test_a_token_is_not_in_the_repr() -> None:
    assert "s3cret" not in repr(only(wire.login("me", b"s3cret")))


def test_only_the_field_11_is_the_clordid() -> None:
    assert wire.find_cl_ord_id(b"41=11=x\x01111=7\x0111=right\x01") == "right"
    assert wire.find_cl_ord_id(b"41=x\x01") is None


def members(source: str, prefix: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(rf"^    {prefix}(\w+) = (\d+)", source, re.MULTILINE)}


@pytest.mark.parametrize(
    ("enum", "contract", "prefix"),
    [
        (wire.FrameType, "clientwire", "FRAME_(?!HEADER)"),
        (wire.RejectReason, "clientwire", "REJECT_"),
        (wire.FateKind, "clientwire", "FATE_"),
        (wire.ErrorCode, "clientwire", "ERROR_"),
        (wire.OrderStatus, "orders", "ORDER_"),
        (wire.SessionStatus, "session", "SESSION_(?!INITIATOR|ACCEPTOR)"),
    ],
)
def test_python_enums_agree_with_the_contracts(enum: type[IntEnum], contract: str, prefix: str) -> None:
    source = (Path(__file__).parents[2] / "native" / f"{contract}.pxd").read_text()
    assert {member.name: int(member) for member in enum} == members(source, prefix)
