"""MsgSeqNum (34) higher or lower than expected: what was missed is asked for, what was kept is used once, in order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.native.encoder import utc_timestamp
from tests.support.sessions import Scripted, clordids


def report(peer: Scripted, seq: int, *, dup: bool = False) -> bytes:
    return peer.message("8", b"11=o%d\x01" % seq, seq, dup=dup)


@pytest.fixture(params=["initiator", "acceptor"])
def peer(request) -> Scripted:
    return Scripted(request.param).logged_on()


def test_a_gap_is_asked_for_once_and_closed_in_order(peer):
    first = peer.session.next_in
    for seq in (first + 3, first + 4):
        peer.feed(report(peer, seq))
    requests = peer.heard()
    assert [(message[35], message[7], message[16]) for message in requests] == [("2", str(first), "0")]
    assert peer.session.status == "RECOVERING"
    assert clordids(peer.events) == []
    for seq in range(first, first + 5):
        peer.feed(report(peer, seq, dup=True))
    assert clordids(peer.events) == [f"o{seq}" for seq in range(first, first + 5)]
    assert peer.session.status == "READY"
    assert peer.heard() == []
    assert [(event.a, event.b) for event in peer.told("GAP")] == [(first, first + 3)]


def test_messages_kept_during_a_gap_are_used_without_being_sent_again(peer):
    first = peer.session.next_in
    peer.feed(report(peer, first + 1))
    peer.feed(report(peer, first, dup=True))
    assert clordids(peer.events) == [f"o{first}", f"o{first + 1}"]
    assert peer.session.next_in == first + 2


def test_a_gap_fill_closes_a_gap(peer):
    first = peer.session.next_in
    peer.feed(report(peer, first + 10))
    peer.say("4", b"123=Y\x0136=%d\x01" % (first + 10), first, dup=True)
    assert peer.session.next_in == first + 11
    assert peer.session.status == "READY"
    assert clordids(peer.events) == [f"o{first + 10}"]


def test_a_gap_fill_may_come_without_possdup_or_original_time(peer):
    first = peer.session.next_in
    peer.say("4", b"123=Y\x0136=%d\x01" % (first + 3), first)
    assert peer.session.next_in == first + 3
    peer.say("4", b"43=Y\x01123=Y\x0136=%d\x01" % (first + 5), first + 3)
    assert peer.session.next_in == first + 5


def test_a_gap_fill_ahead_of_a_gap_waits_for_its_turn(peer):
    first = peer.session.next_in
    peer.say("4", b"123=Y\x0136=%d\x01" % (first + 9), first + 2)
    assert peer.session.next_in == first
    peer.feed(report(peer, first, dup=True))
    peer.feed(report(peer, first + 1, dup=True))
    assert peer.session.next_in == first + 9


@pytest.mark.parametrize("number", [b"0", b"1", b"x", b"", b"-5", b"99999999999"])
def test_a_gap_fill_that_leads_nowhere_is_rejected_and_counted(peer, number):
    first = peer.session.next_in
    peer.say("4", b"123=Y\x0136=%s\x01" % number, first)
    (answer,) = peer.heard()
    assert (answer[35], answer[45], answer[371]) == ("3", str(first), "36")
    assert peer.session.next_in == first + 1


def test_a_sequence_reset_moves_the_expected_number_whatever_its_own(peer):
    first = peer.session.next_in
    peer.say("4", b"36=%d\x01" % (first + 100), 1)
    assert peer.session.next_in == first + 100
    assert peer.session.status == "READY"
    peer.feed(report(peer, first + 100))
    assert clordids(peer.events) == [f"o{first + 100}"]


@pytest.mark.parametrize("number", [b"1", b"99999999999", b"999999999999999999"])
def test_a_sequence_reset_backwards_or_beyond_reason_is_rejected(peer, number):
    first = peer.session.next_in
    peer.say("4", b"36=%s\x01" % number, first)
    assert peer.heard_types() == ["3"]
    assert peer.session.next_in == first


def test_a_sequence_reset_ends_the_wait_for_a_gap(peer):
    first = peer.session.next_in
    peer.feed(report(peer, first + 5))
    peer.heard()
    peer.say("4", b"36=%d\x01" % (first + 2), first)
    assert peer.session.status == "READY"
    peer.feed(report(peer, first + 2))
    peer.feed(report(peer, first + 5))
    (request,) = peer.heard()
    assert (request[35], request[7]) == ("2", str(first + 3))


def test_a_number_too_low_ends_the_session_and_says_what_was_expected(peer):
    expected = peer.session.next_in
    peer.feed(report(peer, 1))
    (answer,) = peer.heard()
    assert answer[35] == "5"
    assert f"expecting {expected}" in answer[58]
    assert peer.session.closing
    assert peer.told("STOPPED")
    assert clordids(peer.events) == []


def test_a_number_too_low_with_possdup_is_dropped(peer):
    expected = peer.session.next_in
    peer.feed(report(peer, 1, dup=True))
    assert peer.heard() == []
    assert (peer.session.next_in, peer.session.status) == (expected, "READY")


@pytest.mark.parametrize("seq", [b"", b"0", b"x", b"99999999999", b"18446744073709551617"])
def test_a_message_without_a_usable_number_ends_the_session(peer, seq):
    good = peer.message("8", b"11=a\x01", 5)
    ids = b"49=BROKER\x0156=GW\x01" if peer.role == "initiator" else b"49=GW\x0156=BROKER\x01"
    body = b"35=8\x01%s34=%s\x0152=%s\x0111=a\x01" % (ids, seq, utc_timestamp(peer.clock.now[1]))
    head = b"8=FIX.4.4\x019=%d\x01" % len(body)
    peer.feed(head + body + b"10=%03d\x01" % (sum(head + body) % 256) + good)
    assert peer.heard_types() == ["5"]
    assert peer.session.closing
    assert clordids(peer.events) == []


def test_a_long_gap_is_asked_for_in_chunks_if_configured():
    peer = Scripted("initiator", resend_chunk=10).logged_on()
    first = peer.session.next_in
    peer.feed(report(peer, first + 25))
    asked = []
    for seq in range(first, first + 26):
        asked += [(int(message[7]) - first, int(message[16])) for message in peer.heard() if message[35] == "2"]
        peer.feed(report(peer, seq, dup=True))
    assert asked == [(0, first + 9), (10, first + 19), (20, 0)]
    assert peer.session.next_in == first + 26
    assert peer.session.status == "READY"


def test_a_logon_above_the_expected_number_is_answered_before_its_gap_is_asked_for():
    peer = Scripted("acceptor")
    peer.seq = 4
    peer.session.connected(*peer.clock.now)
    peer.say("A", b"98=0\x01108=30\x01")
    logon, request = peer.heard()
    assert (logon[35], request[35], request[7], request[16]) == ("A", "2", "1", "0")
    for seq in (1, 2, 3):
        peer.feed(report(peer, seq, dup=True))
    peer.say("4", b"123=Y\x0136=5\x01", 4, dup=True)
    assert (peer.session.next_in, peer.session.status) == (5, "READY")


def test_a_logon_may_itself_be_resent(peer):
    first = peer.session.next_in
    peer.feed(report(peer, first + 1))
    peer.say("A", b"98=0\x01108=30\x01", first, dup=True)
    assert (peer.session.next_in, peer.session.status) == (first + 2, "READY")


def test_both_sides_may_miss_something_at_the_same_time(peer):
    """The ResendRequest itself comes ahead of a gap, and is answered at once."""
    first = peer.session.next_in
    ours = peer.session.send("D", b"11=ours\x01", *peer.clock.now)
    peer.heard()
    peer.say("2", b"7=%d\x0116=0\x01" % ours, first + 2)
    sent = peer.heard()
    assert [(message[35], message[34]) for message in sent if 43 in message] == [("D", str(ours))]
    assert [message[7] for message in sent if message[35] == "2"] == [str(first)]
    for seq in (first, first + 1):
        peer.feed(report(peer, seq, dup=True))
    assert peer.heard() == []
    assert (peer.session.next_in, peer.session.status) == (first + 3, "READY")


def test_a_message_rejected_in_a_gap_lets_what_is_behind_it_through(peer):
    first = peer.session.next_in
    peer.feed(report(peer, first + 1))
    peer.say("8", b"43=Y\x0111=o%d\x01" % first, first)  # no OrigSendingTime
    assert clordids(peer.events) == [f"o{first + 1}"]
    peer.feed(report(peer, first + 3))
    ids = b"49=BROKER\x0156=GW\x01" if peer.role == "initiator" else b"49=GW\x0156=BROKER\x01"
    body = b"35=8\x01%s34=%d\x0143=Y\x0111=x\x01" % (ids, first + 2)  # no SendingTime
    head = b"8=FIX.4.4\x019=%d\x01" % len(body)
    peer.feed(head + body + b"10=%03d\x01" % (sum(head + body) % 256))
    assert (peer.session.next_in, peer.session.status) == (first + 4, "READY")


def test_more_than_is_kept_ahead_of_a_gap_is_asked_for_again(peer):
    """1 MiB is kept; a large message that does not fit, with a small one behind it that does, is not forgotten."""
    first = peer.session.next_in
    large = [
        peer.message("8", b"11=o%d\x0158=%s\x01" % (seq, b"x" * 60_000), seq) for seq in range(first + 1, first + 19)
    ]
    for message in [*large, report(peer, first + 19)]:
        peer.feed(message)
    assert [(message[7], message[16]) for message in peer.heard()] == [(str(first), "0")]
    peer.feed(report(peer, first, dup=True))
    lost = peer.session.next_in
    assert lost < first + 19
    (request,) = peer.heard()
    assert (request[7], request[16]) == (str(lost), "0")
    for seq in range(lost, first + 20):
        peer.feed(report(peer, seq, dup=True))
    assert clordids(peer.events) == [f"o{seq}" for seq in range(first, first + 20)]
    assert peer.session.status == "READY"


@settings(deadline=None)
@given(st.data())
def test_any_order_of_arrival_is_delivered_once_and_in_order(data):
    peer = Scripted("initiator").logged_on()
    first = peer.session.next_in
    last = first + data.draw(st.integers(1, 12))
    live = data.draw(st.lists(st.integers(first, last), unique=True, max_size=8).map(sorted))
    for seq in live:
        peer.feed(report(peer, seq))
    requests = [message for message in peer.heard() if message[35] == "2"]
    answers = {seq for message in requests for seq in range(int(message[7]), max(live) + 1)}
    for seq in sorted(answers) + data.draw(st.lists(st.integers(first, last), max_size=5)):
        if seq in answers or seq < peer.session.next_in:
            peer.feed(report(peer, seq, dup=True))
    end = peer.session.next_in
    assert clordids(peer.events) == [f"o{seq}" for seq in range(first, end)]
    assert end == (max(live) + 1 if live else first)
    assert peer.session.status == "READY"


def logged_on_with_789(role: str, theirs: int) -> Scripted:
    """The counterparty's Logon carries MsgSeqNum `theirs` and NextExpectedMsgSeqNum (789)."""
    peer = Scripted(role, send_next_expected=True, logon_barrier=False)
    peer.seq = theirs
    peer.session.connected(*peer.clock.now)
    peer.say("A", b"98=0\x01108=30\x01789=%d\x01" % (2 if role == "initiator" else 1))
    return peer


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_with_789_on_both_sides_a_gap_at_logon_is_not_asked_for_again(role):
    peer = logged_on_with_789(role, 4)
    assert peer.heard_types() == ["A"]
    assert peer.session.status == "RECOVERING"
    peer.say("4", b"123=Y\x0136=4\x01", 1, dup=True)
    assert (peer.session.next_in, peer.session.status) == (5, "READY")


