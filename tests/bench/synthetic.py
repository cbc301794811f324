"""Results that nobody measured."""

import numpy as np

from gateway.bench.results import RunResult, ScenarioResult, SubjectResult, round_result
from gateway.bench.scenario import Round

HOST = {
    "cpu": "a processor",
    "cores": [0, 1],
    "virtual": False,
    "kernel": "Linux 6.1",
    "files": {"governor": "performance"},
    "socket_options": {"TCP_NODELAY": True},
    "versions": {"gateway": "0.1"},
}


def subject(name="gateway", role="gateway", *, median=10_000.0, rounds=10, seed=1, count=2_000, wobble=0.01, **more):
    """Rounds whose medians differ by `wobble`, relatively."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(rounds):
        values = generator.lognormal(np.log(median * (1 + wobble * generator.standard_normal())), 0.2, count)
        starts = (np.arange(count) * 100_000).astype(np.uint64)
        found.append(round_result(Round({"order to broker": values}, starts, **more)))
    return SubjectResult(subject=name, role=role, rounds=found)


def run_of(*subjects, scenario="wire.tcp.sync.poll", rate=10_000.0):
    """A run of one scenario."""
    one = ScenarioResult(scenario=scenario, text="an order", load="open loop", subjects=list(subjects))
    return RunResult(started="2026-11-21T12:00:00Z", settings={"rounds": 10, "rate": rate}, host=HOST, scenarios=[one])
