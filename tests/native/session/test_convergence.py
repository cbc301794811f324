"""Two sessions over a line that is cut again and again: every message arrives once and in order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sessions import HEARTBEAT_S, Line, clordids

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["initiator", "acceptor"]), st.just("send"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["initiator", "acceptor"]), st.just("read"), st.integers(0, 400)),
        st.tuples(st.sampled_from(["initiator", "acceptor"]), st.just("restart"), st.just(0)),
        st.tuples(st.just("line"), st.sampled_from(["cut", "pump", "wait", "reconnect"]), st.integers(1, 100)),
        st.tuples(st.sampled_from(["initiator", "acceptor"]), st.just("logout"), st.just(0)),
    ),
    max_size=40,
)
options = st.fixed_dictionaries(
    {
        "begin_string": st.sampled_from(["FIX.4.2", "FIX.4.4"]),
        "send_next_expected": st.booleans(),
        "resend_chunk": st.sampled_from([0, 2]),
    }
)


class Story:
    """Runs steps, and remembers what was sent."""

    def __init__(self, **options) -> None:
        self.line = Line(**options)
        self.sent = {"initiator": [], "acceptor": []}

    def run(self, who: str, what: str, amount: int) -> None:
        if who == "line":
            self.on_line(what, amount)
        elif what == "send":
            self.send(who, amount)
        elif what == "read" and self.line.up:
            self.line.write()
            self.line.read(getattr(self.line, who), amount)
        elif what == "restart":
            self.hang_up()
            getattr(self.line, who).restart()
        elif what == "logout" and self.line.up:
            getattr(self.line, who).session.logout("", *self.line.clock.now)

    def on_line(self, what: str, amount: int) -> None:
        if what == "pump":
            self.line.pump()
        elif what == "wait":
            self.line.wait(amount)
        else:
            self.hang_up()
            if what == "reconnect":
                self.line.connect()

    def hang_up(self) -> None:
        if self.line.up:
            self.line.cut()

    def send(self, who: str, count: int) -> None:
        side = getattr(self.line, who)
        for _ in range(count):
            if side.session.status == "READY":
                name = f"{who}{len(self.sent[who])}"
                side.order(name)
                self.sent[who].append(name)


@settings(deadline=None, max_examples=300)
@given(options, steps)
def test_whatever_is_cut_every_message_arrives_once_and_in_order(options, steps):
    story = Story(**options)
    line = story.line
    line.reconnect()
    for step in steps:
        story.run(*step)
    for _ in range(3):  # an answer to a Logon that was lost costs one more connection
        if not line.up:
            line.connect()
        line.wait(3 * HEARTBEAT_S)
    assert line.statuses() == ("READY", "READY")
    assert line.numbers_agree()
    assert clordids(line.acceptor.events) == story.sent["initiator"]
    assert clordids(line.initiator.events) == story.sent["acceptor"]
    assert not [event for side in line.sides for event in side.events if event.kind in ("STOPPED", "GARBLED")]
