"""Latency counts from when an order was due: who stalls is charged for every order that had to wait meanwhile."""

import contextlib
import os
import signal
import threading

import numpy as np
import pytest

from gateway.bench.forwarders import forwarder
from gateway.bench.processes import placed
from gateway.bench.scenario import Setting
from gateway.bench.scenarios.wire import ANSWERED, DUE, IN, OUT, SCENARIOS, SENT, round_of

INTERVAL_NS = 1_000_000
STALL_NS = 100_000_000
ORDERS = 400


@contextlib.contextmanager
def stalled(pid):
    """Stops a process for a while, once, in the middle of a measurement."""

    def stall():
        os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(STALL_NS / 1e9)
        os.kill(pid, signal.SIGCONT)

    timer = threading.Timer(0.1, stall)
    timer.start()
    yield
    timer.join()


def test_orders_are_due_at_fixed_times_whatever_became_of_those_before():
    with forwarder(with_standby=True, wait="block") as way:
        times = way.measure(50, interval_ns=INTERVAL_NS)
    assert np.all(np.diff(times[:, DUE]) == INTERVAL_NS)
    for earlier, later in ((DUE, SENT), (SENT, OUT), (OUT, ANSWERED), (ANSWERED, IN)):
        assert np.all(times[:, earlier] <= times[:, later])


def test_a_stall_is_seen_by_every_order_that_was_due_during_it():
    with forwarder(with_standby=False, wait="block") as way, stalled(way.pids[0]):
        times = way.measure(ORDERS, interval_ns=INTERVAL_NS).astype(np.int64)
    latency = times[:, OUT] - times[:, DUE]
    worst = int(np.argmax(latency))
    assert latency[worst] > STALL_NS * 0.9
    # The stall ends at one moment: whoever was due so much later waited so much less.
    during = range(worst, worst + int(STALL_NS * 0.8 / INTERVAL_NS))
    for number in during:
        assert latency[number] >= latency[worst] - (number - worst) * INTERVAL_NS - INTERVAL_NS


def test_a_stall_of_the_load_itself_is_charged_too():
    due = np.arange(100, dtype=np.uint64) * 1000
    sent = due.copy()
    sent[10:20] = sent[20]  # nobody handed anything in for a while
    times = np.stack([due, sent, sent + 5, sent + 6, sent + 9], axis=1)
    one = round_of(times)
    assert one.series["order to broker"].max() == 10 * 1000 + 5
    assert one.figures["worst_delay_of_the_load_itself_us"] == 10.0


def test_one_at_a_time_the_next_is_due_when_the_one_before_is_answered():
    with forwarder(with_standby=False, wait="block") as way:
        times = way.measure(50, pause_ns=10_000)
    assert np.all(times[1:, DUE] >= times[:-1, IN] + 10_000)


@pytest.mark.parametrize("wait", ["spin", "yield"])
def test_who_polls_gets_every_answer_too(wait):
    with forwarder(with_standby=True, wait=wait, late_acks=True) as way:
        times = way.measure(50, interval_ns=INTERVAL_NS)
    assert np.all(times[:, DUE] < times[:, IN])


def test_a_connection_that_ends_is_an_error():
    with forwarder(with_standby=False, wait="block") as way:
        way.broker.shutdown(2)
        with pytest.raises(RuntimeError, match="closed"):
            way.measure(10)


def test_parties_are_placed_on_cores_that_this_process_may_use():
    allowed = os.sched_getaffinity(0)
    one, many = placed(on_one=True), placed()
    assert one.gateway == one.standby == one.measuring
    assert {many.gateway, many.standby, many.measuring} <= allowed
    assert len(allowed) == 1 or many.gateway not in (many.standby, many.measuring)
    assert placed(gateway=max(allowed)).gateway == max(allowed)
    assert placed(gateway=10**6).gateway in allowed


@pytest.mark.parametrize("way", ["shm", "tcp"])
def test_the_floor_is_reached_in_the_way_in_which_the_gateway_is(tmp_path, way):
    scenario = next(one for one in SCENARIOS if one.name == f"wire.{way}.async.poll")
    for subject in scenario.subjects:
        if subject.role == "floor":
            with subject.open(Setting(tmp_path, 20, 2_000.0)) as running:
                assert (running.way.rings is not None) == (way == "shm")
                assert len(running.measure().series["order to broker"]) == 20
