"""A counterparty that starts over while something is open: of the old numbers nothing goes on."""

from tests.support.sessions import Scripted

LOGON = b"98=0\x01108=30\x01"


def test_a_reset_answers_the_barrier():
    peer = Scripted("initiator", logon_barrier=True)
    peer.session.connected(*peer.clock.now)
    peer.say("A", LOGON)
    peer.heard()  # with a TestRequest under a number of before the reset
    peer.seq = 1
    peer.say("A", LOGON + b"141=Y\x01")
    assert [message[35] for message in peer.heard()] == ["A"]
    assert peer.session.status == "READY"


def test_what_was_not_sent_before_a_reset_goes_out_under_no_old_number():
    peer = Scripted("initiator").logged_on()
    lost = peer.session.send("D", b"11=a\x01", *peer.clock.now)
    peer.seq = 1
    peer.say("A", LOGON + b"141=Y\x01")
    heard = peer.heard()
    assert lost not in [int(message[34]) for message in heard]
    assert [(message[35], message[34]) for message in heard] == [("A", "1")]


def test_a_sequence_reset_of_theirs_leaves_the_answer_to_their_resend_request_alone():
    peer = Scripted("initiator").logged_on()
    for _ in range(5000):
        last = peer.session.send("D", b"11=a\x01", *peer.clock.now)
        peer.heard()
    peer.feed(peer.message("2", b"7=1\x0116=0\x01") + peer.message("4", b"36=%d\x01" % (peer.seq + 10)))
    again = []
    while heard := peer.heard():
        again += [int(message[34]) for message in heard if message[35] == "D"]
    assert again[-1] == last
