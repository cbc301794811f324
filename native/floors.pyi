"""The floor that `gateway bench` measures everything against."""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

COLUMNS: int
SHARED_BYTES: int
RINGS_BYTES: int
WAITS: dict[str, int]

def forward(
    client_fd: int,
    broker_fd: int,
    standby_fd: int = -1,
    *,
    wait: str = "spin",
    late_acks: bool = False,
    rings: Buffer | None = None,
) -> None: ...
def echo(fd: int, *, wait: str = "block", late_acks: bool = False) -> None: ...
def echo_shared(memory: Buffer, length: int, *, wait: str = "spin") -> None: ...
def measure(
    client_fd: int,
    broker_fd: int,
    order: bytes,
    execution: bytes,
    times: NDArray[np.uint64],
    *,
    interval_ns: int = 0,
    pause_ns: int = 0,
    wait: str = "spin",
    late_acks: bool = False,
    rings: Buffer | None = None,
) -> None: ...
def round_trips(
    fd: int, message: bytes, times: NDArray[np.uint64], *, wait: str = "spin", late_acks: bool = False
) -> None: ...
def round_trips_shared(memory: Buffer, message: bytes, times: NDArray[np.uint64], *, wait: str = "spin") -> None: ...
def begin_shared(memory: Buffer) -> None: ...
def end_shared(memory: Buffer) -> None: ...
