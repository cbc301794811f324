"""Logging on: both roles, both versions, what is refused, and a Logon that had no answer."""

import base64
import contextlib
import hmac

import pytest

from gateway.errors import JournalError, ProtocolError
from gateway.native.journal import Journal
from tests.support.sessions import Line, Scripted, clordids, make_session

VERSIONS = pytest.mark.parametrize("version", ["FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"])
CHECKPOINT = 6  # a kind of record
LOGON = b"98=0\x01108=30\x01"


@VERSIONS
def test_two_sessions_log_on(version):
    line = Line(begin_string=version)
    line.connect()
    line.pump()
    assert line.statuses() == ("READY", "READY")
    assert line.numbers_agree()
    assert line.initiator.kinds() == ["LOGGED_ON", "READY"]


def test_the_logon_says_what_the_specification_wants():
    peer = Scripted("initiator", logon_fields=b"553=user\x01", extra_ids=b"50=desk\x01", send_next_expected=True)
    peer.session.connected(*peer.clock.now)
    (logon,) = peer.heard()
    assert {
        35: "A",
        34: "1",
        49: "GW",
        56: "BROKER",
        50: "desk",
        98: "0",
        108: "30",
        553: "user",
        789: "1",
    }.items() <= (logon.items())


def test_orders_wait_for_the_answer_to_the_test_request_behind_the_logon():
    peer = Scripted("initiator")
    peer.session.connected(*peer.clock.now)
    peer.say("A", LOGON)
    assert peer.session.status == "RECOVERING"
    (_, request) = peer.heard()
    peer.say("0", b"112=other\x01")
    assert peer.session.status == "RECOVERING"
    peer.say("0", b"112=%s\x01" % request[112].encode())
    assert peer.session.status == "READY"


def test_a_logon_that_cannot_be_logged_ends_the_connection_so_that_it_is_tried_again():
    journal = Journal.memory(max_records=1, max_sessions=2, max_seq=100)
    with contextlib.suppress(JournalError):
        while True:
            journal.append(CHECKPOINT, 0, b"")
    peer = Scripted("initiator", journal=journal)
    peer.session.connected(*peer.clock.now)
    assert peer.session.closing
    assert peer.heard() == []


def test_an_acceptor_takes_the_heartbeat_interval_of_the_initiator():
    peer = Scripted("acceptor")
    peer.session.connected(*peer.clock.now)
    peer.say("A", b"98=0\x01108=7\x01")
    assert peer.heard()[0][108] == "7"
    peer.timer_after(7)
    assert peer.heard_types() == ["0"]


@pytest.mark.parametrize("first", ["0", "1", "2", "4", "5", "D"])
def test_an_acceptor_hangs_up_when_the_first_message_is_no_logon(first):
    peer = Scripted("acceptor")
    peer.session.connected(*peer.clock.now)
    peer.say(first, b"123=Y\x0136=5\x01")
    assert peer.session.closing
    assert peer.heard() == []
    assert (peer.session.next_in, peer.session.next_out) == (1, 1)


@pytest.mark.parametrize(
    ("ids", "version"),
    [
        (b"49=OTHER\x0156=BROKER\x01", b"FIX.4.4"),
        (b"49=GW\x0156=OTHER\x01", b"FIX.4.4"),
        (b"49=GWX\x0156=BROKER\x01", b"FIX.4.4"),
        (b"49=GW\x01", b"FIX.4.4"),
        (b"49=GW\x0156=BROKER\x01", b"FIX.4.2"),
    ],
)
def test_a_logon_of_somebody_else_gets_no_answer(ids, version):
    peer = Scripted("acceptor")
    peer.session.connected(*peer.clock.now)
    peer.template = type(peer.template)(version, ids)
    peer.say("A", LOGON)
    assert peer.session.closing
    assert peer.heard() == []
    assert peer.session.next_in == 1


@pytest.mark.parametrize("body", [b"98=0\x01", b"98=0\x01108=x\x01", b"98=0\x01108=-1\x01", b"98=1\x01108=30\x01"])
def test_a_logon_that_cannot_be_taken_is_refused_with_the_reason(body):
    peer = Scripted("acceptor")
    peer.session.connected(*peer.clock.now)
    peer.say("A", body)
    (answer,) = peer.heard()
    assert answer[35] == "5"
    assert "108" in answer[58] or "98" in answer[58]
    assert peer.session.closing


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_without_a_logon_in_time_the_connection_is_given_up(role):
    peer = Scripted(role)
    peer.session.connected(*peer.clock.now)
    peer.timer_after(9.9)
    assert not peer.session.closing
    peer.timer_after(0.2)
    assert peer.session.closing
    assert [event.a for event in peer.told("DISCONNECTED")] == [2]


