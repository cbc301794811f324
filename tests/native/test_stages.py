"""Stage histograms: what lies between two stamps is counted where it belongs, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.native.stages import BUCKETS, NAMES, Stages, bucket_floor, ns_after_the_counter_went_back

SLOTS = 1 << 13


def counted(stages):
    """By stage that has any: the ns that were counted, as the floors of their buckets, and their sum."""
    found = {}
    for name, (counts, total) in stages.histograms().items():
        buckets = np.frombuffer(counts, np.uint64)
        if buckets.any():
            floors = [bucket_floor(i) for i in np.flatnonzero(buckets) for _ in range(int(buckets[i]))]
            found[name] = floors, total
    return found


def order(stages, lsn, at=1000, session=0, queued_ns=None):
    for ticks, step in ((at, stages.arrive), (at + 1, stages.check), (at + 3, stages.encode)):
        stages.ticks = ticks
        step()
    stages.ticks = at + 7
    stages.journalled(lsn, session, queued_ns)


@given(st.integers(0, 2**64 - 1))
def test_a_bucket_holds_what_is_within_three_percent(ns):
    stages = Stages()
    stages.count(0, ns)
    [floor], total = counted(stages)[NAMES[0]]
    capped = min(ns, 2**41 - 1)
    assert total == capped
    assert floor <= capped <= floor * (1 + 1 / 32)


def test_buckets_follow_each_other_without_a_gap():
    floors = [bucket_floor(i) for i in range(BUCKETS + 1)]
    assert floors == sorted(set(floors))
    stages = Stages()
    for i, floor in enumerate(floors[:-1]):
        stages.count(0, floor)
        stages.count(0, floors[i + 1] - 1)
    assert set(np.frombuffer(stages.histograms()[NAMES[0]][0], np.uint64)) == {2}


def test_each_stage_of_a_replicated_order_is_counted_once():
    stages = Stages()
    order(stages, 10, queued_ns=500)
    for ticks, step in (
        (1020, lambda: stages.replicated(10)),
        (1050, lambda: (stages.arrive(), stages.released(10))),
        (1060, lambda: stages.sent(0, 10)),
    ):
        stages.ticks = ticks
        step()
        stages.ticks = ticks + 500
        step()  # the same again says nothing new
    stages.ticks = 2000
    stages.arrive()
    stages.answered(10, 11, client=3)
    stages.answered(10, 12, client=3)  # only the first answer is the counterparty's reaction to it
    stages.ticks = 2004
    stages.delivered(3, 11)  # not told yet
    stages.delivered(2, 12)
    stages.delivered(3, 12)
    stages.ticks = 2100
    stages.delivered(3, 13)
    assert {name: total for name, (_, total) in counted(stages).items()} == {
        "queued": 500, "checked": 1, "encoded": 2, "journalled": 4, "replicated": 13, "acknowledged": 30, "sent": 10,
        "order": 60, "answered": 940, "delivered": 4,
    }  # fmt: skip
    assert all(len(floors) == 1 for floors, _ in counted(stages).values())


def test_an_async_order_is_sent_before_it_is_acknowledged():
    stages = Stages()
    order(stages, 10)
    stages.ticks = 1017
    stages.sent(0, 10)
    stages.ticks = 1019
    stages.replicated(10)
    stages.ticks = 1049
    stages.arrive()
    stages.released(10)
    found = {name: total for name, (_, total) in counted(stages).items()}
    assert (found["sent"], found["order"], found["replicated"], found["acknowledged"]) == (10, 17, 12, 30)
    assert "queued" not in found


def test_alone_nobody_acknowledges():
    stages = Stages()
    order(stages, 10)
    stages.ticks = 1009
    stages.released(10)
    stages.ticks = 1010
    stages.sent(0, 10)
    found = counted(stages)
    assert found["sent"][1] == 3  # from journalled on: nothing lies between
    assert "acknowledged" not in found


def test_what_is_sent_on_another_session_is_not_this_one():
    stages = Stages()
    order(stages, 10, session=1)
    order(stages, 11, session=2)
    stages.sent(2, 11)
    assert len(counted(stages)["sent"][0]) == 1
    stages.sent(1, 11)
    assert len(counted(stages)["sent"][0]) == 2


def test_orders_that_wait_are_counted_when_each_is_sent_and_once():
    stages = Stages()
    for lsn in range(1, 21):
        order(stages, lsn, session=lsn % 2)
    for upto in (6, 6, 3, 13, 13, 40):
        stages.sent(1, upto)
    assert len(counted(stages)["sent"][0]) == 10
    order(stages, 41, session=1)
    stages.sent(1, 41)
    stages.sent(0, 41)
    assert len(counted(stages)["sent"][0]) == 21


def test_an_order_whose_stamps_were_overwritten_does_not_hide_those_behind_it():
    stages = Stages()
    order(stages, 1, session=1)
    for lsn in range(2, SLOTS + 2):
        order(stages, lsn, session=0)
    order(stages, SLOTS + 2, session=1)
    stages.sent(1, SLOTS + 2)
    assert len(counted(stages)["sent"][0]) == 1


def test_records_without_an_order_are_passed_over():
    stages = Stages()
    order(stages, 10)
    order(stages, 14)
    stages.replicated(20)
    assert len(counted(stages)["replicated"][0]) == 2


@pytest.mark.parametrize("step", ["replicated", "released"])
def test_more_orders_than_there_are_stamps_for_do_no_harm(step):
    stages = Stages()
    for lsn in range(1, SLOTS + 101):
        order(stages, lsn)
    getattr(stages, step)(SLOTS + 100)
    stages.sent(0, SLOTS + 100)
    assert len(counted(stages)["sent"][0]) == SLOTS


def test_a_new_primary_starts_with_its_own_records():
    stages = Stages()
    order(stages, 1000)
    stages.replicated(1000)
    stages.restart(900)
    stages.sent(0, 950)
    assert "sent" not in counted(stages)
    order(stages, 951)
    stages.replicated(951)
    stages.sent(0, 951)
    assert len(counted(stages)["replicated"][0]) == 2
    assert len(counted(stages)["sent"][0]) == 1


def test_answers_for_a_client_that_is_away_do_not_keep_others_from_being_counted():
    stages = Stages()
    for lsn in range(1, 201):
        order(stages, lsn)
        stages.sent(0, lsn)
        stages.answered(lsn, 1000 + lsn, client=1)
    order(stages, 201)
    stages.sent(0, 201)
    stages.answered(201, 2000, client=2)
    stages.delivered(2, 2001)
    assert len(counted(stages)["delivered"][0]) == 1


def test_a_counter_that_goes_back_between_cores_counts_as_nothing():
    stages = Stages()
    order(stages, 10, at=5000)
    stages.ticks = 4000
    stages.replicated(10)
    assert counted(stages)["replicated"] == ([0], 0)


@pytest.mark.parametrize("left_ticks", [0, 1, 1000])
def test_a_counter_that_was_set_back_does_not_make_the_clock_leap(left_ticks):
    assert ns_after_the_counter_went_back(left_ticks) < 60 * 10**9  # else by hours, never to be taken back
