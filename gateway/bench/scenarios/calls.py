"""Instruments that are functions, called on a core of their own."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.bench.processes import pinned, placed
from gateway.bench.scenario import Calls, Instrument, Opener, Round, Setting

Measure = Callable[[Path, int], Round]  # in a new directory, with so many operations
Prepare = Callable[[Setting], Callable[[], Round]]  # makes what is needed, and returns what measures one round


def calls(prepare: Prepare) -> Opener:
    """Opens an instrument that is the function which `prepare` makes."""

    @contextlib.contextmanager
    def opened(setting: Setting) -> Iterator[Instrument]:
        measure = prepare(setting)

        def on_its_core() -> Round:
            with pinned(placed().gateway):
                return measure()

        yield Calls(on_its_core)

    return opened


def anew(measure: Measure) -> Opener:
    """Opens an instrument that builds, measures and tears down in every round."""

    @contextlib.contextmanager
    def opened(setting: Setting) -> Iterator[Instrument]:
        def one() -> Round:
            with tempfile.TemporaryDirectory(dir=setting.directory) as directory:
                return measure(Path(directory), setting.operations)

        yield Calls(one)

    return opened


def timed(function: Callable[[int], object], count: int) -> NDArray[np.float64]:
    """ns of each call of a function of Python's, which is given the number of the call."""
    taken = np.empty(count)
    clock = time.perf_counter_ns
    for number in range(count):
        start = clock()
        function(number)
        taken[number] = clock() - start
    return taken
