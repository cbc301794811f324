"""What a running node takes, answers, holds and refuses."""

from __future__ import annotations

import itertools

import pytest

from gateway.broker.ledger import read_ledger
from gateway.client import (
    Cancel,
    Client,
    InvalidRequest,
    LoginRefused,
    Order,
    OrderStatus,
    Outcome,
    Refused,
    RejectReason,
    Side,
)
from tests.support.rig import WAIT_S, Rig

_numbers = itertools.count(1)
ENCODED = ((354, 1), (355, "x"))  # EncodedText: behind a data field the library leaves the fields to the node


@pytest.fixture
def name() -> str:
    """A ClOrdID that no other test has used."""
    return f"test-{next(_numbers)}"


def order(quantity: object = 10, price: object = "1") -> Order:
    return Order(symbol="ABC", side=Side.BUY, quantity=quantity, price=price)


def submit(client: Client, msg_type: str, *fields: tuple[int, object], session: str = "BROKER"):
    body = b"".join(b"%d=%s\x01" % (tag, str(value).encode()) for tag, value in fields)
    return client.submit(session, msg_type, body).wait(WAIT_S)


def new_order(name: str, **more: object) -> list[tuple[int, object]]:
    values = {11: name, 55: "ABC", 54: 1, 38: 10, 40: 2, 44: 1}
    values |= {int(tag.removeprefix("tag")): value for tag, value in more.items()}
    return [(tag, value) for tag, value in values.items() if value is not None]


def refusal(client: Client) -> Refused:
    """The refusal of a message that opens nothing: it comes as an event."""
    while not isinstance(event := client.next(WAIT_S), Refused):
        pass
    return event


def processed(rig: Rig, name: str) -> int:
    """How many messages with this ClOrdID the broker has processed, when all before now has reached it."""
    last = rig.client().send("BROKER", order(), f"last-{next(_numbers)}").cl_ord_id
    while not any(entry["cl_ord_id"] == last for entry in read_ledger(rig.world.ledger)):
        rig.status()
    return sum(entry["processed"] for entry in read_ledger(rig.world.ledger) if entry["cl_ord_id"] == name)


def test_an_order_is_accepted_with_its_number_and_answered(rig: Rig, hear, name: str):
    client = rig.client()
    submission = client.send("BROKER", order(), name).wait(WAIT_S)
    assert (submission.outcome, submission.order_status) == (Outcome.ACCEPTED, None)
    (report,) = hear(client, 1)
    assert (report.get(11), report.get(39)) == (name, "0")
    entry = next(entry for entry in read_ledger(rig.world.ledger) if entry["cl_ord_id"] == name)
    assert entry["seq"] == submission.seq


def test_an_order_handed_in_again_is_answered_and_not_sent_again(rig: Rig, hear, name: str):
    client = rig.client()
    first = client.send("BROKER", order(), name).wait(WAIT_S)
    hear(client, 1)
    for _ in range(3):
        again = client.send("BROKER", order(quantity=99), name).wait(WAIT_S)
        assert (again.seq, again.order_status) == (first.seq, OrderStatus.NEW)
    client.send("BROKER", Cancel(orig_cl_ord_id=name, symbol="ABC", side=Side.BUY), name + "-c").wait(WAIT_S)
    hear(client, 1)
    assert client.send("BROKER", order(), name).wait(WAIT_S).order_status is OrderStatus.CANCELED
    assert processed(rig, name) == 1


def test_an_order_handed_in_again_by_another_connection_of_the_client_is_the_same_order(rig: Rig, name: str):
    first = rig.client().send("BROKER", order(), name).wait(WAIT_S)
    rig.hang_up()
    again = rig.client().send("BROKER", order(), name).wait(WAIT_S)
    assert again.seq == first.seq
    assert processed(rig, name) == 1


def test_a_clordid_of_another_client_is_taken(rig: Rig, name: str):
    rig.client().send("BROKER", order(), name).wait(WAIT_S)
    refused = rig.client("fenced-in").send("BROKER", order(), name).wait(WAIT_S)
    assert (refused.outcome, refused.reason) == (Outcome.REJECTED, RejectReason.CLORDID_TAKEN)
    assert processed(rig, name) == 1


