"""Stage histograms as figures: for the control API, `gateway latency`, metrics and benchmark reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.native.stages import BUCKETS, NAMES, bucket_floor

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)
FLOORS_NS = np.array([bucket_floor(i) for i in range(BUCKETS + 1)], np.uint64)


@dataclass(frozen=True, slots=True)
class StageHistogram:
    """How often a stage took so long: counts[i] between FLOORS_NS[i] and FLOORS_NS[i + 1]."""

    counts: NDArray[np.uint64]
    sum_ns: int

    @property
    def count(self) -> int:
        """Orders that were measured."""
        return int(self.counts.sum())

    def percentile(self, share: float) -> int:
        """ns within which `share` percent were, 0 to 100; the bucket's upper end: at most 3 % too long."""
        cumulative = np.cumsum(self.counts)
        rank = max(1, int(np.ceil(self.count * share / 100)))
        return int(FLOORS_NS[int(np.searchsorted(cumulative, rank)) + 1]) - 1 if self.count else 0

    def minus(self, earlier: StageHistogram) -> StageHistogram:
        """What came since `earlier`; everything, if the node was started anew since then."""
        if (self.counts < earlier.counts).any():
            return self
        return StageHistogram(self.counts - earlier.counts, self.sum_ns - earlier.sum_ns)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able figures in ns, and the buckets that are not empty as [floor, count]."""
        figures: dict[str, Any] = {"count": self.count}
        if self.count:
            figures["mean"] = self.sum_ns / self.count
            figures |= {f"p{share:g}": self.percentile(share) for share in PERCENTILES}
            figures["max"] = self.percentile(100.0)
        figures["sum"] = self.sum_ns
        figures["buckets"] = [[int(FLOORS_NS[i]), int(self.counts[i])] for i in np.flatnonzero(self.counts)]
        return figures

    @classmethod
    def from_dict(cls, figures: Mapping[str, Any]) -> StageHistogram:
        """From `as_dict`."""
        counts = np.zeros(BUCKETS, np.uint64)
        for floor, count in figures["buckets"]:
            counts[int(np.searchsorted(FLOORS_NS, floor, side="right")) - 1] += count
        return cls(counts, figures["sum"])


def read_stages(histograms: Mapping[str, tuple[bytes, int]]) -> dict[str, StageHistogram]:
    """What `Node.stages()` gave, by stage in the order in which an order meets them."""
    return {name: StageHistogram(np.frombuffer(histograms[name][0], np.uint64), histograms[name][1]) for name in NAMES}


def stages_dict(stages: Mapping[str, StageHistogram]) -> dict[str, Any]:
    """JSON-able; times in ns."""
    return {name: stage.as_dict() for name, stage in stages.items()}


def stages_from(answer: Mapping[str, Any]) -> dict[str, StageHistogram]:
    """From `stages_dict`."""
    return {name: StageHistogram.from_dict(figures) for name, figures in answer.items()}


def octaves(stage: StageHistogram) -> Iterable[tuple[float, int]]:
    """(seconds, how many took at most that long) at each power of two of a nanosecond from 64: for metrics."""
    cumulative = np.concatenate((np.zeros(1, np.uint64), np.cumsum(stage.counts)))
    for bit in range(6, 34):
        yield 2.0**bit / 1e9, int(cumulative[int(np.searchsorted(FLOORS_NS, 1 << bit))])
