"""Face of the standby's side of replication."""

from .datagram import Channel
from .journal import Journal

STATE_NAMES: tuple[str, ...]

class Receiver:
    """Standby's side over a Journal and a Channel."""

    journal: Journal
    channel: Channel
    def __init__(
        self,
        journal: Journal,
        channel: Channel,
        *,
        datagram_bytes: int = 1400,
        nak_after_ns: int = 1_000_000,
        join_retry_ns: int = 20_000_000,
        reorder_slots: int = 1024,
        flush_acks: bool = False,
    ) -> None: ...
    def follow(self, primary: int, epoch: int, mono_ns: int) -> None: ...
    def stop(self) -> None: ...
    def receive(self, datagram: bytes, mono_ns: int) -> None: ...
    def poll(self, mono_ns: int) -> bytes | None: ...
    @property
    def deadline(self) -> int | None: ...
    @property
    def state(self) -> str: ...
    @property
    def counters(self) -> dict[str, int]: ...
