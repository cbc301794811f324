"""Instruments that are functions, called on a core of their own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from gateway.bench.processes import pinned, placed
from gateway.bench.scenario import Calls, Instrument, Opener, Round, Setting

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


def timed(function: Callable[[int], object], count: int) -> NDArray[np.float64]:
    """ns of each call of a function of Python's, which is given the number of the call."""
    taken = np.empty(count)
    clock = time.perf_counter_ns
    for number in range(count):
        start = clock()
        function(number)
        taken[number] = clock() - start
    return taken
