"""A node's figures in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.node.latency import StageHistogram, octaves

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Stages(Collector):
    def __init__(self, stages: Mapping[str, StageHistogram]) -> None:
        self._stages = stages

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(
            "gateway_order_stage_seconds",
            "How long each stage of an order took; see `gateway latency`",
            labels=["stage"],
        )
        for name, stage in self._stages.items():
            buckets = [(repr(seconds), count) for seconds, count in octaves(stage)]
            family.add_metric([name], [*buckets, ("+Inf", stage.count)], stage.sum_ns / 1e9)
        yield family


def render(stages: Mapping[str, StageHistogram]) -> bytes:
    """The page that Prometheus scrapes."""
    registry = CollectorRegistry()
    registry.register(_Stages(stages))
    return generate_latest(registry)
