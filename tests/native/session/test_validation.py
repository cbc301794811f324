"""Content that a data dictionary does not allow is refused by the session, and costs its number."""

import sys
from pathlib import Path

import pytest

from gateway.fix.dictionary import dictionary_in
from gateway.native.dictionary import CHECKS
from tests.support.sessions import Line, Scripted, clordids

PUBLIC = Path(sys.prefix) / "share" / "quickfix"
pytestmark = pytest.mark.skipif(not PUBLIC.is_dir(), reason="the quickfix package's dictionaries are not installed")
ORDER = b"11=a\x0121=1\x0155=MSFT\x0154=1\x0160=20231114-22:13:20\x0140=1\x0138=5\x01"
FIX44 = dictionary_in(PUBLIC, "FIX.4.4") if PUBLIC.is_dir() else None


@pytest.fixture(params=["initiator", "acceptor"])
def peer(request) -> Scripted:
    return Scripted(request.param, dictionary=FIX44).logged_on()


def test_what_is_right_is_delivered(peer):
    peer.say("D", ORDER)
    assert clordids(peer.events) == ["a"]
    assert peer.heard() == []


@pytest.mark.parametrize(
    ("msg_type", "body", "tag", "reason", "text"),
    [
        ("D", ORDER + b"999=x\x01", "999", "0", "Invalid tag number"),
        ("D", ORDER.replace(b"54=1\x01", b""), "54", "1", "Required tag missing"),
        ("0", b"55=MSFT\x01", "55", "2", "Tag not defined for this message type"),
        ("D", ORDER + b"58=\x01", "58", "4", "Tag specified without a value"),
        ("D", ORDER.replace(b"40=1", b"40=w"), "40", "5", "Value is incorrect (out of range) for this tag"),
        ("D", ORDER.replace(b"38=5", b"38=+5"), "38", "6", "Incorrect data format for value"),
        ("D", ORDER + b"40=2\x01", "40", "13", "Tag appears more than once"),
        ("D", ORDER + b"115=X\x01", "115", "14", "Tag specified out of required order"),
        ("D", ORDER + b"386=3\x01336=A\x01336=B\x01", "386", "16", "Incorrect NumInGroup count for repeating group"),
        ("*", b"", None, "11", "Invalid MsgType"),
    ],
)
def test_what_is_wrong_is_rejected_and_costs_its_number(peer, msg_type, body, tag, reason, text):
    expected = peer.session.next_in
    peer.say(msg_type, body)
    (answer,) = peer.heard()
    assert (answer[35], answer[45], answer.get(371), answer[372]) == ("3", str(expected), tag, msg_type)
    assert (answer[373], answer[58]) == (reason, text)
    assert (peer.session.next_in, peer.session.status) == (expected + 1, "READY")
    assert clordids(peer.events) == []


def test_a_resent_message_that_is_wrong_does_not_hold_up_what_waits_behind_it(peer):
    first = peer.session.next_in
    peer.say("1", b"112=one\x01", first + 1)
    peer.say("D", ORDER + b"126=20040415\x01", first, dup=True)
    peer.say("1", b"112=two\x01", first + 2)
    request, reject, *answers = peer.heard()
    assert (request[35], reject[35], reject[371]) == ("2", "3", "126")
    assert [answer[112] for answer in answers] == ["one", "two"]


def test_a_logon_that_is_wrong_is_refused_with_the_tag():
    peer = Scripted("acceptor", dictionary=FIX44)
    peer.session.connected(*peer.clock.now)
    peer.say("A", b"98=0\x01108=30\x0155=MSFT\x01")
    (logout,) = peer.heard()
    assert (logout[35], logout[58]) == ("5", "Tag not defined for this message type: tag 55")
    assert peer.session.closing


def test_checks_may_be_left_out_per_session():
    peer = Scripted("acceptor", dictionary=FIX44, checks=CHECKS["values"]).logged_on()
    peer.say("D", ORDER.replace(b"40=1", b"40=w"))
    peer.say("D", ORDER + b"58=\x01")
    assert clordids(peer.events) == ["a"]
    assert peer.heard_types() == ["3"]


@pytest.mark.parametrize("version", ["FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"])
def test_what_our_own_sessions_send_is_valid(version):
    """Every session message, in every version, against the public dictionary."""
    line = Line(begin_string=version, dictionary=dictionary_in(PUBLIC, version), test_request_after_ns=10**9)
    line.reconnect()
    line.wait(40)
    line.cut()
    line.initiator.session.set_seq(line.initiator.session.next_out + 3, line.initiator.session.next_in, 1, 1)
    line.reconnect()
    line.initiator.session.logout("bye", *line.clock.now)
    line.pump()
    line.reconnect()
    assert line.statuses() == ("READY", "READY")
    assert line.numbers_agree()
    assert "REJECT_SENT" not in line.initiator.kinds() + line.acceptor.kinds()


def test_a_message_may_have_an_application_version_of_its_own():
    sp2, sp0 = (dictionary_in(PUBLIC, "FIXT.1.1", version) for version in ("9", "7"))
    peer = Scripted("acceptor", "FIXT.1.1", dictionary=sp2, appl_dictionaries={"7": sp0}).logged_on()
    body = ORDER.replace(b"21=1\x01", b"")
    peer.say("D", body)
    peer.say("D", b"1128=7\x01" + body)
    peer.say("D", b"1128=8\x01" + body)
    assert clordids(peer.events) == ["a", "a"]
    (answer,) = peer.heard()
    assert (answer[371], answer[373]) == ("1128", "18")