def test_a_logon_without_an_answer_goes_again_under_its_own_number():
    peer = Scripted("initiator")
    for _ in range(5):
        peer.session.connected(*peer.clock.now)
        (logon,) = peer.heard()
        assert logon[34] == "1"
        assert 43 not in logon
        peer.clock.move(3)
        peer.session.disconnected(*peer.clock.now)
    assert peer.session.next_out == 2


def test_a_logon_without_an_answer_keeps_its_number_over_a_restart():
    peer = Scripted("initiator")
    peer.session.connected(*peer.clock.now)
    again = Scripted("initiator", journal=peer.session.journal)
    again.session.connected(*again.clock.now)
    assert again.heard()[0][34] == "1"


def test_a_logon_whose_answer_was_lost_is_followed_by_one_with_the_next_number():
    line = Line()
    line.connect()
    line.write()
    line.read(line.acceptor)
    line.cut()  # with the acceptor's Logon on the wire
    for _ in range(3):
        line.reconnect()
    assert line.statuses() == ("READY", "READY")
    assert line.numbers_agree()


@VERSIONS
def test_numbers_go_on_after_a_reconnect_and_after_a_restart_of_either_side(version):
    line = Line(begin_string=version)
    line.reconnect()
    for number, restarted in enumerate([None, line.initiator, line.acceptor]):
        line.initiator.order(f"o{number}")
        line.pump()
        line.cut()
        if restarted:
            restarted.restart()
        line.reconnect()
        assert line.statuses() == ("READY", "READY")
        assert line.numbers_agree()
    assert line.initiator.session.next_out > 6
    assert "GAP" not in line.acceptor.kinds()


def test_a_number_below_the_expected_one_stops_the_initiator_and_names_it():
    line = Line()
    line.reconnect()
    for number in range(3):
        line.initiator.order(f"o{number}")
    line.pump()
    line.cut()
    expected = line.acceptor.session.next_in
    line.initiator.session = make_session("initiator")  # its journal is lost
    line.reconnect()
    assert line.initiator.session.status == "STOPPED"
    stopped = [event for event in line.initiator.events if event.kind == "STOPPED"]
    assert [(event.a, event.b) for event in stopped] == [(1, expected)]
    line.connect()
    assert line.initiator.session.output() == b""
    line.cut()
    # The operator sets the number and lets it go on.
    line.initiator.session.set_seq(expected + 2, 1, *line.clock.now)
    line.initiator.session.resume()
    line.reconnect()
    assert line.statuses() == ("READY", "READY")


def test_a_counterparty_that_lost_its_numbers_stops_the_initiator():
    line = Line()
    line.reconnect()
    line.cut()
    line.acceptor.session.set_seq(1, line.acceptor.session.next_in, *line.clock.now)
    line.reconnect()
    assert line.initiator.session.status == "STOPPED"
    assert [event.a for event in line.initiator.events if event.kind == "STOPPED"] == [2]


def test_a_refused_logon_for_another_reason_does_not_stop_the_session():
    peer = Scripted("initiator")
    peer.session.connected(*peer.clock.now)
    peer.say("5", b"58=market is closed\x01")
    assert peer.session.closing
    assert peer.session.status != "STOPPED"
    assert [event.a for event in peer.told("DISCONNECTED")] == [6]


def test_a_second_logon_ends_the_session():
    peer = Scripted("acceptor").logged_on()
    peer.say("A", LOGON)
    assert peer.heard_types() == ["5"]
    assert peer.session.closing


def test_both_start_over_when_the_initiator_resets_at_logon():
    line = Line(initiator={"reset_on_logon": True})
    for _ in range(3):
        line.reconnect()
        assert line.statuses() == ("READY", "READY")
        assert line.numbers_agree()
        assert line.initiator.session.next_out <= 3
        line.initiator.order("a")
        line.pump()
    assert line.initiator.session.generation == line.acceptor.session.generation == 3


def test_a_reset_needs_number_one():
    peer = Scripted("acceptor")
    peer.seq = 5
    peer.session.connected(*peer.clock.now)
    peer.say("A", LOGON + b"141=Y\x01")
    assert peer.heard_types() == ["5"]
    assert peer.session.generation == 0


