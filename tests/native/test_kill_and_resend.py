"""What a counterparty asks for again after a kill switch was set: an order would be a new one there."""

from __future__ import annotations

from gateway.native import clientwire as wire
from tests.native.test_replay_of_generations import Stage, states


def asked_again(stage: Stage) -> bytes:
    """Everything that the broker gets for a ResendRequest of all."""
    stage.node.session_sends(0, stage.encode(stage.next_in, "2", (7, 1), (16, 0)))
    sent = b""
    for _ in range(10):
        stage.node.turn()
        sent += stage.node.session_reads(0)[0]
    return sent


def test_orders_go_again_while_their_client_may_trade():
    assert asked_again(Stage()).count(b"\x0135=D\x01") == 3


def test_no_order_of_a_stopped_client_goes_again_and_the_client_is_told():
    stage = Stage()
    assert stage.node.kill(1) == 0
    sent = asked_again(stage)
    assert sent.count(b"\x0135=D\x01") == 0
    assert b"\x01123=Y\x01" in sent, "gap fill in their place"
    assert set(states(stage.owner).values()) == {"UNKNOWN"}
    fates = [frame for frame in stage.told() if isinstance(frame, wire.Fate)]
    assert {frame.cl_ord_id for frame in fates} == {"a", "b", "c"}


def test_its_cancels_go_again():
    stage = Stage()
    stage.node.client_sends(stage.client, wire.submit(0, "F", "x", b"41=a\x0155=A\x0154=1\x01"))
    stage.turn()
    stage.node.kill(1)
    sent = asked_again(stage)
    assert (sent.count(b"\x0135=D\x01"), sent.count(b"\x0135=F\x01")) == (0, 1)


def test_who_may_trade_again_has_its_orders_go_again():
    stage = Stage()
    stage.node.kill(1)
    stage.turn()
    stage.node.kill(1, killed=False)
    assert asked_again(stage).count(b"\x0135=D\x01") == 3
