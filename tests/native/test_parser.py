"""The FIX parser: framing, what is garbled, where it goes on, fields of any content, numbers and times.

Every test runs for each way of indexing fields that the processor has: one by one, 8 and 16 at once.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.native.parser import MAX_WIDE, decimal_e8, parse, parse_body, set_wide, utc_timestamp_ns

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WIDTHS = (0, 8, 16)
DATA_FIELDS = {95: 96, 90: 91, 93: 89, 348: 349, 354: 355, 1401: 1402}


@pytest.fixture(params=WIDTHS, ids=lambda fields: f"{fields}-at-once", scope="module", autouse=True)
def width(request: pytest.FixtureRequest) -> Iterator[int]:
    """Fields indexed at once."""
    if request.param > MAX_WIDE:
        pytest.skip(f"this processor indexes up to {MAX_WIDE} fields at once")
    before = set_wide(request.param)
    yield request.param
    set_wide(before)


def framed(body: bytes, begin: bytes = b"FIX.4.4") -> bytes:
    """A whole message around `body`, which starts with 35=."""
    head = b"8=" + begin + b"\x019=" + str(len(body)).encode() + b"\x01"
    return head + body + b"10=%03d\x01" % (sum(head + body) % 256)


def encoded(fields) -> bytes:
    return b"".join(b"%d=%s\x01" % field for field in fields)


def parsed_stream(chunks):
    """Messages and reasons of garbled stretches, as a reader sees them that keeps what is not used up."""
    pending, messages, garbled = b"", [], []
    for chunk in chunks:
        pending += chunk
        while pending:
            found = parse(pending)
            if found.status == "INCOMPLETE":
                assert found.consumed == 0
                break
            assert 0 < found.consumed <= len(pending)
            if found.status == "OK":
                messages.append(pending[: found.consumed])
            else:
                garbled.append(found.reason)
            pending = pending[found.consumed :]
    return messages, garbled


plain_values = st.binary(max_size=20).map(lambda value: value.replace(b"\x01", b"_"))
plain_fields = st.tuples(
    st.integers(1, 9_999_999).filter(lambda tag: parse_body(b"%d=1\x0199=\x01" % tag).status == "OK" and tag != 34),
    plain_values,
).map(lambda field: [field])
data_fields = st.tuples(st.sampled_from(sorted(DATA_FIELDS)), st.binary(max_size=90)).map(
    lambda pair: [(pair[0], b"%d" % len(pair[1])), (DATA_FIELDS[pair[0]], pair[1])]
)
bodies = st.lists(st.one_of(plain_fields, data_fields), max_size=12).map(
    lambda groups: [field for group in groups for field in group]
)
messages = st.tuples(st.sampled_from([b"D", b"8", b"AE", b"0"]), bodies).map(
    lambda pair: framed(encoded([(35, pair[0]), *pair[1]]))
)


@given(bodies)
def test_every_field_comes_out_as_it_went_in(fields):
    message = framed(encoded([(35, b"D"), (34, b"7"), *fields]))
    found = parse(message)
    assert (found.status, found.consumed, found.msg_type, found.seq) == ("OK", len(message), "D", 7)
    assert found.fields[2:-1] == [(35, b"D"), (34, b"7"), *fields]
    assert found.fields[-1] == (10, message[-4:-1])


@given(st.lists(messages, min_size=1, max_size=5), st.data())
def test_a_stream_may_be_split_anywhere(sent, data):
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parsed_stream(chunks) == (sent, [])


def test_a_stream_may_come_byte_by_byte():
    sent = [framed(b"35=0\x0134=%d\x0195=3\x0196=\x01=\x01\x01" % n) for n in range(1, 4)]
    assert parsed_stream([bytes([byte]) for byte in b"".join(sent)]) == (sent, [])


@given(messages)
def test_a_part_of_a_message_is_incomplete(message):
    assert {parse(message[:size]).status for size in range(1, len(message))} == {"INCOMPLETE"}


@given(messages, st.data())
def test_a_changed_byte_is_noticed_and_the_next_message_is_found(message, data):
    at = data.draw(st.integers(0, len(message) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != message[at]))
    damaged = message[:at] + bytes([byte]) + message[at + 1 :]
    last = framed(b"35=0\x0134=9\x01")
    # A larger BodyLength waits for as many bytes: there are enough messages behind it.
    found, _ = parsed_stream([damaged, *[last] * 5000])
    assert message not in found
    assert found[-1] == last


@given(messages, st.integers(1, 200))
@example(framed(b"35=D\x0158=x\x01"), 5)  # what is left ends with a digit
def test_a_message_cut_short_costs_itself_and_what_its_length_reaches_into(message, cut):
    sent = [framed(b"35=0\x0134=%d\x01" % n) for n in range(1, 20)]
    cut = min(cut, len(message) - 1)
    found, garbled = parsed_stream([message[: len(message) - cut], *sent])
    assert found == sent[len(sent) - len(found) :]
    assert len(sent) - len(found) <= cut // len(sent[0]) + 2
    assert garbled


def test_a_message_with_a_wrong_length_is_dropped_as_a_whole():
    """FIX 4.4 volume 2, test case 2.m: one that is too long takes the next with it, one that is too short does not."""
    sent = [framed(b"35=0\x0134=%d\x01" % n) for n in range(1, 4)]
    body = b"35=D\x0134=1\x0158=some text of some length\x01"
    for length, lost in ((len(body) - 5, 0), (len(body) + 5, 1)):
        assert parsed_stream([b"8=FIX.4.4\x019=%d\x01%s10=123\x01" % (length, body), *sent])[0] == sent[lost:]


@given(st.binary(max_size=200), st.data())
def test_any_bytes_are_taken_and_dropped_once(noise, data):
    cut = data.draw(st.integers(0, len(noise)))
    parsed_stream([noise[:cut], noise[cut:]])
    parse_body(noise)
    assert parse(noise).status in ("OK", "INCOMPLETE", "GARBLED")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"9=5\x0135=0\x0110=000\x01", "BEGIN_STRING"),
        (b"8=FIX.4.4.4.4.4.4.4.4\x019=5\x01", "BEGIN_STRING"),
        (b"8=FIX.4.4\x0135=0\x019=5\x0110=000\x01", "BODY_LENGTH"),
        (b"8=FIX.4.4\x019=\x0135=0\x0110=000\x01", "BODY_LENGTH"),
        (b"8=FIX.4.4\x019=-5\x0135=0\x0110=000\x01", "BODY_LENGTH"),
        (b"8=FIX.4.4\x019=5x\x0135=0\x0110=000\x01", "BODY_LENGTH"),
        (b"8=FIX.4.4\x019=4\x0135=0\x0110=000\x01", "BODY_LENGTH"),
        (b"8=FIX.4.4\x019=99999999\x0135=0\x01", "TOO_LONG"),
        (b"8=FIX.4.4\x019=99999999999999999999999999\x0135=0\x01", "BODY_LENGTH"),
        (framed(b"35=0\x01")[:-4] + b"999\x01", "CHECKSUM"),
        (framed(b"35=0\x01")[:-2] + b"\x01", "INCOMPLETE"),
        (framed(b"34=1\x0135=0\x01"), "MSG_TYPE"),
        (framed(b"35=\x0134=1\x01"), "MSG_TYPE"),
        (framed(b""), "MSG_TYPE"),
        (framed(b"35=0\x01nothing\x01"), "FIELD"),
        (framed(b"35=0\x01=5\x01"), "FIELD"),
        (framed(b"35=0\x01\x01"), "FIELD"),
        (framed(b"35=0\x010=5\x01"), "FIELD"),
        (framed(b"35=0\x01-1=5\x01"), "FIELD"),
        (framed(b"35=0\x015a=5\x01"), "FIELD"),
        (framed(b"35=0\x0112345678=5\x01"), "FIELD"),
        (framed(b"35=0\x0118446744073709551617=5\x01"), "FIELD"),
        (framed(b"35=0\x0195=9\x0196=abc\x01"), "FIELD"),
        (framed(b"35=0\x0195=2\x0196=abc\x01"), "FIELD"),
        (framed(b"35=0\x0195=-1\x0196=abc\x01"), "FIELD"),
        (framed(b"35=0\x0195=99999999999999999999\x0196=abc\x01"), "FIELD"),
        (framed(b"35=0\x0195=999999999999999999\x0196=abc\x01"), "FIELD"),
    ],
)
def test_what_is_wrong_is_named(message, reason):
    found = parse(message)
    if reason == "INCOMPLETE":
        assert found.status == reason
        return
    assert (found.status, found.reason, found.fields) == ("GARBLED", reason, [])


def test_a_message_longer_than_allowed_is_garbled_as_soon_as_its_length_is_known():
    message = framed(b"35=D\x0158=" + b"x" * 100 + b"\x01")
    assert parse(message, max_message_bytes=len(message)).status == "OK"
    assert parse(message[:20], max_message_bytes=len(message) - 1).reason == "TOO_LONG"


def test_a_message_inside_a_data_field_is_data():
    inner = framed(b"35=0\x0134=1\x01")
    message = framed(b"35=B\x0195=%d\x0196=%s\x01" % (len(inner), inner))
    assert parsed_stream([message]) == ([message], [])


def test_a_length_without_its_data_field_is_a_field_like_another():
    assert parse(framed(b"35=0\x0195=5\x0158=x\x01")).fields[3:-1] == [(95, b"5"), (58, b"x")]
    assert parse(framed(b"35=0\x0195=5\x01")).fields[3:-1] == [(95, b"5")]


def test_empty_values_and_equals_signs_are_kept():
    assert parse(framed(b"35=D\x0158=\x0159==\x0160=a=b\x01")).fields[3:-1] == [(58, b""), (59, b"="), (60, b"a=b")]


def test_more_fields_than_fit_do_not_hide_the_end_of_the_message():
    message = framed(b"35=D\x0134=5\x01" + b"58=x\x01" * 2000)
    found = parse(message + b"8=")
    assert (found.status, found.consumed, found.msg_type, found.seq) == ("TOO_MANY_FIELDS", len(message), "D", 5)


@pytest.mark.parametrize(("value", "seq"), [(b"0", 0), (b"-1", 0), (b"x", 0), (b"", 0), (b"9" * 19, 0), (b"007", 7)])
def test_a_number_that_is_none_is_zero(value, seq):
    assert parse(framed(b"35=0\x0134=%s\x01" % value)).seq == seq


def test_a_body_is_indexed_without_a_frame():
    assert parse_body(b"11=a\x0155=b\x01").fields == [(11, b"a"), (55, b"b")]
    assert parse_body(b"").status == "OK"
    assert parse_body(b"11=a\x0155=b").status == "GARBLED"
    assert (parse_body(b"11=a\x01x\x01").status, parse_body(b"11=a\x01x\x01").consumed) == ("GARBLED", 5)


@given(st.decimals(-(10**9), 10**9, places=8, allow_nan=False, allow_infinity=False))
def test_a_decimal_is_exact_to_eight_places(number):
    assert decimal_e8(f"{number:f}".encode()) == int(number * 10**8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"1", 10**8),
        (b".5", 5 * 10**7),
        (b"5.", 5 * 10**8),
        (b"-0", 0),
        (b"001.50", 150_000_000),
        (b"0.123456789", 12_345_678),
        (b"", None),
        (b"-", None),
        (b".", None),
        (b"1e5", None),
        (b"+1", None),
        (b"1.2.3", None),
        (b" 1", None),
        (b"1,5", None),
        (b"99999999999", None),
        (b"9" * 40, None),
    ],
)
def test_a_decimal_that_is_none_or_too_large_is_refused(value, expected):
    assert decimal_e8(value) == expected


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)), st.sampled_from([0, 3, 6]))
def test_a_timestamp_is_read_to_the_digit(moment, digits):
    text = moment.strftime("%Y%m%d-%H:%M:%S") + (f".{moment.microsecond:06d}"[: digits + 1] if digits else "")
    micros = moment.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits)
    expected = (moment.replace(microsecond=micros) - EPOCH) // timedelta(microseconds=1) * 1000
    assert utc_timestamp_ns(text.encode()) == expected


@given(st.integers(1, 9), st.data())
def test_a_fraction_of_any_number_of_digits_is_read(digits, data):
    fraction = data.draw(st.integers(0, 10**digits - 1))
    value = f"20240101-00:00:00.{fraction:0{digits}d}".encode()
    assert utc_timestamp_ns(value) - utc_timestamp_ns(b"20240101-00:00:00") == fraction * 10 ** (9 - digits)


@given(st.integers(0, 26), st.integers(0, 255), st.integers(1, 9))
def test_another_byte_anywhere_in_a_timestamp_is_told(place, byte, digits):
    good = b"20240101-00:00:00." + b"0" * digits
    place = min(place, len(good) - 1)
    changed = good[:place] + bytes([byte]) + good[place + 1 :]
    separator = place in (8, 11, 14, 17)
    if changed != good and (separator or not 0x30 <= byte <= 0x39):
        assert utc_timestamp_ns(changed) == 0


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"20240101",
        b"20240101-00:00",
        b"20240101 00:00:00",
        b"20241301-00:00:00",
        b"20240230-00:00:00",
        b"20230229-00:00:00",
        b"20240431-00:00:00",
        b"20240101-24:00:00",
        b"20240101-00:60:00",
        b"20240101-00:00:61",
        b"20240101-00:00:00.",
        b"20240101-00:00:00.x",
        b"20240101-00:00:00.1234567890",
        b"19691231-00:00:00",
    ],
)
def test_what_is_no_timestamp_is_zero(value):
    assert utc_timestamp_ns(value) == 0


def test_a_leap_second_is_the_start_of_the_next_minute():
    assert utc_timestamp_ns(b"20161231-23:59:60") == utc_timestamp_ns(b"20170101-00:00:00")
    assert Decimal(utc_timestamp_ns(b"20170101-00:00:00.000000001")) % 10**9 == 1


unruly_fields = st.one_of(
    st.builds(b"%d=%s\x01".__mod__, st.tuples(st.integers(0, 100_000), st.binary(max_size=12))),
    st.builds(
        b"%d=%s\x01".__mod__, st.tuples(st.sampled_from([1, 95, 96, 11, 150]), st.binary(min_size=50, max_size=80))
    ),
    st.sampled_from(
        [b"=\x01", b"\x01", b"5\x01", b"=5\x01", b"1=\x01", b"x=1\x01", b"00=1\x01", b"0007=1\x01", b"95=3\x01"]
    ),
    st.text("123=\x01a", max_size=6).map(str.encode),
)
unruly_bodies = st.lists(unruly_fields, max_size=40).map(b"".join)


def in_every_width(width, outcome):
    """What each way makes of it."""
    found = []
    for fields in WIDTHS:
        if fields <= MAX_WIDE:
            set_wide(fields)
            found.append(outcome())
    set_wide(width)
    return found


@given(unruly_bodies)
@example(b"95=" + b"0" * 70 + b"\x0196=raw\x01")
@example(b"95=" + b"0" * 70 + b"3\x0196=r\x01w\x01")
def test_every_width_says_the_same_of_any_message(width, body):
    first, *others = in_every_width(width, lambda: parse(framed(b"35=D\x01" + body)))
    assert others == [first] * len(others)


@given(st.one_of(unruly_bodies, unruly_bodies.map(lambda body: body + b"\x01"), st.binary(max_size=200)))
def test_every_width_says_the_same_of_any_body(width, body):
    first, *others = in_every_width(width, lambda: parse_body(body))
    assert others == [first] * len(others)


@pytest.mark.parametrize("length", [57, 58, 59, 60, 61, 62, 63, 64, 65, 127, 128, 129, 2040, 2048, 2049, 5000])
def test_a_field_may_be_of_any_length_and_lie_anywhere(length):
    fields = [(35, b"D"), *[(58, b"=" * length), (1, b"x")] * 3]
    found = parse(framed(encoded(fields)))
    assert (found.status, found.fields[2:-1]) == ("OK", fields)


@pytest.mark.parametrize("fields", [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 900])
def test_any_number_of_fields_of_any_size_is_indexed(fields):
    body = [(35, b"D"), *[(n % 90 + 100, b"") for n in range(fields)]]
    assert parse(framed(encoded(body))).fields[2:-1] == body
    assert parse_body(encoded(body)).fields == body


def test_a_width_that_the_processor_lacks_is_refused():
    with pytest.raises(ValueError, match=f"3 fields at once: this processor can do up to {MAX_WIDE}"):
        set_wide(3)