def test_a_refusal_is_final_and_told_again(rig: Rig, name: str):
    client = rig.client("limited")
    for quantity in (101, 1):
        refused = client.send("BROKER", order(quantity), name).wait(WAIT_S)
        assert (refused.outcome, refused.reason) == (Outcome.REJECTED, RejectReason.MAX_ORDER_QTY)
    assert processed(rig, name) == 0


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"tag38": 101}, RejectReason.MAX_ORDER_QTY),
        ({"tag38": "1000000000000"}, RejectReason.MALFORMED),
        ({"tag38": "1e9"}, RejectReason.MALFORMED),
        ({"tag38": "-5"}, RejectReason.MALFORMED),
        ({"tag38": "ten"}, RejectReason.MALFORMED),
        ({"tag44": "cheap"}, RejectReason.MALFORMED),
        ({"tag38": None}, RejectReason.QUANTITY_REQUIRED),
        ({"tag38": None, "tag152": 10**9}, RejectReason.QUANTITY_REQUIRED),
        ({"tag152": 10**9}, RejectReason.QUANTITY_REQUIRED),
        ({"tag516": 100}, RejectReason.QUANTITY_REQUIRED),
        ({"tag40": 1}, RejectReason.PRICE_REQUIRED),
        ({"tag40": 3}, RejectReason.PRICE_REQUIRED),
        ({"tag44": 101}, RejectReason.MAX_NOTIONAL),
        ({"tag44": None}, RejectReason.PRICE_REQUIRED),
    ],
)
def test_no_way_of_writing_an_order_leads_around_its_limits(rig: Rig, name: str, more: dict, reason: RejectReason):
    refused = submit(rig.client("limited"), "D", *new_order(name, **more))
    assert (refused.outcome, refused.reason) == (Outcome.REJECTED, reason)
    assert processed(rig, name) == 0


@pytest.mark.parametrize("tag", [11, 38, 44])
def test_a_field_that_is_checked_may_stand_there_once_only(rig: Rig, name: str, tag: int):
    refused = submit(rig.client("limited"), "D", *new_order(name), (tag, 99))
    assert refused.reason is RejectReason.MALFORMED
    assert processed(rig, name) == processed(rig, "99") == 0


@pytest.mark.parametrize("msg_type", ["E", "S", "i", "AJ", "0", "A", "5", "n"])
def test_a_message_that_cannot_be_checked_or_is_not_the_clients_is_refused(rig: Rig, name: str, msg_type: str):
    client = rig.client()
    submit(client, msg_type, (11, name), (66, "list"))
    assert refusal(client).reason is RejectReason.FORBIDDEN_MSG_TYPE


@pytest.mark.parametrize("tag", [8, 9, 10, 34, 35, 43, 49, 52, 56, 89, 90, 91, 93, 122, 369])
def test_a_header_field_is_not_the_clients(rig: Rig, name: str, tag: int):
    refused = submit(rig.client(), "D", *new_order(name), (tag, 1))
    assert refused.reason is RejectReason.FORBIDDEN_TAG
    assert processed(rig, name) == 0


@pytest.mark.parametrize("body", [b"11=%s\x01junk", b"11=%s\x0155=\x01", b"11=%s\x01=5\x01", b"11=%s\x0155=ABC"])
def test_fields_that_are_none_are_refused(rig: Rig, name: str, body: bytes):
    client = rig.client()
    try:
        refused = client.submit("BROKER", "D", body % name.encode(), name).wait(WAIT_S)
    except InvalidRequest:
        return  # the library found it first
    assert refused.reason is RejectReason.MALFORMED


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (new_order("%s", tag38="ten"), "OrderQty (38) is no number, or one that is too large"),
        (new_order("%s", tag38=10**12), "OrderQty (38) is no number, or one that is too large"),
        *[
            (new_order("%s", tag38=quantity), "OrderQty (38) is not at least 0.00000001")
            for quantity in ("0", "0.00", "-0", "-5", "0.000000001")
        ],
        (new_order("%s", tag38=0, tag152=1000), "OrderQty (38) is not at least 0.00000001"),
        (new_order("%s", tag44="cheap"), "Price (44) is no number, or one that is too large"),
        ([*new_order("%s"), (44, 2)], "Price (44) is there twice"),
        ([*new_order("%s"), *ENCODED, (528, "")], "field 528 is empty"),
        ([*new_order("%s"), *ENCODED, (0, "junk")], "the fields are not tag=value<SOH> from byte 54 on"),
        (new_order("%s") * 400, "more fields than can be passed on"),
    ],
)
def test_a_refusal_of_a_malformed_order_says_what_is_wrong_and_where(rig: Rig, name: str, fields: list, text: str):
    name = f"{name:x<10}"
    client = rig.client()
    for _ in range(2):  # one that is known to be refused is told in the same words
        fields = [(tag, value if value != "%s" else name) for tag, value in fields]
        refused = submit(client, "D", *fields)
        assert (refused.outcome, refused.reason, refused.text) == (Outcome.REJECTED, RejectReason.MALFORMED, text)
        assert text in str(refused)
    assert processed(rig, name) == 0


