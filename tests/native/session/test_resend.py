"""Answering a ResendRequest (35=2): application messages go again, everything else becomes gap fill."""

import struct

import pytest

from gateway.native import clientwire as wire
from gateway.native import record as names
from tests.support.sessions import SECOND, Line, Scripted, clordids, fields_of, messages_in


@pytest.fixture(params=["initiator", "acceptor"])
def peer(request) -> Scripted:
    return Scripted(request.param).logged_on()


def orders(peer: Scripted, count: int) -> list[int]:
    return [peer.session.send("D", b"11=o%d\x01" % n, *peer.clock.now, clordid=b"o%d" % n) for n in range(count)]


def shape(messages) -> list[tuple[str, int, int | None]]:
    """(MsgType, MsgSeqNum, NewSeqNo) of each."""
    return [(m[35], int(m[34]), int(m[36]) if 36 in m else None) for m in messages]


def test_orders_go_again_as_possible_duplicates_with_the_time_they_were_first_sent(peer):
    first, second = orders(peer, 2)
    originals = peer.heard()
    peer.clock.move(5)
    peer.say("2", b"7=%d\x0116=%d\x01" % (first, second))
    again = peer.heard()
    assert shape(again) == [("D", first, None), ("D", second, None)]
    for original, message in zip(originals, again, strict=True):
        assert (message[43], message[122], message[11]) == ("Y", original[52], original[11])
        assert message[52] > original[52]
    assert [event.a for event in peer.told("RESENT")] == [first, second]


def test_session_messages_become_one_gap_fill_each_run(peer):
    start = peer.session.next_out
    peer.say("1", b"112=a\x01")
    peer.say("1", b"112=b\x01")
    (order,) = orders(peer, 1)
    peer.say("1", b"112=c\x01")
    peer.heard()
    peer.say("2", b"7=1\x0116=0\x01")
    again = peer.heard()
    assert shape(again) == [("4", 1, order), ("D", order, None), ("4", order + 1, order + 2)]
    assert order == start + 2
    assert all(message[43] == "Y" for message in again)
    assert again[0][123] == again[2][123] == "Y"
    assert peer.session.next_out == order + 2  # a resend takes no new number


@pytest.mark.parametrize("end", [0, 999_999, 10**12])
def test_infinity_is_the_last_number_sent(peer, end):
    sent = orders(peer, 3)
    peer.heard()
    peer.say("2", b"7=%d\x0116=%d\x01" % (sent[1], end))
    assert shape(peer.heard()) == [("D", sent[1], None), ("D", sent[2], None)]
    asked = peer.told("RESEND_REQUESTED")[0]
    assert (asked.a, asked.b) == (sent[1], sent[2])


def test_a_bounded_request_gets_no_more_than_it_asked_for(peer):
    sent = orders(peer, 5)
    peer.heard()
    peer.say("2", b"7=%d\x0116=%d\x01" % (sent[1], sent[2]))
    assert [number for _, number, _ in shape(peer.heard())] == sent[1:3]


def test_orders_that_are_too_old_become_gap_fill():
    peer = Scripted("initiator", resend_max_age_ns=10 * SECOND).logged_on()
    old = orders(peer, 2)
    peer.clock.move(11)
    (young,) = orders(peer, 1)
    peer.heard()
    peer.say("2", b"7=%d\x0116=0\x01" % old[0])
    assert shape(peer.heard()) == [("4", old[0], young), ("D", young, None)]
    assert [event.a for event in peer.told("GAP_FILLED")] == old


@pytest.mark.parametrize(
    "body", [b"7=1\x01", b"16=0\x01", b"7=0\x0116=0\x01", b"7=x\x0116=0\x01", b"7=1\x0116=-1\x01", b""]
)
def test_a_request_that_cannot_be_understood_is_rejected(peer, body):
    expected = peer.session.next_in
    peer.say("2", body)
    (answer,) = peer.heard()
    assert (answer[35], answer[45]) == ("3", str(expected))
    assert peer.session.next_in == expected + 1


