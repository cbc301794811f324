"""Runs a target on one input after the other in a process of its own, and watches that from outside.

The worker puts each input into memory that it shares with its parent before it runs it, so that whatever becomes of the
worker (a signal, an endless loop, memory without bound), the input that did it is there to be kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import random
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.coverage import Coverage
from tests.fuzz.mutate import MAX_INPUT_BYTES, Mutator
from tests.fuzz.targets import corpus_of, target_named

INPUT_TIMEOUT_S = 10.0
WARM_UP_S = 3.0  # from the first input on: memory after it is what a target needs
MEMORY_GROWTH_MIB = 256
POLL_S = 0.1
HEADER = struct.Struct("<QQQQ")  # inputs begun, inputs found to lead to new code, seed, length of the input in hand
SHARED_BYTES = HEADER.size + MAX_INPUT_BYTES
BROKEN = 3  # exit status of a worker whose target raised


@dataclass(frozen=True)
class Finding:
    """What was found, if anything."""

    inputs: int
    kept: int
    seconds: float
    problem: str | None = None
    input_file: Path | None = None


def watch(
    target: str,
    seconds: float,
    seed: int,
    findings: Path,
    *,
    input_timeout_s: float = INPUT_TIMEOUT_S,
    growth_mib: int = MEMORY_GROWTH_MIB,
) -> Finding:
    """Runs `target` so long in a child process. A finding's input is put into the directory `findings`."""
    findings.mkdir(parents=True, exist_ok=True)
    label = target.rpartition(":")[2]
    place = findings / f".{label}-{os.getpid()}-{seed}"
    place.write_bytes(bytes(SHARED_BYTES))
    try:
        with place.open("r+b") as file, mmap.mmap(file.fileno(), SHARED_BYTES) as shared:
            command = [sys.executable, "-m", "tests.fuzz", "--worker", str(place), target]
            command += ["--seconds", str(seconds), "--seed", str(seed)]
            started = time.monotonic()
            worker = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            problem = _guard(worker, shared, started, seconds, input_timeout_s, growth_mib)
            begun, kept, _, length = HEADER.unpack_from(shared)
            saved = None
            if problem is not None:
                data = shared[HEADER.size : HEADER.size + length]
                saved = findings / f"{label}-{hashlib.sha256(data).hexdigest()[:16]}"
                saved.write_bytes(data)
            return Finding(begun, kept, time.monotonic() - started, problem, saved)
    finally:
        place.unlink()


def _guard(
    worker: subprocess.Popen[str],
    shared: mmap.mmap,
    started: float,
    seconds: float,
    input_timeout_s: float,
    growth_mib: int,
) -> str | None:
    """Waits for the end of the worker; what is wrong with it."""
    last, since, normal_mib = 0, started + input_timeout_s, 0.0  # the first input waits for imports
    warm_at = None
    while worker.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(POLL_S)
        now = time.monotonic()
        begun = HEADER.unpack_from(shared)[0]
        if begun != last:
            last, since = begun, now
            warm_at = warm_at or now + min(WARM_UP_S, seconds / 2)
        problem = None
        memory_mib = resident_mib(worker.pid)
        if warm_at is None or now < warm_at:
            normal_mib = max(normal_mib, memory_mib)
        elif memory_mib > normal_mib + growth_mib:
            problem = f"memory has grown from {normal_mib:.0f} to {memory_mib:.0f} MiB"
        if now - since > input_timeout_s:
            problem = f"one input has taken {now - since:.0f} s and more"
        if problem is not None:
            worker.kill()
            worker.communicate()
            return problem
    told = worker.communicate()[1]
    if worker.returncode == 0:
        return None
    what = f"ended by signal {-worker.returncode}" if worker.returncode < 0 else f"exit status {worker.returncode}"
    return f"{what}\n{told[-6000:]}"


def resident_mib(pid: int) -> float:
    """Memory of a process; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * mmap.PAGESIZE / 2**20


def work(place: Path, name: str, seconds: float, seed: int) -> int:
    """The worker: exit status 0, or BROKEN after it has printed what its target raised."""
    target = target_named(name)
    corpus = corpus_of(name, target)
    coverage = Coverage()
    mutator = Mutator(random.Random(seed), target.tokens)
    kept = 0
    with place.open("r+b") as file, mmap.mmap(file.fileno(), SHARED_BYTES) as shared:
        begun, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            data = corpus[begun] if begun < len(corpus) - kept else mutator.next(corpus)
            begun += 1
            shared[HEADER.size : HEADER.size + len(data)] = data
            HEADER.pack_into(shared, 0, begun, kept, seed, len(data))
            try:
                target.run(data)
            except BaseException:
                import traceback

                traceback.print_exc()
                return BROKEN
            if coverage.news():
                corpus.append(data)
                kept += 1
        HEADER.pack_into(shared, 0, begun, kept, seed, 0)
    return 0
