"""Timing loops over the cores, for bench/."""

from array import array

from .receiver import Receiver
from .sender import Sender
from .session import Session

def measure_send(session: Session, body: bytes, clordid_length: int, count: int) -> array[float]: ...
def measure_receive(session: Session, stream: bytes, piece_bytes: int) -> float: ...
def measure_round_trip(
    sender: Sender,
    receiver: Receiver,
    primary_fds: list[int],
    standby_fds: list[int],
    payload_bytes: int,
    count: int,
) -> tuple[array[float], array[float]]: ...

COMPILER: str
