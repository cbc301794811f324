"""The thread that prepares segments and makes records durable. The GIL is released while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

from gateway.errors import JournalError
from gateway.native.journal import Journal

Policy = Literal["none", "interval", "every"]


class Flusher:
    """`none`: the operating system flushes; `interval`: every `interval_ns`; `every`: as soon as there is something."""

    def __init__(
        self, journal: Journal, *, policy: Policy, interval_ns: int, on_error: Callable[[str], None]
    ) -> None:
        self._journal = journal
        self._flushing = policy != "none"
        self._interval_ns = 0 if policy == "every" else interval_ns
        self._on_error = on_error
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread after a last flush."""
        self._stopping.set()
        self._journal.stop_running()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._journal.run_background(self._flushing, self._interval_ns)
            except JournalError as error:
                # Orders are held while there is no segment; what failed is tried again until it works or the node stops.
                self._on_error(str(error))
                self._stopping.wait(0.5)
