"""The FIX encoder: what it writes is what the parser reads; times; resends."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.native.encoder import Template, utc_timestamp
from gateway.native.parser import parse, utc_timestamp_ns

IDS = b"49=GW\x0156=BROKER\x0150=desk\x01"
SECOND = 10**9
NEW_YEAR_NS = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * SECOND

bodies = st.lists(
    st.tuples(st.integers(400, 900).filter(lambda tag: tag not in (445, 618, 621)), st.binary(max_size=30)), max_size=10
).map(lambda fields: [(tag, value.replace(b"\x01", b".")) for tag, value in fields])
moments = st.integers(0, 2**62)


def encoded(fields) -> bytes:
    return b"".join(b"%d=%s\x01" % field for field in fields)


def value_of(message: bytes, tag: int) -> bytes | None:
    return dict(parse(message).fields).get(tag)


@given(bodies, st.integers(1, 2**59), moments, st.sampled_from([b"D", b"8", b"AE", b"UABCDEF"]), st.booleans())
def test_the_parser_reads_what_was_encoded(fields, seq, wall_ns, msg_type, dup):
    template = Template(b"FIX.4.4", IDS, 9)
    message = template.encode(msg_type, seq, wall_ns, encoded(fields), poss_dup=dup, last_processed=seq)
    found = parse(message)
    assert (found.status, found.consumed, found.seq) == ("OK", len(message), seq)
    tags = [tag for tag, _ in found.fields]
    assert tags == [8, 9, 35, 49, 56, 50, 34, 52, *([43] if dup else []), 369, *[tag for tag, _ in fields], 10]
    assert found.fields[-1 - len(fields) : -1] == fields
    assert value_of(message, 35) == msg_type
    assert value_of(message, 369) == str(seq).encode()


@pytest.mark.parametrize("digits", [0, 3, 6, 9])
@given(wall_ns=st.integers(0, 7_258_118_400 * SECOND))
def test_a_timestamp_is_the_same_after_reading_it(digits, wall_ns):
    unit = 10 ** (9 - digits)
    text = utc_timestamp(wall_ns, digits)
    assert len(text) == 17 + (digits + 1 if digits else 0)
    assert utc_timestamp_ns(text) == wall_ns // unit * unit


@given(st.lists(st.integers(-3 * SECOND, 3 * SECOND), min_size=1, max_size=20))
def test_the_kept_part_of_a_timestamp_follows_the_clock_both_ways_over_midnight(steps):
    template = Template(b"FIX.4.4", IDS, 9)
    wall_ns = NEW_YEAR_NS
    for step in steps:
        wall_ns += step
        assert value_of(template.encode(b"0", 1, wall_ns), 52) == utc_timestamp(wall_ns, 9)


def test_the_last_nanosecond_of_a_year_is_in_that_year():
    assert utc_timestamp(NEW_YEAR_NS - 1, 9) == b"20231231-23:59:59.999999999"
    assert utc_timestamp(NEW_YEAR_NS, 3) == b"20240101-00:00:00.000"
    assert utc_timestamp(NEW_YEAR_NS + 59 * 86400 * SECOND, 0) == b"20240229-00:00:00"


@given(bodies, st.integers(1, 2**40))
def test_a_resend_keeps_number_and_body_and_says_when_it_was_first_sent(fields, later):
    template = Template(b"FIX.4.2", IDS)
    first = template.encode(b"D", 77, NEW_YEAR_NS, encoded(fields), last_processed=5)
    again = template.resend(first, NEW_YEAR_NS + later)
    found = parse(again)
    assert (found.status, found.seq, found.msg_type) == ("OK", 77, "D")
    assert (value_of(again, 43), value_of(again, 122)) == (b"Y", value_of(first, 52))
    assert value_of(again, 52) == utc_timestamp(NEW_YEAR_NS + later)
    assert value_of(again, 369) is None
    assert found.fields[10:-1] == fields
    assert [tag for tag, _ in found.fields[:10]] == [8, 9, 35, 49, 56, 50, 34, 52, 43, 122]


def test_a_resend_of_a_resend_keeps_the_first_time():
    template = Template(b"FIX.4.2", IDS)
    first = template.encode(b"D", 1, NEW_YEAR_NS, b"11=a\x01")
    second = template.resend(first, NEW_YEAR_NS + SECOND)
    third = template.resend(second, NEW_YEAR_NS + 2 * SECOND)
    assert value_of(third, 122) == value_of(first, 52)
    assert [tag for tag, _ in parse(third).fields].count(122) == 1


def test_a_resend_keeps_a_body_of_more_fields_than_are_indexed():
    template = Template(b"FIX.4.4", IDS)
    body = b"11=a\x01" + b"58=x\x01" * 3000
    again = template.resend(template.encode(b"D", 3, NEW_YEAR_NS, body), NEW_YEAR_NS)
    assert body in again
    assert parse(again).status == "TOO_MANY_FIELDS"


def test_a_resend_keeps_soh_inside_data():
    template = Template(b"FIX.4.4", IDS)
    again = template.resend(template.encode(b"B", 3, NEW_YEAR_NS, b"95=5\x0196=\x0152=\x01\x01"), NEW_YEAR_NS)
    assert value_of(again, 96) == b"\x0152=\x01"


@pytest.mark.parametrize("stored", [b"", b"8=FIX.4.4\x01", b"x" * 100])
def test_what_is_no_message_is_not_resent(stored):
    with pytest.raises(ValueError, match="not a message"):
        Template(b"FIX.4.4", IDS).resend(stored, 0)


def test_a_header_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="at most"):
        Template(b"FIX.4.4", b"49=" + b"x" * 600 + b"\x01")
    with pytest.raises(ValueError, match="digits"):
        Template(b"FIX.4.4", IDS, 4)
    with pytest.raises(ValueError, match="does not fit"):
        Template(b"FIX.4.4", IDS).encode(b"x" * 9, 1, 0)


@pytest.mark.parametrize("digits", range(1, 20))
def test_a_number_of_any_length_is_written(digits):
    template = Template(b"FIX.4.4", b"49=S\x0156=T\x01")
    for seq in (10 ** (digits - 1), 10**digits - 1, min(10**digits, 2**64 - 1)):
        assert f"\x0134={seq}\x0152=".encode() in template.encode(b"0", seq, 10**18)


@pytest.mark.parametrize("length", [0, *range(100, 140)])
def test_the_checksum_covers_a_body_of_any_length(length):
    template = Template(b"FIX.4.4", b"49=S\x0156=T\x01")
    message = template.encode(b"D", 7, 10**18, b"58=" + b"\xff" * length + b"\x01")
    assert int(message[-4:-1]) == sum(message[:-7]) % 256
