"""Face of the journal: opening, appending, reading, flushing."""

from array import array
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

class Recovery(NamedTuple):
    """What was found when a journal was opened."""

    records: int
    last_lsn: int
    last_epoch: int
    torn: bool
    truncated_bytes: int
    torn_file: Path | None
    power_lost: bool
    lost_from_lsn: int
    tail_may_be_lost: bool
    damage: str | None
    tail_was_cut: bool
    new: bool

class Record(NamedTuple):
    """One log record (record.pxd)."""

    lsn: int
    epoch: int
    kind: int
    flags: int
    session: int
    client: int
    seq: int
    aux: int
    time_ns: int
    crc: int
    payload: bytes
    raw: bytes

class Journal:
    """The log."""

    path: Path | None
    recovery: Recovery
    read_only: bool
    @staticmethod
    def memory(
        *, segment_bytes: int = ..., max_records: int = ..., max_sessions: int = ..., max_seq: int = ...
    ) -> Journal: ...
    @staticmethod
    def open(
        path: str | PathLike[str],
        *,
        node: int = 0,
        pair_id: int = 0,
        segment_bytes: int = ...,
        max_records: int = ...,
        max_sessions: int = ...,
        max_seq: int = ...,
        read_only: bool = False,
    ) -> Journal: ...
    @property
    def last_lsn(self) -> int: ...
    @property
    def last_epoch(self) -> int: ...
    @property
    def first_lsn(self) -> int: ...
    @property
    def flushed_lsn(self) -> int: ...
    @property
    def segment_bytes(self) -> int: ...
    @property
    def pair_id(self) -> int: ...
    @property
    def node(self) -> int: ...
    def __len__(self) -> int: ...
    def at(self, lsn: int) -> Record: ...
    def find(self, session: int, direction: int, seq: int) -> Record | None: ...
    def end_of_epoch(self, epoch: int) -> int: ...
    def place_of(self, lsn: int) -> tuple[int, int]: ...
    def records(self, from_lsn: int = 1) -> Iterator[Record]: ...
    def append(
        self,
        kind: int,
        session: int,
        payload: bytes,
        *,
        seq: int = 0,
        epoch: int = 1,
        client: int = 0,
        aux: int = 0,
        flags: int = 0,
        time_ns: int = 0,
    ) -> int: ...
    def append_raw(self, raw: bytes) -> int: ...
    def reserve_and_abandon(self, payload: bytes) -> None: ...
    def truncate(self, lsn: int, aside: str | PathLike[str] | None = None) -> Path | None: ...
    def prepare(self) -> None: ...
    def flush(self) -> None: ...
    def run_background(self, flushing: bool, interval_ns: int) -> None: ...
    def start_running(self) -> None: ...
    def stop_running(self) -> None: ...
    def tail_settled(self) -> None: ...
    def flip_bit(self, lsn: int, bit: int) -> None: ...
    def read_again(self, power_lost: bool) -> bool: ...
    def next_incarnation(self, at_least: int = 0) -> int: ...
    def close(self) -> None: ...
    def measure_append(self, count: int, payload_bytes: int, batch: int = 1) -> array[float]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
