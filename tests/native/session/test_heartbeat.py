"""Silence and how it is broken: Heartbeat, TestRequest, and giving up."""

import pytest

from tests.support.sessions import HEARTBEAT_S, Line, Scripted

ROLES = pytest.mark.parametrize("role", ["initiator", "acceptor"])


@ROLES
def test_a_heartbeat_breaks_our_silence(role):
    peer = Scripted(role).logged_on()
    peer.timer_after(HEARTBEAT_S - 1)
    assert peer.heard() == []
    peer.say("0")
    peer.timer_after(1)
    assert peer.heard_types() == ["0"]


def test_what_we_send_puts_the_heartbeat_off():
    peer = Scripted("initiator").logged_on()
    peer.clock.move(20)
    peer.session.send("D", b"11=a\x01", *peer.clock.now)
    peer.heard()
    peer.say("0")
    peer.timer_after(20)
    assert peer.heard() == []
    peer.timer_after(10)
    assert peer.heard_types() == ["0"]


@ROLES
def test_a_test_request_breaks_theirs_and_then_the_connection_is_given_up(role):
    peer = Scripted(role).logged_on()
    peer.timer_after(HEARTBEAT_S * 1.2)
    request = next(message for message in peer.heard() if message[35] == "1")
    assert request[112]
    peer.timer_after(HEARTBEAT_S * 0.8)
    assert "1" not in peer.heard_types()
    assert not peer.session.closing
    peer.timer_after(HEARTBEAT_S * 0.4)
    assert peer.session.closing
    assert [event.a for event in peer.told("DISCONNECTED")] == [3]
    assert peer.session.deadline is None


def test_any_message_answers_the_test_request():
    peer = Scripted("initiator").logged_on()
    peer.timer_after(HEARTBEAT_S * 1.2)
    peer.say("8", b"11=a\x01")
    peer.timer_after(HEARTBEAT_S * 1.19)
    assert not peer.session.closing


def test_garbled_bytes_are_no_sign_of_life():
    peer = Scripted("initiator").logged_on()
    peer.timer_after(HEARTBEAT_S * 1.2)
    peer.feed(b"8=FIX.4.4\x01garbage\x01" * 3)
    peer.timer_after(HEARTBEAT_S * 1.2)
    assert peer.session.closing


@ROLES
def test_a_test_request_is_answered_with_its_id(role):
    peer = Scripted(role).logged_on()
    peer.say("1", b"112=are you there?\x01")
    (answer,) = peer.heard()
    assert (answer[35], answer[112]) == ("0", "are you there?")


def test_a_test_request_without_an_id_is_rejected_and_counted():
    peer = Scripted("acceptor").logged_on()
    expected = peer.session.next_in
    peer.say("1")
    (answer,) = peer.heard()
    assert (answer[35], answer[45], answer[371], answer[373]) == ("3", str(expected), "112", "1")
    assert peer.session.next_in == expected + 1


def test_without_an_interval_nothing_is_sent_and_nothing_expected():
    peer = Scripted("acceptor")
    peer.session.connected(*peer.clock.now)
    peer.say("A", b"98=0\x01108=0\x01")
    peer.heard()
    assert peer.session.deadline is None
    peer.timer_after(10**6)
    assert peer.heard() == []
    assert not peer.session.closing


def test_configured_limits_replace_the_multiples_of_the_interval():
    peer = Scripted("initiator", test_request_after_ns=2 * 10**9, disconnect_after_ns=3 * 10**9).logged_on()
    peer.timer_after(2)
    assert peer.heard_types() == ["1"]
    peer.timer_after(1)
    assert peer.session.closing


def test_an_idle_day_keeps_both_sides_ready_and_in_step():
    line = Line()
    line.reconnect()
    line.wait(86_400)
    assert line.statuses() == ("READY", "READY")
    assert line.numbers_agree()
    assert "DISCONNECTED" not in line.initiator.kinds() + line.acceptor.kinds()
    # One heartbeat of each side per interval, and at most as many TestRequests.
    assert line.initiator.session.next_out < 2 * 86_400 / HEARTBEAT_S + 10


def test_the_deadline_is_never_behind_after_the_timer_ran():
    line = Line()
    line.reconnect()
    for _ in range(50):
        due = min(side.session.deadline for side in line.sides)
        assert due >= line.clock.now[0]
        line.wait((due - line.clock.now[0]) / 10**9)
        assert min(side.session.deadline for side in line.sides) > due


def test_no_heartbeat_comes_between_a_test_request_and_giving_up():
    """The TestRequest has broken our silence; it is followed by an answer or by the end."""
    peer = Scripted("acceptor").logged_on()
    for _ in range(30):
        peer.timer_after(HEARTBEAT_S / 10)
    assert peer.heard_types() == ["0", "1"]
    assert peer.session.closing


def test_heartbeats_go_on_behind_a_test_request_if_giving_up_is_far_off():
    peer = Scripted("acceptor", disconnect_after_ns=10 * HEARTBEAT_S * 10**9).logged_on()
    for _ in range(60):
        peer.timer_after(HEARTBEAT_S / 10)
    assert peer.heard_types() == ["0", "1", "0", "0", "0", "0"]
