"""Random steps against quickfix: at the end both agree on every number and on every message."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

pytest.importorskip("quickfix")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interop.our_side import Ours
from tests.interop.quickfix_side import Theirs

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["ours", "theirs"]), st.integers(1, 5)),
        st.tuples(st.sampled_from(["cut", "restart", "garble", "logout", "work"]), st.just(1)),
    ),
    min_size=3,
    max_size=15,
)


class Story:
    """The same two sessions through every example."""

    def __init__(self, ours: Ours, theirs: Theirs) -> None:
        self.ours = ours
        self.theirs = theirs
        self.sent: dict[str, list[str]] = {"ours": [], "theirs": []}

    def run(self, what: str, count: int) -> None:
        if what in self.sent:
            for _ in range(count):
                self.send(what)
        elif what == "cut":
            self.ours.hang_up()
        elif what == "restart":
            self.ours.restart()
        elif what == "garble":
            self.ours.garble()
        elif what == "logout":
            self.settle()  # quickfix answers a Logout at once, and drops what fills a gap while it goes
            self.ours.session.logout("", *self.ours.now)
        self.ours.step()

    def send(self, who: str) -> None:
        text = f"{who}{len(self.sent[who])}"
        if who == "ours":
            if self.ours.session.status != "READY":
                return
            self.ours.send(text)
        else:
            self.theirs.send(text)  # without a connection it is stored, and asked for later
        self.sent[who].append(text)

    def settle(self) -> None:
        self.ours.ready()
        self.ours.until(self._all_is_there, "every message has arrived and the numbers agree")

    def _all_is_there(self) -> bool:
        state = self.theirs.state()
        numbers = tuple(state["numbers"]) == (self.ours.session.next_in, self.ours.session.next_out)
        return numbers and state["received"] == self.sent["ours"] and self.ours.received() == self.sent["theirs"]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with Ours("initiator", "FIX.4.4") as ours, socket.create_server(("127.0.0.1", 0)) as probe:
        ours.port = probe.getsockname()[1]
        probe.close()
        with Theirs("acceptor", ours.port, "FIX.4.4") as theirs:
            ours.ready()
            yield Story(ours, theirs)
            assert theirs.rejects == []


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_whatever_happens_in_between_both_agree_in_the_end(story, steps):
    for step in steps:
        story.run(*step)
    story.settle()
