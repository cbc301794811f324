"""A Reject that names a number which was never given does not have the whole log read."""

from __future__ import annotations

import time

import pytest

from gateway.native.journal import Journal
from tests.native import test_replay_of_generations as rig

REJECTS = 20


@pytest.mark.parametrize("number", [10**9, (1 << 32) - 1])
def test_a_number_that_was_never_given_is_not_looked_for_in_the_whole_log(monkeypatch, number):
    large = {"segment_bytes": 1 << 26, "max_records": 1 << 18, "max_sessions": 4, "max_seq": 1 << 12}
    monkeypatch.setattr(rig, "memory", lambda: Journal.memory(**large))
    stage = rig.Stage()
    for _ in range(100_000):
        stage.say("0")

    def time_of(reference: int) -> float:
        start = time.perf_counter()
        for _ in range(REJECTS):
            stage.say("3", (45, reference), (373, 5))
        return time.perf_counter() - start

    assert time_of(number) < time_of(1) * 3
