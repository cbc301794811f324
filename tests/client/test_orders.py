"""Bodies of requests: fields in FIX's words, numbers without exponents, ClOrdIDs that never come twice."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client import Cancel, InvalidRequest, Order, OrdType, Replace, Side, StatusRequest, TimeInForce
from gateway.client.events import split_fields
from gateway.client.orders import cl_ord_id_prefix, encode_fields, utc_timestamp

AT = 1_790_000_000_123_456_789


def test_a_limit_order() -> None:
    order = Order(
        symbol="AAPL", side=Side.SELL, quantity=100, price=Decimal("190.250"), account="D1",
        time_in_force=TimeInForce.DAY, transact_time=AT, more=((100, "XNAS"),),
    )  # fmt: skip
    expected = b"1=D1|55=AAPL|54=2|60=20260921-14:13:20.123|38=100|40=2|44=190.250|59=0|100=XNAS|"
    assert order.body() == expected.replace(b"|", b"\x01")


@pytest.mark.parametrize(
    ("prices", "ord_type"),
    [
        ({}, OrdType.MARKET),
        ({"price": 1}, OrdType.LIMIT),
        ({"stop_price": 1}, OrdType.STOP),
        ({"price": 1, "stop_price": 2}, OrdType.STOP_LIMIT),
        ({"price": 1, "ord_type": OrdType.PEGGED}, OrdType.PEGGED),
    ],
)
def test_the_type_follows_from_the_prices(prices: Any, ord_type: OrdType) -> None:
    fields = dict(split_fields(Order(symbol="A", side=Side.BUY, quantity=1, **prices).body()))
    assert fields[40] == ord_type.value.encode()


def test_cancel_replace_and_status_name_their_order() -> None:
    cancel = Cancel(orig_cl_ord_id="x", symbol="A", side=Side.BUY)
    replace = Replace(orig_cl_ord_id="x", symbol="A", side=Side.BUY, quantity=2, price=3)
    assert (cancel.msg_type, dict(split_fields(cancel.body()))[41]) == ("F", b"x")
    fields = dict(split_fields(replace.body()))
    assert (replace.msg_type, fields[41], fields[38], fields[44]) == ("G", b"x", b"2", b"3")
    assert StatusRequest(symbol="A", side=Side.BUY).body() == b"55=A\x0154=1\x01"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_have_no_exponent_and_lose_nothing(number: float) -> None:
    encoded = encode_fields({44: number})
    assert b"e" not in encoded.lower()
    assert float(encoded[3:-1]) == number


@pytest.mark.parametrize(
    ("value", "complaint"),
    [("", "field 58 is empty"), ("a\x01b", "holds SOH"), ("\u00fc", "must be ASCII"), (float("nan"), "finite number")],
)
def test_values_that_fix_cannot_carry_are_refused(value: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        encode_fields([(58, value)])


def test_numbers_of_a_library_are_numbers() -> None:
    class Float(float):
        def __repr__(self) -> str:
            return f"library.Float({float(self)})"

    class Integer:
        def __index__(self) -> int:
            return 7

    assert encode_fields([(44, Float(1.5)), (38, Integer())]) == b"44=1.5\x0138=7\x01"  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ("55=A\x01", "the fields are text: give bytes"),
        ([("55", "A")], "a tag must be an int, found \\['55'\\]"),
        ({38: [1]}, "field 38 must be text, bytes or a number, found \\[1\\]"),
    ],
)
def test_fields_of_another_kind_are_refused(fields: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        encode_fields(fields)


@pytest.mark.parametrize(
    ("kind", "without", "tag"),
    [
        (Order, "symbol", 55),
        (Order, "side", 54),
        (Order, "quantity", 38),
        (Cancel, "orig_cl_ord_id", 41),
        (Replace, "quantity", 38),
        (StatusRequest, "side", 54),
    ],
)
def test_what_an_order_needs_is_not_left_out_when_it_is_none(kind: Any, without: str, tag: int) -> None:
    values: dict[str, Any] = {"symbol": "A", "side": Side.BUY}
    if kind in (Order, Replace):
        values["quantity"] = 1
    if kind in (Cancel, Replace):
        values["orig_cl_ord_id"] = "o"
    with pytest.raises(InvalidRequest, match=f"field {tag} is None, and required"):
        kind(**{**values, without: None}).body()


def test_data_fields_are_taken_by_their_length() -> None:
    pairs = [(58, b"x"), (95, b"3"), (96, b"a\x01b"), (10, b"000")]
    assert split_fields(encode_fields(pairs)) == pairs


def test_timestamps_follow_the_second() -> None:
    assert utc_timestamp(0) == "19700101-00:00:00.000"
    assert utc_timestamp(1_999_999_999) == "19700101-00:00:01.999"


def test_ids_of_two_starts_and_two_clients_differ() -> None:
    names = ["alpha", "a-strategy-with-a-long-name-1", "a-strategy-with-a-long-name-2"]
    prefixes = {cl_ord_id_prefix(name, start) for name in names for start in (AT, AT + 1_000)}
    assert len(prefixes) == 6
    assert all(len(prefix) <= 30 for prefix in prefixes)


@pytest.mark.parametrize("price", ["price", "stop_price"])
def test_a_price_that_is_none_does_not_become_a_market_order(price: str) -> None:
    order = Order(symbol="AAPL", side=Side.BUY, quantity=1, **{price: None})  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=f"{price} is None: leave it out"):
        order.body()
    said = Order(symbol="AAPL", side=Side.BUY, quantity=1, ord_type=OrdType.MARKET, **{price: None})  # type: ignore[arg-type]
    assert b"40=1\x01" in said.body()
    assert b"44=" not in said.body()
