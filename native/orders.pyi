"""Face of the order table for tests and tools."""

from typing import TypedDict

from .journal import Journal

STATE_NAMES: dict[int, str]

class OrderView(TypedDict):
    """What the table knows of one order."""

    lsn: int
    seq: int
    last_in_seq: int
    client: int
    session: int
    generation: int
    state: str
    reason: int
    open_e8: int
    clordid: bytes

class OrderTable:
    """The order table over a Journal."""

    journal: Journal
    def __init__(self, journal: Journal, capacity: int = 1024) -> None: ...
    def __len__(self) -> int: ...
    @property
    def full(self) -> bool: ...
    def insert(self, lsn: int, generation: int = 0, quantity_e8: int = 0) -> bool: ...
    def by_client(self, client: int, clordid: bytes) -> OrderView | None: ...
    def by_session(self, session: int, clordid: bytes) -> OrderView | None: ...
    def receive(self, session: int, fields: bytes, seq: int) -> int | None: ...
    def forget(self) -> None: ...
