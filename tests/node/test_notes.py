"""What a node noted, as log lines: an operator finds the name of the thing, the session and the numbers."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gateway.native.node import NOTE_NAMES, SESSION_EVENT_NAMES, Note
from gateway.native.role import Cause, RegisterOutcome, Release, State
from gateway.node.notes import DROP_NAMES, log_note, stop_text

SESSIONS = ["ONE", "TWO"]
CLIENTS = ["alpha", "beta"]


def logged(code: str, *, session: int = 0, a: int = 0, b: int = 0, c: int = 0, text: bytes = b"") -> list[dict]:
    with capture_logs() as lines:
        log_note(Note(code, session, a, b, c, 1, 2, text), SESSIONS, CLIENTS)
    return lines


@pytest.mark.parametrize("code", sorted(set(NOTE_NAMES.values()) - {"command_done", "session"}))
def test_every_note_is_one_line(code: str):
    (line,) = logged(code, session=1, a=1, b=2)
    assert line["event"]
    assert line["log_level"] in ("info", "warning", "error")


@pytest.mark.parametrize("event", [name for name in SESSION_EVENT_NAMES if name])
def test_every_session_event_is_one_line_with_the_sessions_name(event: str):
    (line,) = logged("session", session=1, a=SESSION_EVENT_NAMES.index(event), b=3, c=4)
    assert (line["event"], line["session"]) == (f"session_{event.lower()}", "TWO")


def test_why_a_session_stopped_is_told_in_words():
    stopped = SESSION_EVENT_NAMES.index("STOPPED")
    why = "our MsgSeqNum is lower than the counterparty expects"
    assert stop_text(Note("session", 0, stopped, 1, 51, 1, 2, b"expecting 51")) == f"{why} (expecting 51)"
    assert stop_text(Note("session", 0, stopped, 1, 0, 1, 2, b"")) == why
    assert stop_text(Note("session", 0, stopped, 9, 0, 1, 2, b"")) == "reason 9"
    assert stop_text(Note("session", 0, SESSION_EVENT_NAMES.index("READY"), 1, 0, 1, 2, b"")) is None
    assert stop_text(Note("suspected", 0, stopped, 1, 0, 1, 2, b"")) is None


def test_an_answer_to_an_operator_is_not_a_line():
    assert logged("command_done") == []


def test_a_peer_of_another_format_is_named_with_both_versions():
    (line,) = logged("datagrams_dropped", a=DROP_NAMES.index("wrong_version"), b=4, c=9 << 8 | 1)
    assert (line["event"], line["log_level"]) == ("peer_of_another_format", "error")
    assert (line["peer_version"], line["own_version"]) == (9, 1)


@pytest.mark.parametrize(("undecided", "remedy"), [(0, "say `gateway switchover` again"), (1, "who is primary")])
def test_a_switchover_that_was_given_up_is_told_with_what_to_do(undecided: int, remedy: str):
    (line,) = logged("switchover_given_up", a=undecided, b=4)
    assert (line["event"], line["log_level"], line["epoch"]) == ("switchover_given_up", "warning", 4)
    assert remedy in line["remedy"]


def test_datagrams_of_another_secret_are_told_with_what_to_do():
    (line,) = logged("datagrams_dropped", a=DROP_NAMES.index("bad_mac"), b=4)
    assert (line["event"], line["reason"], line["count"]) == ("datagrams_dropped", "bad_mac", 4)
    assert "the same secret (replication.key_file" in line["remedy"]
    assert "somebody else" in line["remedy"]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("release", Release)
def test_a_change_of_role_says_why(state: State, release: Release):
    for cause in Cause:
        (line,) = logged("role", a=state, b=7, c=release << 8 | cause)
        assert (line["state"], line["epoch"]) == (state.name, 7)
        assert (line["release"], line["cause"], line["log_level"]) == (release.name, cause.name, "warning")


def test_a_counterparty_that_is_turned_away_is_named():
    (line,) = logged("turned_away", session=1)
    assert (line["session"], line["log_level"]) == ("TWO", "warning")


def test_a_message_that_its_client_is_not_told_is_an_error_with_its_session_and_record():
    (line,) = logged("not_passed_on", session=1, b=7, c=70_000)
    assert (line["session"], line["lsn"], line["bytes"], line["log_level"]) == ("TWO", 7, 70_000, "error")


def test_a_gap_says_which_numbers():
    (line,) = logged("session", a=SESSION_EVENT_NAMES.index("GAP"), b=7, c=9)
    assert (line["first_missing"], line["received"], line["log_level"]) == (7, 9, "warning")


def test_a_stopped_session_is_an_error_with_what_the_counterparty_said():
    text = b"MsgSeqNum too low, expecting 12 but received 9"
    (line,) = logged("session", a=SESSION_EVENT_NAMES.index("STOPPED"), b=1, c=12, text=text)
    assert (line["log_level"], line["expected_by_counterparty"], line["text"]) == ("error", 12, text.decode())


def test_a_text_that_is_not_ascii_is_shown_as_far_as_it_can_be():
    (line,) = logged("session", a=SESSION_EVENT_NAMES.index("STOPPED"), text=b"caf\xe9")
    assert line["text"] == "caf\N{REPLACEMENT CHARACTER}"


def test_the_answer_of_the_register_is_named():
    for outcome in RegisterOutcome:
        (line,) = logged("register", a=outcome, b=5)
        assert (line["outcome"], line["version"]) == (outcome.name, 5)


@pytest.mark.parametrize(("code", "a", "event"), [("peer", 1, "peer_up"), ("peer", 0, "peer_down")])
def test_a_peer_that_comes_or_goes_is_told(code: str, a: int, event: str):
    assert logged(code, a=a)[0]["event"] == event


def test_clients_come_are_refused_and_go():
    assert [logged("client", a=a, b=3)[0]["event"] for a in range(3)] == [
        "client_gone",
        "client_logged_in",
        "client_refused",
    ]


def test_clients_are_named_and_one_that_is_refused_is_a_warning():
    assert [logged("client", a=1, b=b)[0]["client"] for b in (1, 2, 3)] == ["alpha", "beta", 3]
    (line,) = logged("client", a=2)
    assert (line["log_level"], line["reason"]) == ("warning", "unknown client or wrong token, or this node stops")


def test_numbers_that_are_skipped_are_told():
    (line,) = logged("skipped_ahead", session=1, b=7, c=1007)
    assert (line["session"], line["first_skipped"], line["next_out"]) == ("TWO", 7, 1007)


@pytest.mark.parametrize("code", ["suspected", "register_won", "stopped"])
def test_a_moment_has_no_numbers(code: str):
    (line,) = logged(code, b=73723708194472)
    assert set(line) == {"event", "log_level", "at"}


@pytest.mark.parametrize("code", ["promoted", "following"])
def test_an_epoch_is_called_so(code: str):
    (line,) = logged(code, b=117, c=2)
    assert (line["lsn"], line["epoch"]) == (117, 2)


def test_a_line_says_when_it_happened():
    (line,) = logged("following", b=5)
    assert line["at"] == "1970-01-01T00:00:00.000000Z"


def test_a_truncation_that_the_disk_refuses_is_an_error_with_the_reason():
    (line,) = logged("truncation", a=1, b=40, text=b"diverged-40.log: No space left on device")
    assert (line["event"], line["log_level"], line["lsn"]) == ("truncation_failed", "error", 40)
    assert "No space left" in line["reason"]
