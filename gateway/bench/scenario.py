"""What can be measured: scenarios, their subjects, and what one round of one subject gives. Pure.

A scenario is one question ("how long does an order take?"); its subjects answer it side by side: the gateway, the floor
(the same hops in plain C without FIX and without a log), and its peers. A module that has scenarios lists them in its
SCENARIOS; gateway.bench.registry gathers them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.bench.histogram import Values
from gateway.config import Config
from gateway.config.models import NodeName

Role = Literal["gateway", "floor", "peer"]
GATEWAY, FLOOR = "gateway", "floor"  # names of subjects that others are compared with
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of one subject gave."""

    series: dict[str, Values] = field(default_factory=dict)  # ns, one value an operation; the first is the main one
    starts_ns: NDArray[np.uint64] | None = None  # when each operation was due, for the first series
    figures: dict[str, float] = field(default_factory=dict)  # whatever is not a latency
    stages: dict[str, Values] = field(default_factory=dict)  # ns spent in each stage of an order's way, in order


@dataclass(frozen=True, slots=True)
class Setting:
    """In which a subject is opened."""

    directory: Path  # its own, empty
    operations: int  # of one round
    rate: float  # operations a second, where load is open-loop
    config: Config | None = None  # the user's own, and which node of it is meant
    node: NodeName = "a"

    @property
    def interval_ns(self) -> int:
        """Between the times at which two operations are due."""
        return round(NS_PER_S / self.rate)


class Instrument(Protocol):
    """An opened subject."""

    def measure(self) -> Round:
        """One round. Raises RuntimeError, OSError or GatewayError."""

    def sleep(self) -> None:
        """Another subject is measured: takes nothing of the cores until `wake`."""

    def wake(self) -> None:
        """Is measured next."""


Opener = Callable[[Setting], AbstractContextManager[Instrument]]


@dataclass(frozen=True, slots=True)
class Calls:
    """An instrument that is nothing but a function: nothing of it runs between two rounds."""

    function: Callable[[], Round]

    def measure(self) -> Round:
        """One round."""
        return self.function()

    def sleep(self) -> None:
        """Nothing runs."""

    def wake(self) -> None:
        """Nothing ran."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One that answers a scenario's question. `needs`: a package that has to be installed; `obstacle`: why it cannot be
    measured on this host (empty: it can)."""

    name: str
    role: Role
    open: Opener
    needs: str | None = None
    obstacle: Callable[[], str] | None = None

    def lacks(self) -> str | None:
        """Why it cannot be measured here, and the remedy; None: it can."""
        if self.needs is not None and find_spec(self.needs) is None:
            return f"the package {self.needs} is not installed; pip install {self.needs}"
        return (self.obstacle() if self.obstacle is not None else "") or None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question. `operations` are those of a round; `heavy`: takes minutes, and is run only where it is named."""

    name: str
    text: str
    subjects: tuple[Subject, ...]
    operations: int
    quick_operations: int
    open_loop: bool = False
    heavy: bool = False
