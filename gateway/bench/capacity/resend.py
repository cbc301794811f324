"""A counterparty asks for everything again: how long until it has it."""

from __future__ import annotations

from pathlib import Path

from gateway.bench.capacity.pair import load_spec, running_pair
from gateway.bench.scenario import Round

WINDOW = 4096


def measure_resend(directory: Path, *, messages: int = 100_000, mode: str = "sync") -> Round:
    """From the ResendRequest (35=2) until so many orders have come again, PossDupFlag=Y each."""
    with running_pair(directory, load_spec(mode=mode)) as pair, pair.load() as load:
        load.go(messages, WINDOW)
        (session,) = pair.counterparties
        before = pair.cpu_seconds("a")
        run = load.ask_again(0, session.next_in - messages, session.next_in - 1)
        used = pair.cpu_seconds("a") - before
    return Round(
        figures={
            "messages": run["resent"],
            "resend_ms": run["elapsed_ns"] / 1e6,
            "node_a_cpu_ms": used * 1e3,
            "load_cpu_ms": run["load_cpu_ns"] / 1e6,
        }
    )
