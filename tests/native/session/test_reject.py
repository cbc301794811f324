"""What the session layer refuses (35=3), and what it does when it is refused."""

import pytest

from gateway.native.encoder import Template
from tests.support.sessions import SECOND, Scripted, clordids


@pytest.fixture(params=["initiator", "acceptor"])
def peer(request) -> Scripted:
    return Scripted(request.param, sending_time_tolerance_ns=120 * SECOND).logged_on()


def assert_ends(peer: Scripted) -> None:
    """Logout is out: the connection is given up after two seconds, or as soon as it is answered."""
    assert peer.session.status == "LOGOUT_SENT"
    assert not peer.session.closing
    peer.timer_after(2.1)
    assert peer.session.closing
    assert peer.heard() == []


def raw(peer: Scripted, body: bytes, seq: int) -> bytes:
    """A message without SendingTime unless `body` has one."""
    ids = b"49=BROKER\x0156=GW\x01" if peer.role == "initiator" else b"49=GW\x0156=BROKER\x01"
    content = b"35=8\x01%s34=%d\x01" % (ids, seq) + body
    head = b"8=FIX.4.4\x019=%d\x01" % len(content)
    return head + content + b"10=%03d\x01" % (sum(head + content) % 256)


@pytest.mark.parametrize(
    ("body", "tag", "reason"),
    [
        (b"11=a\x01", "52", "1"),
        (b"52=yesterday\x0111=a\x01", "52", "6"),
        (b"52=\x0111=a\x01", "52", "4"),
        (b"52=NOW\x0143=Y\x0111=a\x01", "122", "1"),
        (b"52=NOW\x0143=Y\x01122=soon\x0111=a\x01", "122", "6"),
    ],
)
def test_a_header_that_is_wrong_is_rejected_and_uses_its_number_up(peer, body, tag, reason):
    expected = peer.session.next_in
    stamp = peer.template.encode(b"0", 1, peer.clock.now[1]).split(b"52=")[1][:21]
    peer.feed(raw(peer, body.replace(b"NOW", stamp), expected))
    (answer,) = peer.heard()
    assert (answer[35], answer[45], answer[371], answer[372], answer[373]) == ("3", str(expected), tag, "8", reason)
    assert peer.session.next_in == expected + 1
    assert clordids(peer.events) == []
    assert peer.session.status == "READY"
    assert [event.b for event in peer.told("REJECT_SENT")] == [expected]


def test_a_sending_time_too_far_away_is_rejected_and_ends_the_session(peer):
    old = peer.message("8", b"11=a\x01")
    peer.clock.move(121)
    peer.feed(old)
    reject, logout = peer.heard()
    assert (reject[35], reject[373], logout[35]) == ("3", "10", "5")
    assert_ends(peer)
    assert clordids(peer.events) == []


def test_an_original_time_after_the_sending_time_is_rejected_and_ends_the_session(peer):
    body = peer.template.encode(
        b"8",
        peer.session.next_in,
        peer.clock.now[1],
        b"11=a\x01",
        poss_dup=True,
        orig_sending_time=b"20991231-00:00:00",
    )
    peer.feed(body)
    assert peer.heard_types() == ["3", "5"]
    assert clordids(peer.events) == []


@pytest.mark.parametrize("ids", [b"49=OTHER\x0156=GW\x01", b"49=BROKER\x0156=OTHER\x01"])
def test_another_compid_is_rejected_and_ends_the_session(ids):
    peer = Scripted("initiator").logged_on()
    expected = peer.session.next_in
    peer.template = Template(b"FIX.4.4", ids)
    peer.say("8", b"11=a\x01")
    reject, logout = peer.heard()
    assert (reject[35], reject[45], reject[373], logout[35]) == ("3", str(expected), "9", "5")
    assert_ends(peer)
    assert peer.session.next_in == expected + 1