def test_a_789_that_an_idle_counterparty_does_not_answer_becomes_a_resend_request():
    peer = logged_on_with_789("initiator", 4)
    peer.heard()
    peer.say("0")
    (request,) = peer.heard()
    assert (request[35], request[7], request[16]) == ("2", "1", "0")
    peer.say("4", b"123=Y\x0136=6\x01", 1, dup=True)
    assert (peer.session.next_in, peer.session.status) == (6, "READY")


@pytest.mark.parametrize(("version", "infinity"), [("FIX.4.0", "999999"), ("FIX.4.1", "999999"), ("FIX.4.2", "0")])
def test_all_that_follows_is_asked_for_in_the_form_of_the_version(version, infinity):
    peer = Scripted("acceptor", version).logged_on()
    peer.feed(report(peer, peer.session.next_in + 2))
    assert peer.heard()[0][16] == infinity


@pytest.mark.parametrize("body", [b"36=1\x01", b"36=1\x01123=N\x01"])
def test_a_sequence_reset_may_have_any_number_of_its_own(peer, body):
    """Test case 11.c, with MsgSeqNum 0."""
    expected = peer.session.next_in
    peer.say("4", body, 0)
    (answer,) = peer.heard()
    assert (answer[35], answer[45], answer[372], answer[373]) == ("3", "0", "4", "5")
    peer.say("4", b"36=%d\x01" % (expected + 7), 0)
    assert (peer.session.next_in, peer.session.status) == (expected + 7, "READY")


def test_the_greatest_number_is_not_passed_by_a_message_that_is_rejected(peer):
    greatest = 2**32 - 1
    peer.say("4", b"36=%d\x01" % greatest, 0)
    ids = b"49=BROKER\x0156=GW\x01" if peer.role == "initiator" else b"49=GW\x0156=BROKER\x01"
    body = b"35=0\x01%s34=%d\x0152=now\x01" % (ids, greatest)
    head = b"8=FIX.4.4\x019=%d\x01" % len(body)
    peer.feed(head + body + b"10=%03d\x01" % (sum(head + body) % 256))
    assert peer.heard_types() == ["3"]
    assert peer.session.next_in == greatest
