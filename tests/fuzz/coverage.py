"""Which native code an input has led to, in a build that counts it (instrument.py); in any other build nothing."""

from __future__ import annotations

import ctypes


class Coverage:
    """Asks the counters of the instrumented build, which are loaded before everything else."""

    def __init__(self) -> None:
        self._news = getattr(ctypes.CDLL(None), "fuzz_news", None)
        if self._news is not None:
            self._news.restype = ctypes.c_int

    @property
    def counts(self) -> bool:
        """Whether this build counts."""
        return self._news is not None

    def news(self) -> bool:
        """Whether anything since the last call led to code, or as often to code, as nothing before it did."""
        return self._news is not None and self._news() != 0