def test_a_counterparty_that_resets_unasked_stops_the_initiator():
    peer = Scripted("initiator")
    peer.session.connected(*peer.clock.now)
    peer.session.disconnected(*peer.clock.now)
    peer.session.set_seq(7, 7, *peer.clock.now)
    peer.session.connected(*peer.clock.now)
    peer.say("A", LOGON + b"141=Y\x01")
    assert peer.session.status == "STOPPED"
    assert b"reset" in peer.told("STOPPED")[0].data


def test_a_next_expected_number_above_ours_means_that_our_state_was_lost():
    peer = Scripted("initiator", send_next_expected=True)
    peer.session.connected(*peer.clock.now)
    peer.say("A", LOGON + b"789=9\x01")
    assert peer.session.status == "STOPPED"
    assert [(event.a, event.b) for event in peer.told("STOPPED")] == [(1, 9)]


def test_a_next_expected_number_below_ours_brings_what_is_missing():
    line = Line(send_next_expected=True)
    line.reconnect()
    line.initiator.order("lost")
    line.cut()
    line.reconnect()
    assert line.statuses() == ("READY", "READY")
    assert line.numbers_agree()
    assert [event.a for event in line.initiator.events if event.kind == "RESENT"] != []


def test_a_wrong_sending_time_at_logon_is_not_taken():
    peer = Scripted("acceptor", sending_time_tolerance_ns=10**9)
    peer.session.connected(*peer.clock.now)
    late = peer.message("A", LOGON)
    peer.clock.move(5)
    peer.feed(late)
    assert peer.session.closing
    assert peer.session.next_in == 1


def test_cancels_may_go_before_the_session_is_ready_if_configured():
    peer = Scripted("initiator", cancels_before_ready=True)
    peer.session.connected(*peer.clock.now)
    peer.say("A", LOGON)
    assert peer.session.send("F", b"41=a\x01", *peer.clock.now) == 3
    with pytest.raises(Exception, match="RECOVERING"):
        peer.session.send("D", b"11=a\x01", *peer.clock.now)


def test_an_unknown_version_is_refused_by_name():
    with pytest.raises(ValueError, match=r"FIX\.4\.0 to FIX\.4\.4 or FIXT\.1\.1, found 'FIX\.5\.0'"):
        make_session("initiator", begin_string="FIX.5.0")


@pytest.mark.parametrize(("given", "sent"), [("", "9"), ("7", "7"), ("8", "8")])
def test_a_fixt_logon_names_the_application_version(given, sent):
    for role in ("initiator", "acceptor"):
        peer = Scripted(role, "FIXT.1.1", default_appl_ver_id=given)
        peer.session.connected(*peer.clock.now)
        peer.say("A", LOGON + b"1137=9\x01")
        assert peer.heard()[0][1137] == sent


def test_a_fixt_logon_without_application_version_is_not_taken():
    peer = Scripted("acceptor", "FIXT.1.1")
    peer.session.connected(*peer.clock.now)
    peer.say("A", LOGON)
    assert peer.session.closing
    assert peer.heard() == []


@pytest.mark.parametrize("version", ["FIX.4.0", "FIX.4.1"])
def test_times_of_the_first_versions_have_no_fraction(version):
    peer = Scripted("initiator", version, timestamp_digits=6)
    peer.session.connected(*peer.clock.now)
    assert len(peer.heard()[0][52]) == 17


@pytest.mark.parametrize(("seconds", "taken"), [(9, False), (10, True), (60, True), (61, False), (10**6, False)])
def test_an_acceptor_may_bound_the_heartbeat_interval(seconds, taken):
    peer = Scripted("acceptor", heartbeat_min_s=10, heartbeat_max_s=60)
    peer.session.connected(*peer.clock.now)
    peer.say("A", b"98=0\x01108=%d\x01" % seconds)
    assert peer.heard_types() == ["A" if taken else "5"]


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
@pytest.mark.parametrize(("ours", "theirs"), [(True, b""), (True, b"464=N\x01"), (False, b"464=Y\x01")])
def test_a_test_session_and_a_real_one_do_not_meet(role, ours, theirs):
    peer = Scripted(role, test_session=ours)
    peer.session.connected(*peer.clock.now)
    peer.say("A", LOGON + theirs)
    answer = peer.heard()[-1]
    assert answer[35] == "5"
    assert "464" in answer[58]
    assert peer.session.closing


