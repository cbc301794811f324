"""What a client is told when it comes, comes back, or reads slowly; and its checkpoints."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from gateway.client import Client, Message, Order, OrderStatus, PositionFile, Refused, Side, WaitTimeout
from tests.support.rig import WAIT_S, Rig

_numbers = itertools.count(1)


@pytest.fixture
def name(rig: Rig) -> str:
    """A ClOrdID that no other test has used. No execution of another test's order is under way any more."""
    name = f"feed-{next(_numbers)}"
    client = rig.client()
    trade(client, name)
    heard(client, name)  # the counterparty answers in the order in which it was asked
    rig.hang_up()
    return name


def trade(client: Client, *names: str) -> None:
    for name in names:
        client.send("BROKER", Order(symbol="ABC", side=Side.BUY, quantity=10, price="1"), name).wait(WAIT_S)


def heard(client: Client, last: str) -> list[str]:
    """ClOrdIDs of the executions up to that of `last`."""
    names: list[str] = []
    while last not in names:
        event = client.next(WAIT_S)
        if isinstance(event, Message):
            names.append(event.get(11) or "")
    return names


def test_executions_come_once_in_the_order_of_their_numbers(rig: Rig, name: str):
    client = rig.client()
    trade(client, *(f"{name}-{i}" for i in range(20)))
    messages = []
    while len(messages) < 20:
        event = client.next(WAIT_S)
        if isinstance(event, Message):
            messages.append(event)
    assert [message.get(11) for message in messages] == [f"{name}-{i}" for i in range(20)]
    numbers = [message.seq for message in messages]
    assert numbers == sorted(set(numbers))


def test_two_live_clients_of_one_name_are_one_to_the_gateway_and_both_are_told_everything(rig: Rig, name: str):
    one, other = rig.client(), rig.client()
    sent = one.send("BROKER", Order(symbol="ABC", side=Side.BUY, quantity=10, price="1"), f"{name}-1").wait(WAIT_S)
    assert heard(one, f"{name}-1")[-1] == heard(other, f"{name}-1")[-1] == f"{name}-1"
    again = other.send("BROKER", Order(symbol="XYZ", side=Side.SELL, quantity=99, price="2"), f"{name}-1").wait(WAIT_S)
    assert (again.seq, again.order_status) == (sent.seq, OrderStatus.NEW)  # the first order: the second was not sent
    one, other = rig.client("limited"), rig.client("limited")
    refused = one.send("BROKER", Order(symbol="ABC", side=Side.BUY, quantity=101, price="1")).wait(WAIT_S)
    while not isinstance(event := other.next(WAIT_S), Refused):
        pass
    assert (event.cl_ord_id, event.reason) == (refused.cl_ord_id, refused.reason)
    one.store("where", b"1").wait(WAIT_S)
    assert other.fetch("where", WAIT_S) == b"1"


def test_a_client_that_comes_back_is_told_what_it_missed_and_nothing_twice(rig: Rig, name: str, tmp_path: Path):
    with PositionFile(tmp_path / "positions") as file:
        client = rig.client(positions=file)
        trade(client, f"{name}-1")
        heard(client, f"{name}-1")
        with pytest.raises(WaitTimeout):
            client.next(0)  # to ask for more says that what came has been dealt with
        trade(client, f"{name}-2", f"{name}-3")
        rig.hang_up()
    with PositionFile(tmp_path / "positions") as file:
        assert heard(rig.client(positions=file), f"{name}-3") == [f"{name}-2", f"{name}-3"]


def test_a_client_without_a_position_is_told_all_there_is(rig: Rig, name: str):
    trade(rig.client(), f"{name}-1")
    rig.hang_up()
    assert heard(rig.client(from_now=False), f"{name}-1")[-1] == f"{name}-1"


def test_a_client_that_wants_nothing_old_gets_nothing_old(rig: Rig, name: str):
    client = rig.client()
    trade(client, f"{name}-1")
    heard(client, f"{name}-1")
    rig.hang_up()
    client = rig.client()
    trade(client, f"{name}-2")
    assert heard(client, f"{name}-2") == [f"{name}-2"]


def test_two_connections_of_one_client_are_both_told(rig: Rig, name: str):
    one, two = rig.client(), rig.client()
    trade(one, f"{name}-1")
    assert heard(one, f"{name}-1") == heard(two, f"{name}-1") == [f"{name}-1"]


def test_a_checkpoint_is_there_for_the_next_life_of_its_client(rig: Rig, name: str):
    client = rig.client()
    client.store(name, b"first").wait(WAIT_S)
    client.store(name, b"\x00\xff" * 1000).wait(WAIT_S)
    rig.hang_up()
    assert rig.client().fetch(name, WAIT_S) == b"\x00\xff" * 1000


def test_a_checkpoint_may_be_empty_and_is_not_the_same_as_none(rig: Rig, name: str):
    client = rig.client()
    client.store(name, b"").wait(WAIT_S)
    assert client.fetch(name, WAIT_S) == b""
    assert client.fetch(name + "-other", WAIT_S) is None


def test_a_checkpoint_is_nobody_elses(rig: Rig, name: str):
    rig.client().store(name, b"mine").wait(WAIT_S)
    assert rig.client("fenced-in").fetch(name, WAIT_S) is None
