"""Against the quickfix package in both roles, for every version, with its data dictionaries checking what we send."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

pytest.importorskip("quickfix")

from gateway.fix.dictionary import dictionary_in
from tests.interop.our_side import Ours
from tests.interop.quickfix_side import PUBLIC, Theirs

VERSIONS = [
    ("FIX.4.0", ""),
    ("FIX.4.1", ""),
    ("FIX.4.2", ""),
    ("FIX.4.3", ""),
    ("FIX.4.4", ""),
    ("FIXT.1.1", "7"),
    ("FIXT.1.1", "8"),
    ("FIXT.1.1", "9"),
]
OTHER = {"initiator": "acceptor", "acceptor": "initiator"}
both_roles = pytest.mark.parametrize("role", ["initiator", "acceptor"])
each_version = pytest.mark.parametrize("version", VERSIONS, ids=["".join(v) for v in VERSIONS])


@contextlib.contextmanager
def pair(role: str, version=("FIX.4.4", ""), extra: dict[str, str] | None = None, **options) -> Iterator:
    """Ours in `role` and theirs in the other, logged on."""
    begin_string, appl_ver_id = version
    options.setdefault("dictionary", dictionary_in(PUBLIC, begin_string, appl_ver_id or "9"))
    with Ours(role, begin_string, default_appl_ver_id=appl_ver_id, **options) as ours:
        if role == "initiator":
            with socket.create_server(("127.0.0.1", 0)) as probe:
                ours.port = probe.getsockname()[1]
        with Theirs(OTHER[role], ours.port, begin_string, appl_ver_id, extra) as theirs:
            ours.until(lambda: theirs.logged_on, "quickfix is logged on")
            ours.ready()
            yield ours, theirs
            ours.until(lambda: in_step(ours, theirs), f"numbers agree: {ours.session.next_out, ours.session.next_in}")
            assert theirs.rejects == []
            assert [event for event in ours.events if event.kind in ("REJECT_SENT", "GARBLED", "STOPPED")] == []
            ours.hang_up()


def in_step(ours: Ours, theirs: Theirs) -> bool:
    return theirs.numbers == (ours.session.next_in, ours.session.next_out)


def back(ours: Ours, theirs: Theirs, logons: int) -> None:
    """Both are logged on again."""
    ours.until(lambda: theirs.logons > logons and theirs.logged_on, "quickfix is logged on again")
    ours.ready()


@each_version
@both_roles
def test_messages_go_both_ways(role, version):
    with pair(role, version) as (ours, theirs):
        for number in range(5):
            ours.send(f"ours{number}")
            theirs.send(f"theirs{number}")
        ours.until(lambda: len(theirs.received) == len(ours.received()) == 5, "all have arrived")
        assert theirs.received == [f"ours{number}" for number in range(5)]
        assert ours.received() == [f"theirs{number}" for number in range(5)]


@each_version
@both_roles
def test_what_is_lost_with_the_connection_is_sent_again(role, version):
    with pair(role, version) as (ours, theirs):
        ours.send("before")
        ours.until(lambda: theirs.received == ["before"], "one has arrived")
        ours.send("lost")
        logons = theirs.logons
        ours.hang_up()
        theirs.send("also lost")
        back(ours, theirs, logons)
        ours.send("after")
        ours.until(lambda: len(theirs.received) == 3 and len(ours.received()) == 1, "all have arrived")
        assert theirs.received == ["before", "lost", "after"]
        assert ours.received() == ["also lost"]


@both_roles
@pytest.mark.parametrize("version", [("FIX.4.0", ""), ("FIX.4.2", ""), ("FIX.4.4", ""), ("FIXT.1.1", "9")])
def test_gaps_on_both_sides_at_once_are_filled(role, version):
    with pair(role, version) as (ours, theirs):
        logons = theirs.logons
        ours.hang_up()
        ours.session.set_seq(ours.session.next_out + 7, ours.session.next_in, *ours.now)
        theirs.ask("set_next_sender", theirs.numbers[0] + 4)
        back(ours, theirs, logons)
        ours.send("ours")
        theirs.send("theirs")
        ours.until(lambda: theirs.received == ["ours"] and ours.received() == ["theirs"], "both have arrived")
        assert "GAP" in [event.kind for event in ours.events]


@both_roles
def test_a_long_resend_in_chunks_brings_everything(role):
    with pair(role, resend_chunk=10) as (ours, theirs):
        logons = theirs.logons
        ours.hang_up()
        for number in range(55):
            theirs.send(f"n{number}")
        back(ours, theirs, logons)
        ours.until(lambda: len(ours.received()) == 55, "all have arrived")
        assert ours.received() == [f"n{number}" for number in range(55)]


@both_roles
def test_our_restart_loses_nothing(role):
    with pair(role) as (ours, theirs):
        logons = theirs.logons
        ours.send("lost")
        ours.restart()
        back(ours, theirs, logons)
        ours.until(lambda: theirs.received == ["lost"], "it has arrived")


@both_roles
@pytest.mark.parametrize("version", [("FIX.4.0", ""), ("FIX.4.2", ""), ("FIX.4.4", ""), ("FIXT.1.1", "9")])
def test_a_kill_of_quickfix_between_messages_loses_nothing(role, version, tmp_path):
    with pair(role, version, extra={"FileStorePath": str(tmp_path)}) as (ours, theirs):
        for life in range(2):
            theirs.send(f"theirs{life}")
            ours.send(f"ours{life}")
            # It may not have noted, when it is killed, that it has seen the one before: then that comes again.
            ours.until(lambda: f"ours{life}" in theirs.received, "ours has arrived")  # noqa: B023
            ours.until(lambda: len(ours.received()) == life + 1, "theirs has arrived")  # noqa: B023
            theirs.restart()
            back(ours, theirs, 0)
        assert ours.received() == [f"theirs{life}" for life in range(2)]


@both_roles
@pytest.mark.parametrize("by", ["ours", "theirs"])
def test_either_side_may_log_out_and_both_come_back(role, by):
    with pair(role) as (ours, theirs):
        logons = theirs.logons
        if by == "ours":
            ours.session.logout("end of day", *ours.now)
        else:
            theirs.ask("logout", "end of day")
        ours.until(lambda: "LOGGED_OUT" in [event.kind for event in ours.events], "logged out")
        theirs.ask("logon")
        back(ours, theirs, logons)
        ours.send("again")
        ours.until(lambda: theirs.received == ["again"], "it has arrived")


@both_roles
def test_numbers_start_over_at_logon_if_the_initiator_wants_it(role):
    extra = {"ResetOnLogon": "Y"} if role == "acceptor" else {}
    with pair(role, extra=extra, reset_on_logon=role == "initiator") as (ours, theirs):
        ours.send("first")
        ours.until(lambda: theirs.received == ["first"], "it has arrived")
        logons = theirs.logons
        ours.hang_up()
        back(ours, theirs, logons)
        assert ours.session.generation == 2
        assert ours.session.next_out <= 4
        ours.send("second")
        ours.until(lambda: theirs.received == ["first", "second"], "it has arrived")


@both_roles
def test_numbers_start_over_in_mid_session_if_we_want_it(role):
    with pair(role) as (ours, theirs):
        ours.send("first")
        ours.until(lambda: theirs.received == ["first"], "it has arrived")
        ours.session.reset_online(*ours.now)
        ours.ready()
        ours.send("second")
        theirs.send("third")
        ours.until(lambda: theirs.received == ["first", "second"] and ours.received() == ["third"], "both have arrived")
        assert ours.session.next_in <= 4


def test_quickfix_reads_what_we_say_was_last_processed():
    with pair("initiator", extra={"EnableLastMsgSeqNumProcessed": "Y"}, send_last_processed=True) as (ours, theirs):
        theirs.send("one")
        ours.until(lambda: ours.received() == ["one"], "it has arrived")


@both_roles
def test_a_clock_that_is_wrong_ends_the_session(role):
    """quickfix allows 120 s; ours is three minutes ahead, and does not look at theirs."""
    begin_string = "FIX.4.4"
    with Ours(role, begin_string, skew_ns=180 * 10**9) as ours:
        if role == "initiator":
            with socket.create_server(("127.0.0.1", 0)) as probe:
                ours.port = probe.getsockname()[1]
        with Theirs(OTHER[role], ours.port, begin_string) as theirs:
            ours.until(lambda: "DISCONNECTED" in [event.kind for event in ours.events], "quickfix hangs up")
            assert theirs.logons == 0 or role == "acceptor"
            ours.hang_up()
