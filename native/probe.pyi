import numpy as np
from numpy.typing import NDArray

from gateway.native.session import Session

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
    ) -> None: ...
    def measure(self, times: NDArray[np.uint64], pause_ns: int = 0) -> None: ...
    def pump(self) -> bool: ...
