"""Percentiles from a histogram are those of the values, within its resolution; what is no histogram is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.bench.histogram import PERCENTILES, Histogram, histogram_of, merged

RESOLUTION = 0.002
HALF_A_PICOSECOND = 0.0005


ROUNDING = 1e-6  # of a percentage: 0.999 * 1000 is not quite 999 in binary


def assert_like_numpy(values: np.ndarray) -> None:
    found = histogram_of(values).percentiles()
    for percent, one in zip(PERCENTILES, found, strict=True):
        ends = np.clip((percent - ROUNDING, percent + ROUNDING), 0, 100)
        low, high = np.percentile(values, ends, method="inverted_cdf")
        assert low * (1 - RESOLUTION) - 2 * HALF_A_PICOSECOND <= one <= high * (1 + RESOLUTION) + 2 * HALF_A_PICOSECOND


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=300))
def test_percentiles_are_those_of_numpy_within_the_resolution(values):
    assert_like_numpy(np.array(values))


def test_a_long_tail_is_found_where_numpy_finds_it():
    values = np.random.default_rng(1).lognormal(9, 1.5, 200_000)
    assert_like_numpy(values)


def test_the_smallest_and_the_largest_value_are_exact():
    found = histogram_of(np.array([12.345678, 99.0, 1234567.890123]))
    assert (found.lowest, found.highest, found.percentile(100)) == (12.345678, 1234567.890123, 1234567.890123)


@given(st.lists(st.lists(st.integers(0, 10**10), min_size=1, max_size=50), min_size=1, max_size=5))
def test_merged_histograms_are_the_histogram_of_all_values(parts):
    parts = [np.array(part, np.uint64) for part in parts]
    assert merged([histogram_of(part) for part in parts]) == histogram_of(np.concatenate(parts))


@pytest.mark.parametrize("values", [[], [1.0, -1.0], [float("nan")], [float("inf")]])
def test_what_is_no_latency_is_refused(values):
    with pytest.raises(ValueError, match="value"):
        histogram_of(np.array(values))


@pytest.mark.parametrize(
    "broken",
    [
        {"indices": [1, 1], "counts": [1, 1]},
        {"indices": [2, 1], "counts": [1, 1]},
        {"indices": [1], "counts": [1, 1]},
        {"indices": [], "counts": []},
        {"indices": [-1], "counts": [1]},
        {"indices": [1], "counts": [0]},
        {"indices": [1 << 60], "counts": [1]},
        {"lowest": 9.0, "highest": 1.0},
    ],
)
def test_a_file_cannot_bring_in_a_broken_one(broken):
    with pytest.raises(ValidationError):
        Histogram.model_validate({"indices": [1], "counts": [1], "lowest": 0.0, "highest": 1.0, **broken})
