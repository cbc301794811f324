"""What a round showed, and what many rounds showed together. Pure data and arithmetic."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.audit.audit import AuditResult
from gateway.chaos.plan import Round

DOUBLED = frozenset({"processed twice", "executions doubled", "numbers reused", "orders logged twice"})
LOST = frozenset({"lost", "unanswered", "rejected but processed", "executions missed"})
PERCENTILES = (50.0, 90.0, 99.0, 100.0)


@dataclass(slots=True)
class RoundResult:
    """One round: its faults, what was traded and found, how long it took (s)."""

    round: Round
    world: str
    born: int = 0  # number of the first round of its world
    orders: int = 0
    takeovers: int = 0
    duplicates: int = 0
    losses: int = 0
    window_losses: int = 0  # async: orders that only the primary that is gone had; allowed
    other: int = 0
    healed_s: float | None = None  # from the last repair until the pair was whole
    took_s: float = 0.0
    takeover_ms: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problem

    def count(self, audit: AuditResult) -> None:
        """Takes over the findings of an audit."""
        found = {finding.name: finding for finding in audit.findings if not finding.passed}
        self.duplicates = sum(finding.count for name, finding in found.items() if name in DOUBLED)
        self.losses = sum(finding.count for name, finding in found.items() if name in LOST)
        self.other = sum(finding.count for name, finding in found.items() if name not in DOUBLED | LOST)
        if found:
            told = (f"{name}: {finding.count} ({', '.join(finding.examples)})" for name, finding in found.items())
            self.problem = "audit: " + "; ".join(told)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "round": self.round.number,
            "world": self.world,
            "faults": [
                {"kind": fault.kind, "target": fault.target, "at_s": fault.at_s, "for_s": fault.for_s}
                for fault in self.round.faults
            ],
            "orders": self.orders,
            "takeovers": self.takeovers,
            "duplicates": self.duplicates,
            "losses": self.losses,
            "window_losses": self.window_losses,
            "other_findings": self.other,
            "healed_s": self.healed_s,
            "took_s": round(self.took_s, 3),
            "takeover_ms": self.takeover_ms,
            "problem": self.problem,
        }


@dataclass(slots=True)
class Summary:
    """All rounds."""

    rounds: int = 0
    failed: int = 0
    unhealed: int = 0
    orders: int = 0
    takeovers: int = 0
    duplicates: int = 0
    losses: int = 0
    window_losses: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    takeover_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, result: RoundResult) -> None:
        """One more round."""
        self.rounds += 1
        self.failed += not result.passed
        self.unhealed += result.healed_s is None
        self.orders += result.orders
        self.takeovers += result.takeovers
        self.duplicates += result.duplicates
        self.losses += result.losses
        self.window_losses += result.window_losses
        self.faults.update(fault.kind.value for fault in result.round.faults)
        self.takeover_ms += result.takeover_ms

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "rounds": self.rounds,
            "failed": self.failed,
            "unhealed": self.unhealed,
            "orders": self.orders,
            "takeovers": self.takeovers,
            "duplicates": self.duplicates,
            "losses": self.losses,
            "window_losses": self.window_losses,
            "faults": dict(self.faults.most_common()),
            "takeover_ms": percentiles(self.takeover_ms),
            "measured_takeovers": len(self.takeover_ms),
            "seconds": round(self.seconds, 1),
        }


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p90, p99 and max; {} of nothing."""
    if not values:
        return {}
    points = np.percentile(np.asarray(values), PERCENTILES)
    return {"max" if p == 100 else f"p{p:g}": round(float(v), 3) for p, v in zip(PERCENTILES, points, strict=True)}
