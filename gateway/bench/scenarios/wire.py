"""An order through a pair of real nodes, and its execution back; beside the same hops without FIX and without a log.

The gateway and the floor run in the same way: `poll` (every party has a core of its own as far as there are any, and
never sleeps) or `epoll` (all parties sleep and share one core).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.bench.forwarders import Forwarder, forwarder
from gateway.bench.pairconfig import MODES, WAYS, PairSpec, spec_of
from gateway.bench.probed_pair import ProbedPair, probed_pair
from gateway.bench.processes import Cores, continue_processes, placed, stop_processes
from gateway.bench.quickfix_gateway import QuickFixGateway, quickfix_gateway
from gateway.bench.scenario import Instrument, Opener, Round, Scenario, Setting, Subject
from gateway.node.latency import FLOORS_NS, StageHistogram

DUE, SENT, OUT, ANSWERED, IN = range(5)  # columns of times
SCHEDULINGS = {"poll": "busy-poll", "epoll": "epoll"}  # and what the reactor calls it
WAITS = {"poll": "spin", "epoll": "block"}
TEXTS = {"shm": "shared memory", "tcp": "TCP", "fix": "FIX"}
OPERATIONS = 5_000
QUICK_OPERATIONS = 200
SETTLING = 50  # orders after a stop, thrown away
SETTLING_PAUSE_NS = 20_000


def round_of(times: NDArray[np.uint64]) -> Round:
    """What rows of times say: latencies from the time at which an order was due, not from when it was handed in."""
    due, sent, out, answered, back = (times[:, column] for column in (DUE, SENT, OUT, ANSWERED, IN))
    seconds = float(back.max() - due[0]) / 1e9
    return Round(
        series={"order to broker": out - due, "execution to client": back - answered, "order to execution": back - due},
        starts_ns=due,
        figures={
            "orders_per_s": len(times) / seconds,
            "worst_delay_of_the_load_itself_us": float((sent - due).max()) / 1e3,
        },
    )


def stage_values(stage: StageHistogram) -> NDArray[np.float64]:
    """The ns of each order in a stage, as exactly as its buckets tell."""
    middles = (FLOORS_NS[:-1] + FLOORS_NS[1:] - 1) / 2
    return np.repeat(middles, stage.counts.astype(np.int64))


@dataclass(frozen=True, slots=True)
class Running:
    """A way from client to broker whose processes are stopped while others are measured."""

    way: ProbedPair | Forwarder | QuickFixGateway
    setting: Setting

    def measure(self) -> Round:
        """One round of open-loop load."""
        self.way.measure(SETTLING, pause_ns=SETTLING_PAUSE_NS)
        before = self.way.stages() if isinstance(self.way, ProbedPair) else {}
        one = round_of(self.way.measure(self.setting.operations, interval_ns=self.setting.interval_ns))
        after = self.way.stages() if isinstance(self.way, ProbedPair) else {}
        return replace(one, stages={name: stage_values(after[name].minus(before[name])) for name in after})

    def sleep(self) -> None:
        """Its processes are stopped."""
        stop_processes(self.way.pids)

    def wake(self) -> None:
        """They go on."""
        continue_processes(self.way.pids)
        if isinstance(self.way, ProbedPair):
            self.way.settle()


@contextlib.contextmanager
def _running(way: ProbedPair | Forwarder | QuickFixGateway, setting: Setting) -> Iterator[Instrument]:
    try:
        yield Running(way, setting)
    finally:
        continue_processes(way.pids)  # one that is stopped cannot end


def _cores(setting: Setting, scheduling: str) -> Cores:
    own = setting.config.node[setting.node].cpu if setting.config is not None else None
    return placed(on_one=scheduling == "epoll", gateway=own)


def _pair(spec: PairSpec, scheduling: str) -> Opener:
    @contextlib.contextmanager
    def opened(setting: Setting) -> Iterator[Instrument]:
        own = spec_of(setting.config, setting.node, spec) if setting.config is not None else spec
        with probed_pair(setting.directory, own, _cores(setting, scheduling)) as pair, _running(pair, setting) as one:
            yield one

    return opened


def _floor(way: str, mode: str, scheduling: str, *, late_acks: bool = False) -> Opener:
    @contextlib.contextmanager
    def opened(setting: Setting) -> Iterator[Instrument]:
        cores = _cores(setting, scheduling)
        with (
            forwarder(
                with_standby=mode == "sync",
                wait=WAITS[scheduling],
                late_acks=late_acks,
                cores=cores,
                shared=way == "shm",
            ) as floor,
            _running(floor, setting) as one,
        ):
            yield one

    return opened


def _quickfix(store: str, scheduling: str) -> Opener:
    @contextlib.contextmanager
    def opened(setting: Setting) -> Iterator[Instrument]:
        with (
            quickfix_gateway(setting.directory, store, _cores(setting, scheduling)) as engine,
            _running(engine, setting) as one,
        ):
            yield one

    return opened


def _scenario(way: str, mode: str, scheduling: str) -> Scenario:
    spec = PairSpec(mode=mode, way=way, reactor=SCHEDULINGS[scheduling])
    subjects = [Subject("gateway", "gateway", _pair(spec, scheduling))]
    if way != "shm" or scheduling == "poll":  # nobody sleeps on shared memory alone
        subjects.append(Subject("floor", "floor", _floor(way, mode, scheduling)))
        subjects.append(Subject("floor, late acks", "floor", _floor(way, mode, scheduling, late_acks=True)))
    subjects += [
        Subject(f"quickfix, {store}", "peer", _quickfix(store, scheduling), needs="quickfix")
        for store in ("memory", "file")
    ]
    how = "all parties sleep, on one core" if scheduling == "epoll" else "all parties poll"
    text = f"an order in by {TEXTS[way]}, out to the broker by TCP, and its execution back; {mode}, {how}"
    name = f"wire.{way}.{mode}.{scheduling}"
    return Scenario(name, text, tuple(subjects), OPERATIONS, QUICK_OPERATIONS, open_loop=True)


SCENARIOS = tuple(_scenario(way, mode, scheduling) for way in WAYS for mode in MODES for scheduling in SCHEDULINGS)
