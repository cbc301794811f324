"""Face of a compiled data dictionary."""

TYPE_NAMES: tuple[str, ...]
CHECKS: dict[str, int]

class Dictionary:
    """Tables of one dictionary."""

    def __init__(
        self,
        fields: list[tuple[int, str, bool, list[bytes] | None]],
        scopes: list[list[tuple[int, bool, int | None]]],
        messages: list[tuple[bytes, int]],
        header: int,
        trailer: int,
    ) -> None: ...
    def validate(self, message: bytes, checks: int = ...) -> tuple[int, int] | None: ...
    def measure_validate(self, message: bytes, rounds: int, checks: int = ...) -> float: ...
