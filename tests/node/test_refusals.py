"""What an operator is told when a node refuses a command."""

from __future__ import annotations

import pytest

from gateway.node.process import refusal_text


@pytest.mark.parametrize(
    ("command", "status", "role", "text"),
    [
        ("takeover", -1, "primary", "this node is primary, not standby"),
        ("takeover", -3, "standby", "not in sync and may lack records; if its peer is dead for good: `gateway act-alo"),
        ("switchover", -2, "standby", "this node is standby, not primary; the primary is node b"),
        ("switchover", -3, "primary", "the standby is not in sync"),
        ("solo", -4, "primary", "another change of role is under way"),
        ("act-alone", -1, "primary", "this node is primary already"),
        ("act-alone", -5, "standby", "this node hears its peer as primary"),
        ("BROKER: logout", -1, "standby", "this node is standby, not primary; the primary is node b"),
        ("BROKER: set-seq", -1, "standby", "this node is standby, not primary; the primary is node b"),
        ("BROKER: set-seq", -2, "primary", "the session is connected: log it out first"),
        ("BROKER: send-doubted", -6, "primary", "the journal has no space now"),
        ("kill switch", -99, "primary", "refused (-99)"),
    ],
)
def test_a_refusal_says_what_the_node_is_and_what_would_serve(command: str, status: int, role: str, text: str) -> None:
    assert text in refusal_text(command, status, role, "b")


def test_a_node_that_knows_of_no_primary_names_none() -> None:
    assert refusal_text("switchover", -2, "starting", None) == "this node is starting, not primary"
