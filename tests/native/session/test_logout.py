"""Leaving in order, leaving without an answer, and going on afterwards."""

import pytest

from tests.support.sessions import Line, Scripted, clordids


@pytest.mark.parametrize("by", ["initiator", "acceptor"])
def test_either_side_may_end_the_session(by):
    line = Line()
    line.reconnect()
    getattr(line, by).session.logout("end of day", *line.clock.now)
    line.pump()
    assert not line.up
    assert line.statuses() == ("DISCONNECTED", "DISCONNECTED")
    assert line.numbers_agree()
    told = [event for side in line.sides for event in side.events if event.kind == "LOGGED_OUT"]
    assert sorted(event.a for event in told) == [0, 1]
    assert b"end of day" in {event.data for event in told}
    line.reconnect()
    assert line.statuses() == ("READY", "READY")
    assert line.numbers_agree()


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_a_logout_without_an_answer_is_given_up(role):
    peer = Scripted(role).logged_on()
    peer.session.logout("bye", *peer.clock.now)
    (logout,) = peer.heard()
    assert (logout[35], logout[58]) == ("5", "bye")
    peer.timer_after(1.9)
    assert not peer.session.closing
    peer.timer_after(0.2)
    assert peer.session.closing
    assert [event.a for event in peer.told("DISCONNECTED")] == [5]


def test_no_order_goes_out_behind_a_logout():
    peer = Scripted("initiator").logged_on()
    peer.session.logout("", *peer.clock.now)
    with pytest.raises(Exception, match="LOGOUT_SENT"):
        peer.session.send("D", b"11=a\x01", *peer.clock.now)


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_reports_that_cross_a_logout_are_taken(role):
    peer = Scripted(role).logged_on()
    peer.session.logout("", *peer.clock.now)
    peer.say("8", b"11=late\x01")
    assert clordids(peer.events) == ["late"]
    peer.say("5")
    assert peer.session.closing
    assert peer.heard_types() == ["5"]


def test_an_initiator_answers_a_logout_and_closes():
    peer = Scripted("initiator").logged_on()
    peer.say("5", b"58=maintenance\x01")
    assert peer.heard_types() == ["5"]
    assert peer.session.closing
    assert peer.told("LOGGED_OUT")[0].data == b"maintenance"


def test_an_acceptor_answers_a_logout_and_waits_for_the_initiator_to_close():
    peer = Scripted("acceptor").logged_on()
    peer.say("5")
    assert peer.heard_types() == ["5"]
    assert not peer.session.closing
    peer.timer_after(2.1)
    assert peer.session.closing


def test_a_logout_ahead_of_a_gap_is_answered_and_the_gap_is_closed_the_next_time():
    peer = Scripted("initiator").logged_on()
    expected = peer.session.next_in
    peer.say("5", b"", expected + 3)
    assert "5" in peer.heard_types()
    assert peer.session.next_in == expected
    peer.session.disconnected(*peer.clock.now)
    peer.session.connected(*peer.clock.now)
    peer.say("A", b"98=0\x01108=30\x01", expected + 4)
    assert [message[7] for message in peer.heard() if message[35] == "2"] == [str(expected)]


def test_numbers_start_over_after_a_logout_if_configured_so_and_not_after_a_cut():
    line = Line(reset_on_logout=True)
    line.reconnect()
    line.initiator.order("a")
    line.pump()
    line.reconnect()
    assert line.initiator.session.generation == 0
    line.initiator.session.logout("", *line.clock.now)
    line.pump()
    assert [side.session.generation for side in line.sides] == [1, 1]
    assert [side.session.next_out for side in line.sides] == [1, 1]
    line.reconnect()
    assert line.statuses() == ("READY", "READY")


def test_a_connection_that_is_being_closed_takes_nothing_more():
    peer = Scripted("initiator").logged_on()
    peer.say("5")
    number = peer.session.next_in
    peer.say("8", b"11=a\x01")
    assert clordids(peer.events) == []
    assert peer.session.next_in == number


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_a_logout_with_a_number_too_low_is_a_logout_all_the_same(role):
    peer = Scripted(role).logged_on()
    expected = peer.session.next_in
    peer.say("5", b"58=bye\x01", 1)
    (answer,) = peer.heard()
    assert answer[35] == "5"
    assert 58 not in answer
    assert peer.told("LOGGED_OUT")[0].data == b"bye"
    assert peer.session.next_in == expected
    assert not peer.told("STOPPED")
