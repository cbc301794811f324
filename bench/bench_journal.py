"""The journal's append path, measured inside native code: `pytest bench/bench_journal.py`.

A record of 250 payload bytes is reserved, filled, sealed (CRC-32C) and indexed. `ns_per_append` counts batches of 64,
so that the clock's own cost vanishes; the percentiles time each append by itself and contain some 20 ns of clock. With
`every`, the flusher writes to the disk of the temporary directory meanwhile, on another core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gateway.journal.flusher import Flusher, Policy
from gateway.native import record as names
from gateway.native.crc32c import checksum
from gateway.native.journal import Journal

PAYLOAD_BYTES = 250
APPENDS = 100_000
BATCH = 64


@pytest.fixture(params=["none", "interval", "every"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    policy: Policy = request.param
    with Journal.open(tmp_path, max_seq=1 << 26) as opened:
        flusher = Flusher(opened, policy=policy, interval_ns=1_000_000, on_error=pytest.fail)
        flusher.start()
        yield opened
        flusher.stop()


def test_append(benchmark: BenchmarkFixture, journal: Journal) -> None:
    batches = benchmark.pedantic(
        journal.measure_append, (APPENDS // BATCH, PAYLOAD_BYTES, BATCH), rounds=5, warmup_rounds=1
    )
    each = sorted(journal.measure_append(APPENDS, PAYLOAD_BYTES))
    benchmark.extra_info.update(
        ns_per_append=round(statistics.median(batches), 1),
        p50_ns=each[APPENDS // 2],
        p99_ns=each[APPENDS * 99 // 100],
        p999_ns=each[APPENDS * 999 // 1000],
    )


def test_crc32c_of_a_record(benchmark: BenchmarkFixture) -> None:
    data = bytes(PAYLOAD_BYTES + 44)
    benchmark(checksum, data)


def test_commit_to_durable_with_every(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """From the append of one record to its being on the disk, as a waiting thread sees it."""
    with Journal.open(tmp_path) as opened:
        flusher = Flusher(opened, policy="every", on_error=pytest.fail)
        flusher.start()

        def one() -> None:
            lsn = opened.append(names.OUT, 0, bytes(PAYLOAD_BYTES))
            while opened.flushed_lsn < lsn:
                time.sleep(0)

        benchmark.pedantic(one, rounds=3000, warmup_rounds=100)
        flusher.stop()