@pytest.mark.parametrize("body", [b"7=50\x0116=0\x01", b"7=5\x0116=2\x01", b"7=50\x0116=60\x01"])
def test_a_request_for_nothing_that_was_sent_is_told_and_changes_nothing(peer, body):
    before = peer.session.next_out
    peer.say("2", body)
    assert all(message[35] != "D" for message in peer.heard())
    assert peer.told("RESEND_REQUESTED")
    assert peer.session.status == "READY"
    assert peer.session.next_out <= before + 1


def test_new_orders_wait_until_a_resend_is_queued_and_go_behind_it():
    line = Line()
    line.reconnect()
    for number in range(2_000):
        line.initiator.order(f"o{number}", b"58=%s\x01" % (b"x" * 200))
        if number % 100 == 0:
            line.initiator.session.output(None, *line.clock.now)
    line.cut()  # all are lost
    line.reconnect()
    assert line.statuses() == ("READY", "READY")
    line.initiator.order("new")
    line.pump()
    assert clordids(line.acceptor.events) == [f"o{number}" for number in range(2_000)] + ["new"]
    assert line.numbers_agree()


def test_a_resend_after_a_restart_comes_from_the_journal():
    line = Line()
    line.reconnect()
    line.initiator.order("lost", b"95=3\x0196=\x01\x01\x01\x01")
    line.cut()
    line.initiator.restart()
    line.reconnect()
    (event,) = [event for event in line.acceptor.events if event.kind == "MESSAGE"]
    assert event.b == 1
    assert fields_of(event.data)[96] == "\x01\x01\x01"


def test_a_resend_is_not_released_before_the_record_it_repeats():
    peer = Scripted("initiator").logged_on()
    released = peer.session.journal.last_lsn
    (first,) = orders(peer, 1)
    assert peer.session.output(released, *peer.clock.now) == b""
    peer.say("2", b"7=%d\x0116=0\x01" % first)
    assert peer.session.output(released, *peer.clock.now) == b""
    both = messages_in(peer.session.output(None, *peer.clock.now))
    assert [fields_of(message).get(43) for message in both] == [None, "Y"]


def test_what_a_resend_did_to_orders_is_in_the_log():
    peer = Scripted("initiator", resend_max_age_ns=10 * SECOND).logged_on()
    old = orders(peer, 2)
    peer.clock.move(11)
    young = orders(peer, 2)
    peer.say("2", b"7=%d\x0116=0\x01" % old[0])
    states = [record for record in peer.session.journal.records() if record.kind == names.STATE]
    spans = [struct.unpack("<3Q", record.payload) for record in states]
    assert spans == [(old[0], young[0], wire.FateKind.GAP_FILLED), (young[0], young[1] + 1, wire.FateKind.RESENT)]


def test_a_gap_fill_over_orders_is_not_released_before_the_record_of_it():
    peer = Scripted("initiator", resend_max_age_ns=10 * SECOND).logged_on()
    old = orders(peer, 2)
    peer.clock.move(11)
    peer.heard()
    released = peer.session.journal.last_lsn
    peer.say("2", b"7=%d\x0116=0\x01" % old[0])
    assert peer.session.output(released, *peer.clock.now) == b""
    assert shape(peer.heard()) == [("4", old[0], old[1] + 1)]


def test_asking_twice_gets_everything_twice_at_most(peer):
    sent = orders(peer, 3)
    peer.heard()
    request = peer.message("2", b"7=%d\x0116=0\x01" % sent[0]) + peer.message("2", b"7=%d\x0116=0\x01" % sent[1])
    peer.feed(request)
    numbers = [number for _, number, _ in shape(peer.heard())]
    assert set(numbers) == set(sent)
    assert len(numbers) <= 6
    assert peer.session.status == "READY"
