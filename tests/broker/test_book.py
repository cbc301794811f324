"""The broker's book: what it answers, what it fills, and that it never trades more than was ordered."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.book import Book, Outcome

TIME = "20260101-00:00:00.000"
NEW, CANCEL, REPLACE, STATUS, MASS_STATUS = "D", "F", "G", "H", "AF"


def book(begin_string: str = "FIX.4.4", **options: object) -> Book:
    return Book(begin_string, "R", **options)


def order(target: Book, cl_ord_id: str, *, quantity: object = 10, price: object = None, side: str = "1", **more: str):
    fields = [(11, cl_ord_id), (55, more.pop("symbol", "ABC")), (54, side), (38, str(quantity))]
    fields += [(40, "1")] if price is None else [(40, "2"), (44, str(price))]
    return target.take(NEW, [*fields, *((58, text) for text in more.values())], TIME)


def reports(outcome: Outcome) -> list[dict[int, str]]:
    return [{int(tag): str(value) for tag, value in reply.fields} for reply in outcome.replies]


def brief(outcome: Outcome) -> list[tuple[str, str]]:
    """ExecType (150) and OrdStatus (39) of each reply."""
    return [(report[150], report[39]) for report in reports(outcome)]


def test_a_market_order_is_acknowledged_and_filled_in_two_parts():
    outcome = order(book(), "A", quantity=11)
    assert brief(outcome) == [("0", "0"), ("F", "1"), ("F", "2")]
    parts = reports(outcome)
    assert [(p[151], p[14]) for p in parts] == [("11", "0"), ("5", "6"), ("0", "11")]
    assert parts[1][31] == parts[2][6] == str(book().reference_price("ABC"))
    assert all(p[60] == TIME for p in parts)
    assert len({p[17] for p in parts}) == 3


def test_fix_42_says_the_same_in_its_own_words():
    outcome = order(book("FIX.4.2"), "A", quantity=11)
    assert brief(outcome) == [("0", "0"), ("1", "1"), ("2", "2")]
    assert {report[20] for report in reports(outcome)} == {"0"}


@pytest.mark.parametrize(("side", "away", "through"), [("1", -1, 1), ("2", 1, -1)])
def test_a_limit_order_rests_away_from_the_reference_and_trades_through_it(side: str, away: int, through: int):
    target = book()
    reference = target.reference_price("ABC")
    assert brief(order(target, "A", price=reference + away, side=side)) == [("0", "0")]
    assert brief(order(target, "B", price=reference + through, side=side))[-1] == ("F", "2")
    assert brief(order(target, "C", price=reference, side=side))[-1] == ("F", "2")


@pytest.mark.parametrize(("fill", "last"), [("none", ("0", "0")), ("partial", ("F", "1")), ("immediate", ("F", "2"))])
def test_the_fill_mode_decides(fill: str, last: tuple[str, str]):
    assert brief(order(book(fill=fill), "A", price="0.01"))[-1] == last


def test_an_order_is_rejected_on_demand():
    target = book(reject_symbols=frozenset({"BAD"}))
    assert brief(order(target, "A", symbol="BAD")) == [("8", "8")]
    assert brief(order(target, "B", text="REJECT")) == [("8", "8")]
    assert order(target, "C").action == "new"


def test_a_second_order_of_the_same_clordid_is_refused_but_counted_as_processed():
    target = book()
    order(target, "A", price=1)
    again = order(target, "A", price=1)
    assert (again.action, again.processed, brief(again)) == ("duplicate", True, [("8", "8")])
    assert target.orders["A"].status == "0"
    assert order(book(accept_duplicates=True), "A").action == "new"


def test_a_cancel_takes_what_is_left():
    target = book(fill="partial")
    order(target, "A", quantity=10)
    outcome = target.take(CANCEL, [(11, "B"), (41, "A")], TIME)
    (report,) = reports(outcome)
    assert (report[150], report[39], report[151], report[14]) == ("4", "4", "0", "5")
    assert (report[11], report[41]) == ("B", "A")


@pytest.mark.parametrize(("msg_type", "response_to"), [(CANCEL, "1"), (REPLACE, "2")])
def test_what_is_not_open_cannot_be_canceled_or_replaced(msg_type: str, response_to: str):
    target = book()
    order(target, "A")
    for original, reason, status in (("A", "0", "2"), ("nobody's", "1", "8")):
        outcome = target.take(msg_type, [(11, "B"), (41, original), (38, "99")], TIME)
        assert outcome.replies[0].msg_type == "9"
        (report,) = reports(outcome)
        assert (report[434], report[102], report[39]) == (response_to, reason, status)


def test_a_replace_changes_quantity_and_price_and_may_trade():
    target = book()
    order(target, "A", price=1)
    outcome = target.take(REPLACE, [(11, "B"), (41, "A"), (38, "20"), (44, "1000")], TIME)
    assert brief(outcome) == [("5", "0"), ("F", "2")]
    assert (reports(outcome)[0][11], reports(outcome)[0][41]) == ("B", "A")
    assert target.orders["A"] is target.orders["B"]
    assert target.orders["B"].filled == 20


def test_a_replace_below_what_is_filled_is_refused():
    target = book(fill="partial")
    order(target, "A", quantity=10)
    assert target.take(REPLACE, [(11, "B"), (41, "A"), (38, "5")], TIME).action == "replace rejected"


def test_a_status_is_told_and_is_no_execution():
    target = book()
    order(target, "A")
    outcome = target.take(STATUS, [(11, "A")], TIME)
    assert brief(outcome) == [("I", "2")]
    assert (outcome.processed, outcome.replies[0].exec_id) == (False, "")
    assert brief(target.take(STATUS, [(11, "B")], TIME)) == [("I", "8")]
    assert "B" not in target.orders


def test_a_mass_status_tells_each_order_once():
    target = book(fill="none")
    for name in ("A", "B"):
        order(target, name)
    target.take(REPLACE, [(11, "C"), (41, "B"), (38, "20")], TIME)
    outcome = target.take(MASS_STATUS, [(584, "M")], TIME)
    assert [(r[11], r[584], r[911], r[912]) for r in reports(outcome)] == [("A", "M", "2", "N"), ("C", "M", "2", "Y")]


def test_a_mass_status_of_no_orders_is_answered():
    outcome = book().take(MASS_STATUS, [(584, "M")], TIME)
    (report,) = reports(outcome)
    assert (report[39], report[584], report[911], report[912]) == ("8", "M", "0", "Y")


def test_a_message_that_the_broker_does_not_know_is_rejected_by_name():
    outcome = book().take("E", [(34, "7")], TIME)
    assert outcome.replies[0].msg_type == "j"
    assert reports(outcome)[0] == {45: "7", 372: "E", 380: "3", 58: "unsupported message type"}


@pytest.mark.parametrize("value", ["", "abc", "NaN", "-1", "Infinity", "1e"])
@pytest.mark.parametrize("tag", [38, 44])
def test_a_number_that_is_none_is_rejected_and_changes_nothing(tag: int, value: str):
    target = book(fill="none")
    order(target, "A")
    for msg_type in (NEW, REPLACE):
        outcome = target.take(msg_type, [(34, "7"), (11, "B"), (41, "A"), (38, "5"), (tag, value)][::-1], TIME)
        assert (outcome.action, outcome.processed, outcome.replies[0].msg_type) == ("malformed", False, "j")
        assert f"tag {tag}: {value!r}" in reports(outcome)[0][58]
    assert set(target.orders) == {"A"}
    assert (target.orders["A"].cl_ord_id, target.orders["A"].quantity) == ("A", 10)


def test_everything_open_is_canceled_when_the_connection_is_lost():
    target = book(fill="none")
    for name in ("A", "B"):
        order(target, name)
    target.take(REPLACE, [(11, "C"), (41, "B"), (38, "20")], TIME)
    outcome = target.cancel_all(TIME)
    assert [(r[11], r[39]) for r in reports(outcome)] == [("A", "4"), ("C", "4")]
    assert target.cancel_all(TIME).replies == []


def test_prices_depend_on_symbol_and_seed_only():
    assert book().reference_price("ABC") == book().reference_price("ABC")
    prices = {book(seed=seed).reference_price(symbol) for seed in range(20) for symbol in "ABCDE"}
    assert len(prices) > 90
    assert all(50 <= price < 150 for price in prices)


steps = st.lists(
    st.tuples(
        st.sampled_from([NEW, CANCEL, REPLACE]),
        st.integers(0, 5),
        st.integers(0, 5),
        st.integers(0, 30),
        st.one_of(st.none(), st.integers(1, 200)),
    ),
    max_size=40,
)


@given(steps, st.sampled_from(["model", "immediate", "partial", "none"]))
def test_whatever_is_asked_the_books_balance(asked, fill):
    target, seen = book(fill=fill), set()
    for number, (msg_type, which, original, quantity, price) in enumerate(asked):
        name = f"{which}" if msg_type == NEW else f"change-{number}"
        fields = [(11, name), (41, f"{original}"), (55, "ABC"), (54, "1"), (38, f"{quantity}")]
        fields += [(40, "1")] if price is None else [(40, "2"), (44, f"{price}")]
        for reply in target.take(msg_type, fields, TIME).replies:
            if reply.msg_type != "8":
                continue
            report = dict(reply.fields)
            total, left, ordered = report[14], report[151], report[38]
            assert total + left <= ordered
            assert total + left == ordered or report[39] in "48"
            assert report[17] not in seen
            seen.add(report[17])
    for entry in target.orders.values():
        assert Decimal(0) <= entry.filled <= entry.quantity
