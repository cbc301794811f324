"""What has two sides must not have one that nobody has checked."""

from __future__ import annotations

import pytest

from gateway.native import clientwire as wire
from tests.native.test_replay_of_generations import Stage

SIDE = "54=%d\x0111=%s\x0138=%d\x01"


def cross(*sides: tuple[str, int]) -> bytes:
    body = "".join(SIDE % (1 + at, name, quantity) for at, (name, quantity) in enumerate(sides))
    return f"548=X\x01549=1\x01550=1\x01552={len(sides)}\x01{body}55=A\x0140=1\x01".encode()


@pytest.mark.parametrize("msg_type", ["s", "t", "u"])
def test_the_second_side_of_a_cross_is_no_way_around_limits_and_clordids(msg_type):
    stage = Stage()
    stage.node.client_sends(stage.client, wire.submit(0, msg_type, "", cross(("x", 1), ("y", 10**6))))
    stage.turn()
    (refused,) = stage.told()
    assert isinstance(refused, wire.Rejected)
    assert refused.cl_ord_id == "x"
    assert stage.owner.order(1, b"x")["state"] == "REFUSED"


def test_one_side_is_checked_as_any_order():
    stage = Stage()
    stage.node.client_sends(stage.client, wire.submit(0, "s", "", cross(("x", 1))))
    stage.node.client_sends(stage.client, wire.submit(0, "s", "", cross(("y", 10**6))))
    stage.turn()
    assert [type(frame) for frame in stage.told()] == [wire.Accepted, wire.Rejected]
