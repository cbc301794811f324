"""A counterparty asks for everything again: how long until it has it."""

from __future__ import annotations

from pathlib import Path

from gateway.bench.capacity.pair import Options, running_pair

WINDOW = 4096


def measure_resend(directory: Path, *, messages: int = 100_000, mode: str = "sync") -> dict[str, float]:
    """Seconds from the ResendRequest (35=2) until so many orders have come again, PossDupFlag=Y each."""
    with running_pair(directory, Options(mode=mode)) as pair, pair.load() as load:
        load.go(messages, WINDOW)
        (session,) = pair.counterparties
        before = pair.cpu_seconds("a")
        run = load.ask_again(0, session.next_in - messages, session.next_in - 1)
        used = pair.cpu_seconds("a") - before
    return {
        "messages": run["resent"],
        "seconds": run["elapsed_ns"] / 1e9,
        "node_a_cpu_seconds": used,
        "load_cpu_seconds": run["load_cpu_ns"] / 1e9,
    }