def test_an_order_by_value_needs_no_quantity(rig: Rig, name: str):
    accepted = submit(rig.client(), "D", *new_order(name, tag38=None, tag152=1000))
    assert accepted.outcome is Outcome.ACCEPTED


def test_a_replace_by_a_quantity_of_0_is_refused_and_a_cancel_with_one_passes(rig: Rig, name: str):
    client = rig.client()
    client.send("BROKER", order(), name).wait(WAIT_S)
    change = ((41, name), (55, "ABC"), (54, 1), (38, 0))
    refused = submit(client, "G", (11, f"{name}-r"), *change)
    assert (refused.reason, refused.text) == (RejectReason.MALFORMED, "OrderQty (38) is not at least 0.00000001")
    assert submit(client, "F", (11, f"{name}-c"), *change).outcome is Outcome.ACCEPTED


def test_a_refusal_of_what_opens_nothing_says_what_is_wrong_and_where(rig: Rig, name: str):
    client = rig.client()
    submit(client, "H", (11, name), (54, 1), *ENCODED, (55, ""))
    refused = refusal(client)
    assert (refused.reason, refused.text) == (RejectReason.MALFORMED, "field 55 is empty")


def test_an_answer_names_the_order_wherever_its_clordid_stands(rig: Rig, name: str):
    refused = submit(rig.client(), "D", (34, 1), (55, "ABC"), (11, name))
    assert (refused.cl_ord_id, refused.reason) == (name, RejectReason.FORBIDDEN_TAG)


def test_open_quantity_is_limited_until_it_is_canceled(rig: Rig, hear, name: str):
    client = rig.client("limited")
    for number in range(2):
        assert client.send("BROKER", order(100), f"{name}-{number}").wait(WAIT_S).outcome is Outcome.ACCEPTED
    refused = client.send("BROKER", order(51), f"{name}-2").wait(WAIT_S)
    assert refused.reason is RejectReason.MAX_OPEN_QTY
    for number in range(2):
        cancel = Cancel(orig_cl_ord_id=f"{name}-{number}", symbol="ABC", side=Side.BUY)
        client.send("BROKER", cancel, f"{name}-c{number}").wait(WAIT_S)
    hear(client, 4)
    assert client.send("BROKER", order(51), f"{name}-3").wait(WAIT_S).outcome is Outcome.ACCEPTED


def test_a_throttled_client_may_always_cancel(rig: Rig, name: str):
    client = rig.client("throttled")
    outcomes = [client.send("BROKER", order(), f"{name}-{number}").wait(WAIT_S) for number in range(4)]
    assert [s.reason for s in outcomes] == [None, None, RejectReason.THROTTLE, RejectReason.THROTTLE]
    cancel = Cancel(orig_cl_ord_id=f"{name}-0", symbol="ABC", side=Side.BUY)
    assert client.send("BROKER", cancel, f"{name}-c").wait(WAIT_S).outcome is Outcome.ACCEPTED


def test_the_kill_switch_stops_orders_and_lets_cancels_pass(rig: Rig, name: str):
    client, other = rig.client(), rig.client("fenced-in")
    client.send("BROKER", order(), name).wait(WAIT_S)
    assert rig.command("kill", client="strategy")[0] == 200
    try:
        refused = client.send("BROKER", order(), f"{name}-k").wait(WAIT_S)
        assert refused.reason is RejectReason.KILLED
        cancel = Cancel(orig_cl_ord_id=name, symbol="ABC", side=Side.BUY)
        assert client.send("BROKER", cancel, f"{name}-c").wait(WAIT_S).outcome is Outcome.ACCEPTED
        assert other.send("BROKER", order(), f"{name}-o").wait(WAIT_S).outcome is Outcome.ACCEPTED
    finally:
        rig.command("unkill", client="strategy")
    assert client.send("BROKER", order(), f"{name}-u").wait(WAIT_S).outcome is Outcome.ACCEPTED


