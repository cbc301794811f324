"""A client and a broker in one thread, for measuring what lies between them."""

import numpy as np
from numpy.typing import NDArray

from gateway.native.session import Session
from gateway.native.sharedstream import SharedStream

class Probe:
    def __init__(
        self,
        session: Session,
        client_fd: int,
        broker_fd: int,
        *,
        index: int,
        prefix: bytes,
        fields: bytes,
        execution: bytes,
        client_session: Session | None = None,
        shared: SharedStream | None = None,
    ) -> None: ...
    def measure(
        self, times: NDArray[np.uint64], *, interval_ns: int = 0, pause_ns: int = 0, wait: str = "spin"
    ) -> None: ...
    def pump(self) -> bool: ...
