"""What a figure's name says: `node_a_cpu_ms` is "node a cpu" in ms, and the lower the better. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

NS_PER_US = 1e3
NS_PER_MS = 1e6


class Kind(Enum):
    """What a figure measures, and so whether more of it is better."""

    TIME = "lower is better"
    SIZE = "less is better"
    RATE = "higher is better"
    OTHER = "neither is better"


UNITS = {  # ends of names
    "_ns": ("ns", Kind.TIME),
    "_us": ("us", Kind.TIME),
    "_ms": ("ms", Kind.TIME),
    "_per_s": ("1/s", Kind.RATE),
    "_mib": ("MiB", Kind.SIZE),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure's name, taken apart."""

    text: str
    unit: str  # empty: a number of things
    kind: Kind

    @property
    def label(self) -> str:
        """With its unit."""
        return f"{self.text}, {self.unit}" if self.unit else self.text


def figure(name: str) -> Figure:
    """Takes a name apart."""
    for end, (unit, kind) in UNITS.items():
        if name.endswith(end):
            return Figure(name.removesuffix(end).replace("_", " "), unit, kind)
    return Figure(name.replace("_", " "), "", Kind.OTHER)