def test_a_session_that_is_not_ready_refuses_or_holds_as_configured(rig: Rig, name: str):
    client = rig.client()
    refused = client.send("REFUSING", order(), name).wait(WAIT_S)
    assert refused.reason is RejectReason.NOT_READY
    held = client.send("HOLDING", order(), f"{name}-h")
    again = rig.client().send("BROKER", order(), f"{name}-b").wait(WAIT_S)
    assert again.outcome is Outcome.ACCEPTED
    client.send("BROKER", order(), f"{name}-after").wait(WAIT_S)  # its answer comes behind that of the held one
    assert held.outcome is Outcome.HELD
    assert not held.done


def test_what_was_held_for_too_long_is_refused_and_not_sent_when_the_session_is_back(rig: Rig, name: str):
    client = rig.client()
    cancel = client.send("BRIEF", Cancel(orig_cl_ord_id="other", symbol="ABC", side=Side.BUY), f"{name}-c")
    refused = client.send("BRIEF", order(), name).wait(WAIT_S)
    assert (refused.outcome, refused.reason) == (Outcome.REJECTED, RejectReason.NOT_READY)
    assert cancel.outcome is Outcome.REJECTED
    assert client.send("BRIEF", order(), name).wait(WAIT_S).outcome is Outcome.REJECTED


def test_what_was_refused_because_it_was_too_early_may_be_tried_again(rig: Rig, name: str):
    client = rig.client()
    for _ in range(2):
        assert client.send("REFUSING", order(), name).wait(WAIT_S).reason is RejectReason.NOT_READY
    assert client.send("BROKER", order(), name).wait(WAIT_S).outcome is Outcome.ACCEPTED


def test_a_session_that_the_client_may_not_use_is_unknown_to_it(rig: Rig, hear, name: str):
    client = rig.client("fenced-in")
    for session in (1, 9, 70, 65_535):
        assert client.send(session, order(), name).wait(WAIT_S).reason is RejectReason.UNKNOWN_SESSION
    assert client.sessions == ["BROKER"]
    assert client.send("BROKER", order(), name).wait(WAIT_S).outcome is Outcome.ACCEPTED
    hear(client, 1)


def test_a_login_with_a_wrong_token_or_name_is_refused_in_the_same_words(rig: Rig):
    words = set()
    for name, token in (("locked", ""), ("locked", "wrong"), ("nobody", "wrong")):
        with pytest.raises(LoginRefused) as refused:
            rig.client(name, token)
        words.add(str(refused.value).replace(name, "NAME"))
    assert len(words) == 1
    assert rig.client("locked", "open sesame").connected


def test_what_one_client_is_told_the_others_are_not(rig: Rig, hear, name: str):
    client, other = rig.client(), rig.client("fenced-in")
    client.send("BROKER", order(), name).wait(WAIT_S)
    other.send("BROKER", order(), f"{name}-o").wait(WAIT_S)
    assert [message.get(11) for message in hear(other, 1)] == [f"{name}-o"]
    assert [message.get(11) for message in hear(client, 1)] == [name]


def test_what_waits_is_bounded_and_an_order_beyond_it_is_refused(rig: Rig, name: str):
    client = rig.client()
    large = b"".join(b"%d=%s\x01" % (tag, str(value).encode()) for tag, value in new_order("%s", tag58="x" * 60_000))
    handles = [client.submit("FULL", "D", large % f"{name}-{n}".encode(), f"{name}-{n}") for n in range(18)]
    refused = handles[-1].wait(WAIT_S)
    assert refused.reason is RejectReason.HOLD_FULL
    assert [handle.outcome for handle in handles[:16]] == [Outcome.HELD] * 16


def test_the_status_counts_what_was_done(rig: Rig, name: str):
    before = rig.status()["orders"]
    client = rig.client()
    client.send("BROKER", order(), name).wait(WAIT_S)
    client.send("BROKER", order(), name).wait(WAIT_S)
    client.send("REFUSING", order(), f"{name}-r").wait(WAIT_S)
    after = rig.status()["orders"]
    assert {key: after[key] - before[key] for key in ("known", "accepted", "repeated", "refused")} == {
        "known": 1,
        "accepted": 1,
        "repeated": 1,
        "refused": 1,
    }
