"""A forwarder without FIX: the yardstick of bench/."""

import numpy as np
from numpy.typing import NDArray

def forward(client_fd: int, broker_fd: int, standby_fd: int = -1) -> None: ...
def echo(fd: int) -> None: ...
def measure_forward(
    client_fd: int, broker_fd: int, order: bytes, execution: bytes, times: NDArray[np.uint64], pause_ns: int = 0
) -> None: ...
