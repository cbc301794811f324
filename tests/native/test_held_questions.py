"""What waits and names no new order, a status request for example, takes no ClOrdID when it is given up."""

from __future__ import annotations

from gateway.native import clientwire as wire
from tests.native.test_replay_of_generations import Stage
from tests.support.sessions import SECOND

QUESTION = b"55=A\x0154=1\x01"


def asked_too_long_ago(name: str) -> Stage:
    stage = Stage()
    stage.node.session_leaves(0)
    stage.turn()
    stage.node.client_sends(stage.client, wire.submit(0, "H", name, QUESTION))
    stage.turn()
    stage.clock.move(600 * SECOND)
    stage.turn()
    stage.log_on()
    stage.turn()
    return stage


def test_its_clordid_may_be_used():
    stage = asked_too_long_ago("n")
    stage.told()
    stage.submit("n")
    stage.turn()
    assert [type(frame) for frame in stage.told()] == [wire.Accepted]


def test_the_order_that_it_names_is_not_refused():
    stage = asked_too_long_ago("a")
    told = [frame for frame in stage.told() if isinstance(frame, wire.Rejected)]
    assert len(told) == 1
    assert "a" not in [frame.cl_ord_id for frame in told]
    assert stage.owner.order(1, b"a")["state"] == "SENT"