@pytest.mark.parametrize(("ids", "tag"), [(b"49=\x0156=GW\x01", "49"), (b"49=BROKER\x0156=\x01", "56")])
def test_a_compid_without_a_value_is_rejected_and_the_session_goes_on(ids, tag):
    peer = Scripted("initiator").logged_on()
    right = peer.template
    peer.template = Template(b"FIX.4.4", ids)
    peer.say("8", b"11=a\x01")
    (reject,) = peer.heard()
    assert (reject[35], reject[371], reject[373]) == ("3", tag, "4")
    peer.template = right
    peer.say("8", b"11=b\x01")
    assert clordids(peer.events) == ["b"]


def test_a_resend_request_under_a_number_that_was_used_is_answered_and_counts_for_nothing():
    peer = Scripted("initiator").logged_on()
    expected = peer.session.next_in
    peer.say("2", b"7=1\x0116=0\x01", seq=expected - 1)
    (answer,) = peer.heard()
    assert (answer[35], answer[43], answer[34], answer[123]) == ("4", "Y", "1", "Y")
    assert peer.session.next_in == expected
    assert peer.session.status == "READY"


def test_another_version_ends_the_session():
    peer = Scripted("initiator").logged_on()
    peer.template = Template(b"FIX.4.2", b"49=BROKER\x0156=GW\x01")
    peer.say("8", b"11=a\x01")
    (logout,) = peer.heard()
    assert logout[58] == "Incorrect BeginString"
    assert_ends(peer)


def test_a_reject_is_told_with_its_text_and_answered_with_nothing(peer):
    sent = peer.session.send("D", b"11=a\x01", *peer.clock.now)
    peer.heard()
    peer.say("3", b"45=%d\x0158=unknown symbol\x01" % sent)
    (told,) = peer.told("REJECT_RECEIVED")
    assert (told.a, told.data) == (sent, b"unknown symbol")
    assert peer.heard() == []
    assert peer.session.status == "READY"


def test_a_reject_without_a_reference_is_told_all_the_same(peer):
    peer.say("3", b"45=x\x01")
    peer.say("3")
    assert [event.a for event in peer.told("REJECT_RECEIVED")] == [0, 0]


def test_garbled_bytes_cost_no_number_and_no_answer(peer):
    expected = peer.session.next_in
    wrong = peer.message("8", b"11=a\x01", expected)
    right = peer.message("8", b"11=b\x01", expected)
    peer.feed(wrong[:-4] + b"%03d\x01" % ((int(wrong[-4:-1]) + 1) % 256) + right)
    assert clordids(peer.events) == ["b"]
    assert peer.heard() == []
    assert len(peer.told("GARBLED")) == 1


def test_a_message_that_was_lost_to_garbling_is_asked_for(peer):
    expected = peer.session.next_in
    wrong = peer.message("8", b"11=a\x01")
    peer.feed(wrong.replace(b"11=a", b"11=x") + peer.message("8", b"11=b\x01"))
    (request,) = peer.heard()
    assert (request[35], request[7]) == ("2", str(expected))


@pytest.mark.parametrize("chunk", [1, 7, 50])
def test_bytes_may_come_in_pieces(peer, chunk):
    stream = b"".join(peer.message("8", b"11=o%d\x0195=4\x0196=\x0110=\x01" % number) for number in range(5))
    pending = b""
    for start in range(0, len(stream), chunk):
        pending += stream[start : start + chunk]
        used = peer.session.receive(pending, *peer.clock.now)
        pending = pending[used:]
    assert pending == b""
    assert clordids(peer.session.take_events()) == [f"o{number}" for number in range(5)]


def test_a_message_beyond_the_limit_is_refused_by_the_sender():
    peer = Scripted("initiator", max_message_bytes=1000).logged_on()
    with pytest.raises(ValueError, match="at most 1000"):
        peer.session.send("D", b"58=" + b"x" * 1000 + b"\x01", *peer.clock.now)


def test_a_header_without_a_compid_is_rejected_and_the_session_goes_on(peer):
    expected = peer.session.next_in
    stamp = peer.template.encode(b"0", 1, peer.clock.now[1]).split(b"52=")[1][:21]
    content = b"35=0\x0134=%d\x0149=%s\x0152=%s\x01" % (
        expected,
        b"BROKER" if peer.role == "initiator" else b"GW",
        stamp,
    )
    head = b"8=FIX.4.4\x019=%d\x01" % len(content)
    peer.feed(head + content + b"10=%03d\x01" % (sum(head + content) % 256))
    (answer,) = peer.heard()
    assert (answer[35], answer[371], answer[373], answer[58]) == ("3", "56", "1", "Required tag missing")
    assert (peer.session.next_in, peer.session.status) == (expected + 1, "READY")


