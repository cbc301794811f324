"""What the rigs make of what they saw: nothing is missed, and what went wrong is said."""

import numpy as np
import pytest

from gateway.audit.audit import AuditResult, Finding
from gateway.bench.capacity.catch_up import during
from gateway.bench.capacity.pair import Deadline, Pair, load_spec
from gateway.bench.scenarios.takeover import round_of
from gateway.chaos.takeovers import TakeoverSeries
from gateway.demo.timeline import TakeoverTimes
from gateway.errors import GatewayError

FOLLOWING = b'{"event": "following", "at": "2026-11-21T12:00:00.500000Z", "timestamp": "2026-11-21T12:00:09Z"}\n'


@pytest.fixture
def pair(tmp_path):
    one = Pair(tmp_path, load_spec())
    yield one
    one.close()


def follows(entry):
    return entry["event"] == "following"


def test_a_moment_is_when_it_happened_not_when_it_was_written(pair):
    pair.places.log("b").write_bytes(b"a warning of some library\n" + FOLLOWING)
    moment = pair.moment("b", follows)
    assert moment is not None
    assert moment % 1 == 0.5


@pytest.mark.parametrize("length", [1, 40, len(FOLLOWING) - 1])
def test_a_line_of_a_log_that_is_half_written_is_not_there_yet(pair, length):
    pair.places.log("b").write_bytes(FOLLOWING[:length])
    assert pair.moment("b", follows) is None


def test_what_does_not_come_is_told_with_the_last_words_of_the_nodes(pair):
    pair.places.log("a").write_bytes(b"no disk\n")
    with pytest.raises(TimeoutError, match=r"not 'node b has caught up' after 60 s:\na: no disk"):
        Deadline(pair, "node b has caught up", end=0.0).check()


def batches(*ends):
    return [(end, np.array([number], np.uint64)) for number, end in enumerate(ends)]


@pytest.mark.parametrize(
    ("began", "ended", "wanted"),
    [
        (1.5, 3.5, [1, 2, 3]),
        (2.1, 2.2, [2]),  # shorter than one batch, and within it
        (0.2, 0.3, [0]),
        (0.2, 9.0, [0, 1, 2, 3]),
    ],
)
def test_every_order_of_which_a_part_fell_into_the_time_counts(began, ended, wanted):
    assert during(batches(1.0, 2.0, 3.0, 4.0), began, ended).tolist() == wanted


def takeover(**steps):
    times = dict.fromkeys(("detect", "register", "connect", "logon", "ready", "first_order_at_broker"))
    return TakeoverTimes("a", "b", 2, **{**times, **steps}, last_seq_before=5, first_seq_after=6)


def audit(count):
    return AuditResult(9, 9, 0, 9, 9, 9, [Finding("duplicates", "an order twice", [], count)])


def test_steps_of_takeovers_are_in_ns_and_what_was_not_seen_is_left_out():
    times = [takeover(detect=0.5, first_order_at_broker=5.0), takeover(detect=1.5)]
    series = round_of(TakeoverSeries("kill", times, audit(0))).series
    assert {name: values.tolist() for name, values in series.items()} == {
        "first new order at the broker": [5e6],
        "suspected": [0.5e6, 1.5e6],
    }


def test_a_takeover_that_doubled_an_order_has_no_time():
    with pytest.raises(GatewayError, match="doubled or lost"):
        round_of(TakeoverSeries("kill", [takeover(detect=0.5)], audit(1)))
