"""Numbers that start over: by the operator, at a disconnect, and what a log from before tells afterwards."""

from pathlib import Path

import pytest

from gateway.errors import ProtocolError
from gateway.native import record as names
from gateway.native.journal import Journal
from tests.support.sessions import Line, Scripted, clordids, make_session


def test_a_reset_starts_both_numbers_over_and_opens_a_new_generation():
    line = Line()
    line.reconnect()
    line.initiator.order("yesterday")
    line.pump()
    line.cut()
    for side in line.sides:
        side.session.reset(*line.clock.now)
        side.collect()
    line.clock.move(86_400)
    line.reconnect()
    line.initiator.order("today")
    line.pump()
    assert line.statuses() == ("READY", "READY")
    assert line.numbers_agree()
    assert clordids(line.acceptor.events) == ["yesterday", "today"]
    assert [event.a for event in line.initiator.events if event.kind == "RESET"] == [1]


def test_a_resend_after_a_reset_never_brings_what_was_sent_before_it():
    line = Line()
    line.reconnect()
    for number in range(5):
        line.initiator.order(f"old{number}")
    line.pump()
    line.cut()
    for side in line.sides:
        side.session.reset(*line.clock.now)
    line.acceptor.events.clear()
    line.reconnect()
    line.initiator.order("new")
    line.cut()
    line.reconnect()
    assert clordids(line.acceptor.events) == ["new"]
    peer = Scripted("initiator", journal=line.initiator.session.journal)
    peer.seq = peer.session.next_in
    peer.logged_on()
    peer.say("2", b"7=1\x0116=0\x01")
    assert [message[11] for message in peer.heard() if message[35] == "D"] == ["new"]


def test_a_restart_knows_the_generation():
    line = Line(reset_on_disconnect=True)
    for _ in range(3):
        line.reconnect()
    line.cut()
    assert line.initiator.session.generation == 3
    line.initiator.restart()
    assert (line.initiator.session.generation, line.initiator.session.next_out) == (3, 1)


SEGMENT_BYTES = 1 << 20


def full_journal(path: Path) -> Journal:
    """Its next segment is not ready: that of a file journal is made in the background, or by `prepare`."""
    journal = Journal.open(path, segment_bytes=SEGMENT_BYTES, max_records=1 << 13, max_seq=1 << 12)
    journal.append(names.CHECKPOINT, 0, bytes(SEGMENT_BYTES - 4096 - 48))
    return journal


@pytest.mark.parametrize(
    ("role", "options"),
    [
        ("initiator", {"reset_on_logon": True}),
        ("initiator", {}),
        ("acceptor", {"reset_on_logon": True}),
        ("acceptor", {}),
    ],
)
def test_a_connection_whose_reset_found_no_space_is_closed_and_the_next_starts_over(tmp_path, role, options):
    with full_journal(tmp_path) as journal:
        peer = Scripted(role, journal=journal, **options, **({} if options else {"reset_on_disconnect": True}))
        peer.session.disconnected(*peer.clock.now)
        for _ in range(2):
            peer.session.connected(*peer.clock.now)
            peer.say("A", b"98=0\x01108=30\x01", seq=1)
            assert (peer.session.closing, peer.session.generation, peer.heard()) == (True, 0, [])
            peer.session.disconnected(*peer.clock.now)
        journal.prepare()
        peer.logged_on()
        assert (peer.session.status, peer.session.generation) == ("READY", 1)


def test_the_log_says_since_when_the_numbers_are_in_use():
    line = Line()
    session = line.initiator.session
    assert session.used_since_ns == 0
    began = line.clock.now[1]
    line.reconnect()
    line.clock.move(60)
    line.initiator.order("later")
    line.pump()
    assert session.used_since_ns == began
    line.cut()
    session.reset(*line.clock.now)
    assert session.used_since_ns == 0
    line.initiator.restart()
    assert line.initiator.session.used_since_ns == 0
    line.clock.move(3600)
    line.acceptor.session.reset(*line.clock.now)
    line.reconnect()
    line.initiator.restart()
    assert line.initiator.session.used_since_ns == line.clock.now[1]


def test_numbers_are_of_the_window_they_were_reset_in_though_the_next_clock_is_behind():
    session = make_session("initiator")
    session.set_seq(7, 9, 1, 1_000)
    assert session.used_since_ns == 1_000
    session.reset(2, 5_000)
    session.set_seq(2, 2, 3, 4_000)
    assert session.used_since_ns == 5_000
    assert make_session("initiator", session.journal).used_since_ns == 5_000


def test_numbers_are_not_touched_while_connected():
    peer = Scripted("initiator").logged_on()
    with pytest.raises(ProtocolError, match="log out first"):
        peer.session.reset(*peer.clock.now)
    with pytest.raises(ProtocolError, match="disconnected"):
        peer.session.set_seq(5, 5, *peer.clock.now)


def test_numbers_set_by_hand_survive_a_restart_and_are_at_least_one():
    session = make_session("initiator")
    session.set_seq(7, 9, 1, 1)
    again = make_session("initiator", session.journal)
    assert (again.next_out, again.next_in) == (7, 9)
    for numbers in ((0, 1), (1, 0)):
        with pytest.raises(ProtocolError):
            again.set_seq(*numbers, 1, 1)


def test_a_lower_number_set_by_hand_does_not_resend_what_had_that_number_before():
    peer = Scripted("initiator").logged_on()
    for name in (b"a", b"b", b"c"):
        last = peer.session.send("D", b"11=%s\x01" % name, *peer.clock.now)
    peer.heard()
    peer.session.disconnected(*peer.clock.now)
    peer.session.set_seq(last - 1, peer.session.next_in, *peer.clock.now)
    peer.session.connected(*peer.clock.now)
    peer.say("A", b"98=0\x01108=30\x01")
    peer.heard()
    assert peer.session.next_out == last + 1
    peer.say("2", b"7=%d\x0116=0\x01" % (last - 1))
    assert [(message[35], message.get(36)) for message in peer.heard()] == [("4", str(last + 1))]
