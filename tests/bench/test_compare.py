"""What became faster or slower is said so; what did not change is not."""

import numpy as np
import pytest

from gateway.bench.compare import Verdict, compare, ratio_of_medians
from tests.bench.synthetic import run_of, subject


def verdicts(comparison, *, upto=3):
    """Of the percentiles that have enough values to be steady."""
    return {change.verdict for change in comparison.changes[:upto]}


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, Verdict.SAME), (0.9, Verdict.FASTER), (1.1, Verdict.SLOWER), (3.0, Verdict.SLOWER)]
)
def test_a_change_beyond_the_wobble_of_the_rounds_is_found(factor, verdict):
    comparison = compare(run_of(subject(seed=1)), run_of(subject(seed=2, median=10_000 * factor)))
    assert verdicts(comparison) == {verdict}
    first = comparison.changes[0]
    assert first.what == "order to broker p50"
    assert first.low <= first.ratio <= first.high
    assert first.ratio == pytest.approx(factor, rel=0.05)


def test_a_change_within_the_wobble_is_none():
    comparison = compare(run_of(subject(seed=1, wobble=0.3)), run_of(subject(seed=2, wobble=0.3, median=10_300)))
    assert comparison.changes[0].verdict is Verdict.SAME


def test_the_same_result_twice_shows_no_difference():
    run = run_of(subject())
    comparison = compare(run, run)
    assert {change.verdict for change in comparison.changes} == {Verdict.SAME}
    assert {change.ratio for change in comparison.changes} == {1.0}


def test_few_rounds_say_nothing():
    comparison = compare(run_of(subject(rounds=2)), run_of(subject(rounds=2, median=90_000)))
    assert verdicts(comparison) == {Verdict.UNKNOWN}


@pytest.mark.parametrize(
    ("name", "what", "up", "down"),
    [
        ("orders_per_s", "orders, 1/s", Verdict.FASTER, Verdict.SLOWER),
        ("node_a_cpu_ns", "node a cpu, ns", Verdict.SLOWER, Verdict.FASTER),
        ("catch_up_ms", "catch up, ms", Verdict.SLOWER, Verdict.FASTER),
        ("node_a_full_mib", "node a full, MiB", Verdict.LARGER, Verdict.SMALLER),
        ("records", "records", Verdict.HIGHER, Verdict.LOWER),
    ],
)
def test_the_unit_of_a_figure_says_what_more_of_it_means(name, what, up, down):
    less, more = run_of(subject(figures={name: 100.0})), run_of(subject(figures={name: 150.0}))
    assert [(c.what, c.verdict) for c in compare(less, more).changes if c.what == what] == [(what, up)]
    assert [(c.what, c.verdict) for c in compare(more, less).changes if c.what == what] == [(what, down)]


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        old, new = generator.normal(100, 5, 10), generator.normal(100, 5, 10)
        _, low, high = ratio_of_medians(old, new, generator)
        covered += low <= 1 <= high
    assert covered >= 180


def test_zeros_are_no_crash():
    generator = np.random.default_rng(1)
    assert ratio_of_medians(np.zeros(6), np.zeros(6), generator) == (1.0, 1.0, 1.0)
    assert ratio_of_medians(np.zeros(6), np.ones(6), generator)[0] > 1e300


def test_what_only_one_has_and_what_differs_in_host_and_load_is_named():
    old = run_of(subject("gateway"), subject("quickfix", "peer"))
    new = run_of(subject("gateway"), subject("floor", "floor"), rate=5_000.0)
    new = new.model_copy(update={"host": {**new.host, "kernel": "Linux 7"}})
    comparison = compare(old, new)
    assert comparison.only_old == ["wire.tcp.sync.poll quickfix"]
    assert comparison.only_new == ["wire.tcp.sync.poll floor"]
    assert [line.partition(":")[0] for line in comparison.host_differences] == ["kernel", "rate"]
