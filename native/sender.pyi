"""Face of the primary's side of replication."""

from .datagram import Channel
from .journal import Journal

class Sender:
    """Primary's side over a Journal and a Channel."""

    journal: Journal
    channel: Channel
    def __init__(
        self,
        journal: Journal,
        channel: Channel,
        *,
        datagram_bytes: int = 1400,
        catch_up_window_bytes: int = 262144,
        retransmit_after_ns: int = 2_000_000,
        receivers: int = 2,
    ) -> None: ...
    def start(self, epoch: int) -> None: ...
    def stop(self) -> None: ...
    def receive(self, datagram: bytes, mono_ns: int) -> None: ...
    def poll(self, mono_ns: int) -> tuple[int, bytes] | None: ...
    @property
    def deadline(self) -> int | None: ...
    def view(self, node: int) -> dict[str, int]: ...
    @property
    def retransmitted(self) -> int: ...
