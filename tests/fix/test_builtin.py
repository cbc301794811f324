"""The gateway's own dictionary takes what counterparties send in any version, and refuses what is wrong in all."""

import sys
from pathlib import Path

import pytest

from gateway.fix.builtin import CHECKS, builtin_dictionary
from gateway.fix.dictionary import VERSIONS
from tests.fix.test_dictionary import framed
from tests.support.sessions import Line, Scripted, clordids

HEAD = "|34=2|49=A|52=20261121-08:00:00|56=B"
ORDER = "35=D" + HEAD + "|11=id|21=1|55=MSFT|54=1|38=100|40=2|44=1.5|59=0|60=20261121-08:00:00"
REPORT = "35=8" + HEAD + "|37=o|17=e|150=F|39=2|55=MSFT|54=1|38=5|32=5|31=1.5|151=0|14=5|6=1.5|11=id"
OWN = builtin_dictionary()


@pytest.mark.parametrize(
    "fields",
    [
        ORDER,
        ORDER + "|9001=theirs|5999=x|1724=5",
        ORDER + "|453=2|448=a|447=D|452=1|802=1|523=x|803=1|448=b",
        REPORT,
        REPORT.replace("150=F", "20=0|150=1"),
        REPORT + "|382=1|375=x|136=1|137=1|138=USD|139=1",
        "35=A" + HEAD + "|98=0|108=30|141=Y|384=2|372=D|385=R|372=8|385=S|553=u|554=p",
        "35=ZZ" + HEAD + "|1=x",
        "35=j" + HEAD + "|45=7|372=D|380=3|58=no",
    ],
)
def test_what_counterparties_send_is_taken(fields):
    assert OWN.validate(framed(fields), CHECKS) is None


@pytest.mark.parametrize(
    ("fields", "reason", "tag"),
    [
        (ORDER.replace("|54=1", ""), 1, 54),
        (ORDER.replace("38=100", "38=x"), 6, 38),
        (ORDER.replace("44=1.5", "44="), 4, 44),
        (ORDER + "|56=B", 14, 56),
        (ORDER + "|453=2|448=a", 16, 453),
        (REPORT.replace("|37=o", ""), 1, 37),
        ("35=A" + HEAD + "|98=7|108=30", 5, 98),
        ("35=1" + HEAD, 1, 112),
    ],
)
def test_what_is_wrong_in_every_version_is_refused(fields, reason, tag):
    assert OWN.validate(framed(fields), CHECKS) == (reason, tag)


@pytest.mark.parametrize("version", [*VERSIONS, "FIXT.1.1"])
def test_two_of_our_sessions_run_under_it_without_any_file(version):
    line = Line(begin_string=version, dictionary=OWN, checks=CHECKS)
    line.reconnect()
    line.initiator.order("a", b"55=MSFT\x0154=1\x0140=1\x01")
    line.wait(100)
    assert line.statuses() == ("READY", "READY")
    assert clordids(line.acceptor.events) == ["a"]
    peer = Scripted("acceptor", version, dictionary=OWN, checks=CHECKS).logged_on()
    peer.say("D", b"11=a\x01")
    assert peer.heard_types() == ["3"]


@pytest.mark.skipif(not (Path(sys.prefix) / "share" / "quickfix").is_dir(), reason="no public dictionaries")
def test_its_messages_are_those_of_the_public_dictionaries():
    """Whatever it requires, FIX.4.4 requires too, or says in prose: nothing valid is refused for want of a field."""
    from gateway.fix.builtin import MESSAGES
    from gateway.fix.dictionary import dictionary_in

    public = dictionary_in(Path(sys.prefix) / "share" / "quickfix", "FIX.4.4")
    for line in MESSAGES.strip().splitlines():
        name, _, members = line.partition(": ")
        required = {int(word.rstrip("!")) for word in members.split() if word.endswith("!")}
        missing = set()
        fields = f"35={name}{HEAD}"
        while (found := public.validate(framed(fields), 64)) is not None:
            assert found[0] == 1
            missing.add(found[1])
            fields += f"|{found[1]}=1"
        assert required <= missing, name
