"""Incident reports: the steps of a takeover with their times, from what the node noted."""

from __future__ import annotations

import json

import pytest

from gateway.native.node import SESSION_EVENT_NAMES, Note
from gateway.native.role import Cause
from gateway.node.incident import Incident, IncidentRecorder, utc_text

MS = 10**6
WALL = 1_767_225_600 * 10**9  # 2026-01-01
START = 5_000 * MS  # monotonic
NUMBERS = [(42, 17), (7, 9)]


def note(code: str, after_ms: float, *, session: int = 0, a: int = 0, b: int = 0, c: int = 0) -> Note:
    at = int(after_ms * MS)
    return Note(code, session, a, b, c, START + at, WALL + at, b"")


def event(name: str, after_ms: float, *, session: int = 0, b: int = 0, c: int = 0) -> Note:
    return note("session", after_ms, session=session, a=SESSION_EVENT_NAMES.index(name), b=b, c=c)


class Story:
    """A recorder of node b with two sessions, and the last incident it gave out."""

    def __init__(self) -> None:
        self.recorder = IncidentRecorder("b", ["ONE", "TWO"])
        self.given: list[Incident] = []

    def happens(self, *notes: Note) -> None:
        for entry in notes:
            incident = self.recorder.take(entry, NUMBERS if entry.code == "promoted" else [])
            if incident is not None:
                self.given.append(incident)

    def takes_over(self, epoch: int = 2, cause: Cause = Cause.TRIPWIRE) -> None:
        self.happens(
            note("role", 0, a=2, b=epoch - 1, c=int(cause)),
            note("suspected", 0),
            note("register_won", 1.5),
            note("promoted", 2, b=1000, c=epoch),
        )

    def comes_back(self, session: int, after_ms: float) -> None:
        self.happens(
            note("connecting", after_ms, session=session),
            note("connected", after_ms + 1, session=session),
            event("LOGGED_ON", after_ms + 2, session=session),
            event("READY", after_ms + 3, session=session, b=4, c=5),
        )


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_promotion_opens_an_incident_that_knows_why_and_where(story: Story):
    story.takes_over()
    (incident,) = story.given
    report = incident.as_dict()
    assert (report["node"], report["epoch"], report["cause"], report["epoch_lsn"]) == ("b", 2, "TRIPWIRE", 1000)
    assert report["suspected_at"] == "2026-01-01T00:00:00.000000Z"
    assert report["ms_after_suspicion"] == {"register_won": 1.5, "promoted": 2.0, "first_order": None}
    assert [(s["name"], s["next_out_at_takeover"], s["next_in_at_takeover"]) for s in report["sessions"]] == [
        ("ONE", 42, 17),
        ("TWO", 7, 9),
    ]
    assert not incident.complete


def test_it_is_complete_when_every_session_is_ready(story: Story):
    story.takes_over()
    story.comes_back(1, 3)
    assert len(story.given) == 1
    story.comes_back(0, 10)
    assert len(story.given) == 2
    incident = story.given[-1]
    assert incident.complete
    one, two = incident.as_dict()["sessions"]
    assert one["ms_after_suspicion"] == {"connecting": 10.0, "connected": 11.0, "logged_on": 12.0, "ready": 13.0}
    assert two["ms_after_suspicion"] == {"connecting": 3.0, "connected": 4.0, "logged_on": 5.0, "ready": 6.0}
    assert (one["messages_resent"], one["messages_gap_filled"], one["connection_attempts"]) == (4, 5, 1)


def test_the_first_order_is_told_once(story: Story):
    story.takes_over()
    story.comes_back(0, 3)
    story.comes_back(1, 3)
    story.happens(note("first_order", 20), note("first_order", 30))
    assert len(story.given) == 3
    assert story.given[-1].as_dict()["ms_after_suspicion"]["first_order"] == 20.0


def test_attempts_are_counted_from_the_first_one(story: Story):
    story.takes_over()
    story.happens(note("connecting", 3), note("connecting", 14), note("connecting", 25))
    story.happens(note("connected", 26), event("LOGGED_ON", 27))
    steps = story.recorder.current.as_dict()["sessions"][0]
    assert steps["connection_attempts"] == 3
    assert steps["ms_after_suspicion"] == {"connecting": 3.0, "connected": 26.0, "logged_on": 27.0, "ready": None}


def test_what_happens_to_a_session_later_changes_nothing(story: Story):
    story.takes_over()
    story.comes_back(0, 3)
    before = story.recorder.current.as_dict()["sessions"][0]
    story.happens(event("DISCONNECTED", 100))
    story.comes_back(0, 200)
    assert story.recorder.current.as_dict()["sessions"][0] == before


def test_skipped_numbers_are_told(story: Story):
    story.takes_over()
    story.happens(note("skipped_ahead", 2, session=1, b=7, c=1007))
    one, two = story.recorder.current.as_dict()["sessions"]
    assert (one["skipped_from"], two["skipped_from"]) == (None, 7)


def test_a_promotion_without_a_suspicion_counts_from_itself(story: Story):
    story.happens(note("role", 0, c=int(Cause.FIRST_START)), note("promoted", 50, c=1))
    report = story.given[-1].as_dict()
    assert (report["cause"], report["ms_after_suspicion"]["promoted"]) == ("FIRST_START", 0.0)
    assert report["suspected_wall_ns"] == WALL + 50 * MS


def test_the_next_takeover_is_an_incident_of_its_own(story: Story):
    story.takes_over(epoch=2)
    story.comes_back(0, 3)
    story.takes_over(epoch=4, cause=Cause.SILENCE)
    report = story.given[-1].as_dict()
    assert (report["epoch"], report["cause"]) == (4, "SILENCE")
    assert report["sessions"][0]["ms_after_suspicion"]["ready"] is None


def test_before_any_promotion_there_is_nothing_to_tell(story: Story):
    story.happens(event("LOGGED_ON", 1), note("connected", 2), note("first_order", 3), note("peer", 4, a=1))
    assert story.given == []
    assert story.recorder.current is None


def test_a_session_that_the_configuration_does_not_have_is_ignored(story: Story):
    story.takes_over()
    story.comes_back(9, 3)
    assert len(story.given) == 1


def test_the_report_for_a_person_says_the_same(story: Story):
    story.takes_over()
    story.comes_back(0, 3)
    text = story.recorder.current.as_text()
    for expected in (
        "Node b became primary of epoch 2 (cause: tripwire)",
        "register won          +1.500 ms",
        "session ONE: next MsgSeqNum out 42, in 17",
        "ready for orders    +6.000 ms, 4 messages sent again, 5 gap-filled",
        "first new order       not yet",
    ):
        assert expected in text
    assert "ready for orders    not yet" in text


def test_the_report_for_a_program_is_json(story: Story):
    story.takes_over()
    assert json.loads(json.dumps(story.recorder.current.as_dict())) == story.recorder.current.as_dict()


def test_times_are_written_in_utc_with_microseconds():
    assert utc_text(WALL + 1_234_567) == "2026-01-01T00:00:00.001234Z"
    assert utc_text(1_753_000_000_999_999_000) == "2025-07-20T08:26:40.999999Z"
