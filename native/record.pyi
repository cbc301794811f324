"""Names of the kinds and flags of log records, and a check of one (record.pxd)."""

OUT: int
IN: int
REJECTED: int
STATE: int
EPOCH: int
CHECKPOINT: int
DOUBT: int
APPLICATION: int
ORDER: int
POSS_DUP: int
RESET: int
KIND_NAMES: dict[int, str]
FLAG_NAMES: dict[int, str]
STATE_NAMES: dict[int, str]

def intact(raw: bytes) -> bool: ...
