"""Where a node's threads run: the reactor on the core that the configuration gives it, all others elsewhere.

Whatever shares the reactor's core delays orders: the control thread, the flusher, and the pools of threads that
libraries start. A thread inherits the cores of the one that starts it.
"""

from __future__ import annotations

import contextlib
import gc
import os

from gateway.errors import GatewayError


def check_core(cpu: int | None, key: str) -> None:
    """Raises GatewayError if nothing may run on that core: the reactor's thread would die, and the process not."""
    if cpu is None:
        return
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError as error:
        cores = ", ".join(map(str, sorted(allowed)))
        raise GatewayError(f"{key}: cannot run on core {cpu}: {error.strerror}; there are: {cores}") from None
    os.sched_setaffinity(0, allowed)


def take_core(cpu: int | None) -> None:
    """This thread runs on that core alone, and no other thread of the node does."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})


def leave_core(cpu: int | None) -> None:
    """All threads that there are, and those that they start, run on the other cores, if there are any."""
    if cpu is None or not (others := os.sched_getaffinity(0) - {cpu}):
        return
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread), others)


def freeze_memory() -> None:
    """What is there after the start stays: the collector need not look at it again, in a takeover of all moments."""
    gc.collect()
    gc.freeze()
