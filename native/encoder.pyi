"""Face of the encoder for tests and tools."""

class Template:
    """A prepared header."""

    def __init__(self, begin_string: bytes, ids: bytes, timestamp_digits: int = 3) -> None: ...
    def encode(
        self,
        msg_type: bytes,
        seq: int,
        wall_ns: int,
        body: bytes = b"",
        *,
        poss_dup: bool = False,
        orig_sending_time: bytes | None = None,
        last_processed: int = 0,
    ) -> bytes: ...
    def resend(self, stored: bytes, wall_ns: int) -> bytes: ...
    def measure_encode(self, msg_type: bytes, bodies: list[bytes], rounds: int) -> float: ...

def utc_timestamp(wall_ns: int, digits: int = 3) -> bytes: ...
