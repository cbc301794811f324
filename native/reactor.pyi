"""Face of the reactor: sockets and the clock for one Node."""

from collections.abc import Iterable
from enum import IntEnum

from .node import Node

class Command(IntEnum):
    """What the control thread may ask of the reactor."""

    STOP = 1
    ROLE = 2
    REGISTER = 3
    SESSION = 4
    KILL = 5
    ADOPT = 6
    FILL_LOGON = 7
    ADOPT_CLIENT = 8

class Reactor:
    """Drives one Node on a thread of its own."""

    owner: Node
    turns: int
    datagrams_received: int
    datagrams_sent: int
    send_errors: int
    refused_connections: int
    refused_sessions: int
    def __init__(
        self,
        owner: Node,
        *,
        busy_poll: bool = ...,
        yield_when_idle: bool = ...,
    ) -> None: ...
    def add_path(self, fd: int) -> None: ...
    def listen_for_clients(self, fd: int) -> None: ...
    def listen_for_tripwire(self, fd: int) -> None: ...
    def connect_tripwire(self, host: str, port: int) -> None: ...
    def add_endpoint(
        self,
        session: int,
        index: int,
        host: str,
        port: int,
        source: str | None = None,
        options: Iterable[tuple[int, int, bytes]] = (),
        by_control: bool = False,
    ) -> None: ...
    def set_connect_timeout(self, session: int, timeout_ns: int) -> None: ...
    @property
    def notify_fileno(self) -> int: ...
    def command(
        self,
        kind: int,
        *,
        id: int = 0,
        a: int = 0,
        b: int = 0,
        session: int = 0,
        value_a: int = 0,
        value_b: int = 0,
        data: bytes = b"",
    ) -> None: ...
    def run(self) -> None: ...
