"""Setting a node up and asking it: what does not fit is refused by name."""

import pytest

from gateway.native.journal import Journal
from gateway.native.node import Node

KEY = b"0123456789abcdef"
MAX_SESSIONS, MAX_CLIENTS = 128, 255


def make_node(journal: Journal | None = None, **options: object) -> Node:
    journal = journal or Journal.memory(segment_bytes=1 << 20, max_records=1 << 12, max_sessions=64, max_seq=1 << 10)
    return Node(journal, **{"node": 0, "pair_id": 1, "key": KEY, "incarnation": 1, "order_capacity": 1024, **options})


def add_session(node: Node, name: str = "BROKER", **options: object) -> int:
    identity = {"begin_string": "FIX.4.4", "sender_comp_id": "US", "target_comp_id": "THEM"}
    return node.add_session(name, **{**identity, **options})


def test_a_new_node_waits_and_may_send_nothing():
    node = make_node()
    assert add_session(node) == 0
    status = node.status()
    assert (status["node"], status["role"], status["release"], status["epoch"]) == ("a", "STARTING", "NOTHING", 0)
    assert (status["primary"], status["register"]["in_sync"], status["peer"]["alive"]) == (None, [], False)
    assert [(s["name"], s["next_out"], s["next_in"]) for s in status["sessions"]] == [("BROKER", 1, 1)]
    assert node.take_notes() == []


def test_sessions_and_clients_are_numbered_in_the_order_of_the_configuration():
    node = make_node()
    assert [add_session(node, f"S{i}") for i in range(3)] == [0, 1, 2]
    assert [node.add_client(f"C{i}", b"token") for i in range(3)] == [1, 2, 3]


def test_more_sessions_or_clients_than_fit_are_refused():
    node = make_node()
    for i in range(MAX_SESSIONS):
        add_session(node, f"S{i}")
    with pytest.raises(ValueError, match=f"'ONE-MORE' does not fit: at most {MAX_SESSIONS}"):
        add_session(node, "ONE-MORE")
    for i in range(MAX_CLIENTS):
        node.add_client(f"C{i}")
    with pytest.raises(ValueError, match=f"at most {MAX_CLIENTS} clients"):
        node.add_client("ONE-MORE")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("sender_comp_id", "x" * 64),
        ("target_comp_id", "x\0"),
        ("begin_string", "x" * 16),
        ("extra_ids", b"x" * 256),
        ("logon_fields", b"x" * 512),
    ],
)
def test_what_is_too_long_is_named(option: str, value: object):
    with pytest.raises(ValueError, match=f"{option}: at most"):
        add_session(make_node(), **{option: value})


def test_a_name_that_is_none_is_refused():
    for name in ("", "x" * 1000):
        with pytest.raises(ValueError, match="session name"):
            add_session(make_node(), name)


def test_no_secret_is_in_a_complaint():
    with pytest.raises(ValueError, match="client token") as refused:
        make_node().add_client("C", b"hush" * 1000)
    assert "hush" not in str(refused.value)
    with pytest.raises(ValueError, match="16 bytes, found 4") as refused:
        make_node(key=b"hush")
    assert "hush" not in str(refused.value)