@pytest.mark.parametrize("tag", [b"0", b"-1", b"x", b"99999999"])
def test_a_tag_that_is_none_is_rejected_as_it_came(peer, tag):
    """Test case 14.a: the frame is right, so it is not garbled."""
    expected = peer.session.next_in
    peer.say("0", tag + b"=HI\x01", expected)
    (answer,) = peer.heard()
    assert (answer[35], answer[45], answer[371], answer[372]) == ("3", str(expected), tag.decode(), "0")
    assert (answer[373], answer[58]) == ("0", "Invalid tag number")
    assert (peer.session.next_in, peer.session.status) == (expected + 1, "READY")


def test_a_field_without_an_equals_sign_does_not_stop_what_is_behind_it(peer):
    expected = peer.session.next_in
    peer.say("8", b"11=a\x01nothing\x01", expected + 1)
    assert [message[7] for message in peer.heard()] == [str(expected)]
    peer.say("8", b"11=o\x01", expected, dup=True)
    peer.say("8", b"11=a\x01nothing\x01", expected + 1)
    (answer,) = peer.heard()
    assert (answer[35], answer[45]) == ("3", str(expected + 1))
    assert (peer.session.next_in, peer.session.status) == (expected + 2, "READY")


def test_a_reject_goes_back_to_the_third_party_that_asked():
    peer = Scripted("acceptor").logged_on()
    peer.say("1", b"115=JCD\x01116=CS\x01144=CHI\x01")
    peer.say("1", b"128=JCD\x01129=\x01145=CHI\x01")
    first, second = peer.heard()
    assert {128: "JCD", 129: "CS", 145: "CHI"}.items() <= first.items()
    assert {115: "JCD", 144: "CHI"}.items() <= second.items()
    assert not {115, 116, 144} & set(first)
    assert not {116, 128, 129, 145} & set(second)
    assert list(first).index(128) < list(first).index(45)  # the header's place


@pytest.mark.parametrize("version", ["FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"])
def test_a_reject_has_the_fields_of_its_version(version):
    peer = Scripted("acceptor", version).logged_on()
    peer.say("1")
    (answer,) = peer.heard()
    if version in ("FIX.4.0", "FIX.4.1"):
        assert not {371, 372, 373} & set(answer)
        assert answer[58] == "Required tag missing (112)"
    else:
        assert (answer[371], answer[372], answer[373]) == ("112", "1", "1")
        assert answer[58] == "Required tag missing"


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_duplicate_is_checked_for_its_original_time_also_when_its_number_was_seen(peer, earlier):
    """Test cases 2.f and 2.g."""
    seq = peer.session.next_in - earlier
    peer.say("8", b"43=Y\x0111=a\x01", seq)
    (answer,) = peer.heard()
    assert (answer[35], answer[371], answer[373]) == ("3", "122", "1")
    assert peer.session.status == "READY"
    peer.seq = peer.session.next_in
    peer.say("8", b"43=Y\x01122=20991231-00:00:00\x0111=a\x01", peer.session.next_in - earlier)
    reject, logout = peer.heard()
    assert (reject[373], logout[35]) == ("10", "5")
    assert_ends(peer)


def test_the_original_time_may_be_left_out_if_configured_so():
    peer = Scripted("initiator", orig_sending_time_optional=True).logged_on()
    peer.say("8", b"43=Y\x0111=a\x01")
    assert clordids(peer.events) == ["a"]
    assert peer.heard() == []


def test_a_counterparty_with_a_wrong_clock_may_still_answer_the_logout(peer):
    old = [peer.message("8", b"11=a\x01"), peer.message("8", b"11=b\x01"), peer.message("5")]
    peer.clock.move(121)
    for message in old:
        peer.feed(message)
    assert peer.heard_types() == ["3", "5"]
    assert peer.session.closing