def test_a_test_session_says_so():
    line = Line(test_session=True)
    line.reconnect()
    assert line.statuses() == ("READY", "READY")


def test_every_header_may_say_what_was_last_processed():
    line = Line(send_last_processed=True)
    line.reconnect()
    line.initiator.order("a")
    line.pump()
    assert line.statuses() == ("READY", "READY")
    peer = Scripted("acceptor", send_last_processed=True).logged_on()
    peer.say("1", b"112=x\x01")
    assert peer.heard()[0][369] == str(peer.seq - 1)


@pytest.mark.parametrize("role", ["initiator", "acceptor"])
def test_a_logon_with_reset_in_mid_session_starts_both_over(role):
    """FIX 4.4 volume 2: a session that never ends is reset once a day."""
    peer = Scripted(role).logged_on()
    peer.seq = 1
    peer.say("A", LOGON + b"141=Y\x01")
    (logon,) = peer.heard()
    assert (logon[35], logon[34], logon[141]) == ("A", "1", "Y")
    assert (peer.session.next_in, peer.session.next_out, peer.session.status) == (2, 2, "READY")
    peer.say("1", b"112=x\x01")
    assert [(m[35], m[34]) for m in peer.heard()] == [("0", "2")]


@pytest.mark.parametrize("by", ["initiator", "acceptor"])
def test_either_side_may_reset_in_mid_session(by):
    line = Line()
    line.reconnect()
    line.initiator.order("before")
    line.pump()
    getattr(line, by).session.reset_online(*line.clock.now)
    line.pump()
    assert line.statuses() == ("READY", "READY")
    assert line.numbers_agree()
    assert [side.session.generation for side in line.sides] == [1, 1]
    line.initiator.order("after")
    line.pump()
    assert [event.kind for event in line.acceptor.events].count("MESSAGE") == 2
    line.cut()
    with pytest.raises(ProtocolError, match="READY"):
        line.initiator.session.reset_online(*line.clock.now)


def test_what_crosses_our_reset_is_dropped():
    peer = Scripted("initiator").logged_on()
    peer.session.reset_online(*peer.clock.now)
    peer.say("8", b"11=old\x01")
    peer.seq = 1
    peer.say("A", LOGON + b"141=Y\x01")
    peer.heard()
    assert clordids(peer.events) == []
    assert peer.session.next_in == 2


def prehash(logon: dict[int, str], passphrase: bytes) -> bytes:
    return b"\x01".join([*(logon[tag].encode() for tag in (52, 35, 34, 49, 56)), passphrase])


def signed(secret: bytes, passphrase: bytes):
    """As some venues want it: HMAC-SHA256 over SendingTime, MsgType, MsgSeqNum, CompIDs and a passphrase."""

    def hook(seq: int, sending_time: bytes) -> bytes:
        parts = [sending_time, b"A", b"%d" % seq, b"GW", b"BROKER", passphrase]
        signature = base64.b64encode(hmac.digest(secret, b"\x01".join(parts), "sha256"))
        return b"95=%d\x0196=%s\x01554=%s\x01" % (len(signature), signature, passphrase)

    return hook


def test_a_logon_may_be_signed_over_its_own_header():
    peer = Scripted("initiator", logon_hook=signed(b"key", b"open sesame"))
    for _ in range(2):  # the second goes under the same number at another time
        peer.session.connected(*peer.clock.now)
        (logon,) = peer.heard()
        expected = base64.b64encode(hmac.digest(b"key", prehash(logon, b"open sesame"), "sha256")).decode()
        assert (logon[96], logon[554], logon[34]) == (expected, "open sesame", "1")
        peer.clock.move(1)
        peer.session.disconnected(*peer.clock.now)


@pytest.mark.parametrize("result", [RuntimeError("no key"), b"96=x", b"96=" + b"x" * 2000 + b"\x01", None])
def test_a_logon_that_cannot_be_signed_is_not_sent(result):
    def hook(seq: int, sending_time: bytes) -> bytes:
        if isinstance(result, Exception):
            raise result
        return result

    peer = Scripted("initiator", logon_hook=hook)
    peer.session.connected(*peer.clock.now)
    assert peer.heard() == []
    assert peer.session.closing
    assert peer.session.next_out == 1
    assert peer.session.logon_error is not None
