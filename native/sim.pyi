from collections.abc import Sequence
from typing import Any

FAULT_NAMES: tuple[str, ...]
SEEN_NAMES: tuple[str, ...]
SESSION_NAMES: tuple[str, ...]

class World:
    def __init__(
        self,
        seed: int,
        *,
        sessions: int = 1,
        clients: int = 2,
        durability: int = 1,
        refuses_second: bool = False,
        watch: bool = True,
        order_every_ns: int = 5_000_000,
        faults_end_ns: int = 1_000_000_000,
        heal_ns: int = 20_000_000_000,
        flush_every_ns: int = 5_000_000,
        skip_ahead: int = 1000,
        resend_max_age_ns: int = 60_000_000_000,
        sync: bool = True,
        trace: bool = False,
    ) -> None: ...
    def run(
        self, faults: Sequence[tuple[int, int, int, int, int, int]], max_events: int = 20_000_000
    ) -> dict[str, Any]: ...
    def status(self, node: int) -> dict[str, Any]: ...
