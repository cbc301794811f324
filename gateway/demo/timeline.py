"""How long a takeover took, step by step, from the kill to the first new order at the broker."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from gateway.audit.evidence import BrokerEvidence, ClientEvidence

NS_PER_MS = 1e6
NS_PER_US = 1e3
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(slots=True)
class Kill:
    """One SIGKILL of a primary."""

    node: str
    successor: str
    epoch: int
    wall_ns: int


@dataclass(slots=True)
class TakeoverTimes:
    """Milliseconds from the SIGKILL to the end of each step; None: not seen."""

    killed: str
    successor: str
    epoch: int
    detect: float | None
    register: float | None
    connect: float | None
    logon: float | None
    ready: float | None
    first_order_at_broker: float | None
    last_seq_before: int
    first_seq_after: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)


def takeover_times(kill: Kill, node_dir: Path, broker: BrokerEvidence, numbers: tuple[int, int]) -> TakeoverTimes:
    """From the successor's incident report and the broker's ledger; all processes share one host's clock.

    `numbers` are the last MsgSeqNum before the epoch and the first after it.
    """
    incident = orjson.loads((node_dir / "incidents" / f"epoch-{kill.epoch:06d}.json").read_bytes())
    suspected_ms = (incident["suspected_wall_ns"] - kill.wall_ns) / NS_PER_MS
    steps, session = incident["ms_after_suspicion"], incident["sessions"][0]["ms_after_suspicion"]

    def since_kill(after_suspicion: float | None) -> float | None:
        return None if after_suspicion is None else round(suspected_ms + after_suspicion, 3)

    first = min(
        (order.wall_ns for order in broker.orders if order.wall_ns > kill.wall_ns and order.seq > numbers[0]),
        default=None,
    )
    return TakeoverTimes(
        kill.node,
        kill.successor,
        kill.epoch,
        round(suspected_ms, 3),
        since_kill(steps["register_won"]),
        since_kill(session["connected"]),
        since_kill(session["logged_on"]),
        since_kill(session["ready"]),
        None if first is None else round((first - kill.wall_ns) / NS_PER_MS, 3),
        *numbers,
    )


def latencies_us(client: ClientEvidence) -> dict[str, dict[str, float]]:
    """Percentiles in microseconds, seen by the client process: submission to ACCEPTED, and to the first execution."""
    accepted = [o.outcome_wall_ns - o.submitted_wall_ns for o in client.orders.values() if o.outcome == "accepted"]
    executed = [
        o.first_execution_wall_ns - o.submitted_wall_ns for o in client.orders.values() if o.first_execution_wall_ns
    ]
    return {"order to accepted": _percentiles(accepted), "order to first execution": _percentiles(executed)}


def _percentiles(values_ns: list[int]) -> dict[str, float]:
    if not values_ns:
        return {}
    values = np.asarray(values_ns, dtype=np.float64) / NS_PER_US
    result = {
        f"p{p:g}": round(float(v), 1) for p, v in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)
    }
    result["max"] = round(float(values.max()), 1)
    return result
