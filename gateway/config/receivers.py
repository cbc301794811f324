"""`[[receiver]]`: who else gets the log, and is never waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.config.section import Section
from gateway.config.units import Duration, Size, SocketAddress, parse_duration, parse_size

MAX_RECEIVERS = 6


class Receiver(Section):
    """`[[receiver]]`."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9_.-]+$")]
    kind: Literal["disaster-recovery", "drop-copy"]
    address: SocketAddress = Field(description="UDP: where it listens, and the nodes send to")
    nodes: dict[Literal["a", "b"], SocketAddress] = Field(description="UDP: each node's own address towards it")
    data_dir: Path = Field(description="the receiver's, on its host")
    key_file: Path | None = None
    key_env: str | None = None
    datagram_bytes: int = Field(1400, ge=576, le=9000, description="UDP payload: MTU less 28")
    round_trip: Duration = Field(
        parse_duration("200ms"), gt=0, description="longest time there and back: what is missing is asked for so often"
    )
    window: Size = Field(parse_size("4 MiB"), description="unacknowledged bytes on the way: rate times `round_trip`")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.key_file is None) == (self.key_env is None):
            raise ValueError(
                "exactly one of `key_file` and `key_env` names its key (32 hexadecimal digits, not the pair's)"
            )
        if set(self.nodes) != {"a", "b"}:
            raise ValueError("`nodes` needs the addresses of both, as in { a = ..., b = ... }: either may be primary")
        return self
