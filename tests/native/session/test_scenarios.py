"""Cases of the specification that no other topic has; and whether docs/conformance.md names tests that exist."""

import re
from pathlib import Path

import pytest

from gateway.native.encoder import Template
from tests.support.sessions import Scripted, clordids

ROOT = Path(__file__).parents[3]
LOGON = b"98=0\x01108=30\x01"


@pytest.fixture(params=["initiator", "acceptor"])
def peer(request) -> Scripted:
    return Scripted(request.param).logged_on()


@pytest.mark.parametrize(
    ("ids", "version", "msg_type"),
    [
        (b"49=OTHER\x0156=GW\x01", b"FIX.4.4", "A"),
        (b"49=BROKER\x0156=OTHER\x01", b"FIX.4.4", "A"),
        (b"49=BROKER\x0156=GW\x01", b"FIX.4.2", "A"),
        (b"49=BROKER\x0156=GW\x01", b"FIX.4.4", "0"),
        (b"49=BROKER\x0156=GW\x01", b"FIX.4.4", "8"),
    ],
)
def test_an_initiator_hangs_up_when_the_answer_is_not_its_counterpartys_logon(ids, version, msg_type):
    """1B.c"""
    peer = Scripted("initiator")
    peer.session.connected(*peer.clock.now)
    peer.heard()
    peer.template = Template(version, ids)
    peer.say(msg_type, LOGON)
    assert peer.session.closing
    assert peer.heard() == []
    assert peer.session.next_in == 1


@pytest.mark.parametrize("dup", [True, False])
def test_a_gap_fill_that_is_too_low_is_dropped_or_ends_the_session(peer, dup):
    """10.c, 10.d"""
    expected = peer.session.next_in
    peer.say("4", b"123=Y\x0136=%d\x01" % (expected + 20), 1, dup=dup)
    assert peer.session.next_in == expected
    if dup:
        assert (peer.heard(), peer.session.status) == ([], "READY")
    else:
        assert f"expecting {expected} but received 1" in peer.heard()[0][58]
        assert peer.session.closing


def test_a_sequence_reset_to_the_expected_number_changes_nothing(peer):
    """11.b"""
    expected = peer.session.next_in
    peer.say("4", b"36=%d\x01" % expected, 0)
    assert (peer.heard(), peer.session.next_in, peer.session.status) == ([], expected, "READY")
    peer.say("8", b"11=a\x01", expected)
    assert clordids(peer.events) == ["a"]


def test_every_case_in_the_documentation_names_a_test_that_exists():
    text = (ROOT / "docs" / "conformance.md").read_text()
    named = re.findall(r"`((?:tests/)?[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 60
    for file, function in named:
        path = ROOT / file if file.startswith("tests/") else Path(__file__).parent / file
        assert f"def {function}(" in path.read_text(), f"{file}::{function}"
