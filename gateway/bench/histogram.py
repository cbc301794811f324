"""Latencies as a histogram with a bounded relative error: what a result file holds of each round. Pure.

Log-linear buckets (as HdrHistogram has them): 256 to each power of two of a picosecond, so a percentile is off by at
most 0.2 %. The smallest and the largest value are kept as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99, 100.0)
PS_PER_NS = 1000
SUB_BITS = 8
SUB_BUCKETS = 1 << SUB_BITS
MAX_INDEX = (64 - SUB_BITS) << SUB_BITS

Values = NDArray[np.float64] | NDArray[np.uint64]


class Histogram(BaseModel):
    """How many values fell into which bucket. Values in ns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    indices: list[int] = Field(description="of buckets that are not empty, ascending")
    counts: list[int]
    lowest: float
    highest: float

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.indices) != len(self.counts) or not self.indices:
            raise ValueError("`indices` and `counts`: as many of each, and at least one")
        if any(b <= a for a, b in zip(self.indices, self.indices[1:], strict=False)) or self.indices[0] < 0:
            raise ValueError("`indices` must ascend")
        if self.indices[-1] > MAX_INDEX or min(self.counts) < 1 or not 0 <= self.lowest <= self.highest < math.inf:
            raise ValueError("an index, a count, `lowest` or `highest` is out of range")
        return self

    @property
    def count(self) -> int:
        """How many values it is made of."""
        return sum(self.counts)

    def percentile(self, percent: float) -> float:
        """The value that `percent` of all are at or below, in ns; 100: the largest."""
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Sequence[float] = PERCENTILES) -> list[float]:
        """Values for several percentages, in ns."""
        ends = np.cumsum(self.counts)
        middles = np.clip(_middles(np.array(self.indices, np.int64)), self.lowest, self.highest)
        found = []
        for percent in percents:
            rank = max(1, math.ceil(percent / 100 * int(ends[-1]) - 1e-9))
            is_last = percent >= 100 or rank >= int(ends[-1])
            found.append(self.highest if is_last else float(middles[int(np.searchsorted(ends, rank))]))
        return found


def histogram_of(values: Values) -> Histogram:
    """The histogram of values in ns. Raises ValueError when there are none, or one is negative or no number."""
    if len(values) == 0:
        raise ValueError("no values")
    exact = np.asarray(values, np.float64)
    if not np.all(np.isfinite(exact)) or exact.min() < 0:
        raise ValueError("a value is negative or not a number")
    indices, counts = np.unique(_indices(exact), return_counts=True)
    return Histogram(
        indices=indices.tolist(), counts=counts.tolist(), lowest=float(exact.min()), highest=float(exact.max())
    )


def merged(histograms: Sequence[Histogram]) -> Histogram:
    """All of them as one. Raises ValueError when there are none."""
    if not histograms:
        raise ValueError("no histograms")
    totals: dict[int, int] = {}
    for histogram in histograms:
        for index, count in zip(histogram.indices, histogram.counts, strict=True):
            totals[index] = totals.get(index, 0) + count
    indices = sorted(totals)
    return Histogram(
        indices=indices,
        counts=[totals[index] for index in indices],
        lowest=min(histogram.lowest for histogram in histograms),
        highest=max(histogram.highest for histogram in histograms),
    )


def _indices(values: NDArray[np.float64]) -> NDArray[np.int64]:
    ticks = np.rint(values * PS_PER_NS)
    _, exponents = np.frexp(ticks)  # ticks = m * 2**exponent with m in [0.5, 1)
    shifts = np.maximum(exponents.astype(np.int64) - (SUB_BITS + 1), 0)
    return (shifts << SUB_BITS) + np.floor(np.ldexp(ticks, -shifts.astype(np.int32))).astype(np.int64)


def _middles(indices: NDArray[np.int64]) -> NDArray[np.float64]:
    shifts = np.maximum((indices >> SUB_BITS) - 1, 0)
    parts = indices - (shifts << SUB_BITS)
    widths = np.ldexp(1.0, shifts.astype(np.int32))
    middles: NDArray[np.float64] = (parts * widths + (widths - 1) / 2) / PS_PER_NS
    return middles
