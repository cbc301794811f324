"""The thread that prepares segments and makes records durable. The GIL is released while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

from gateway.errors import JournalError
from gateway.native.journal import Journal

Policy = Literal["none", "interval", "every"]


class Flusher:
    """Runs the journal's background loop on a thread of its own.

    `none`: segments are prepared, and the operating system writes when it likes; `interval`: a flush every
    `interval_ns`; `every`: a flush as long as there is something, each for all the records that came during the last
    one. `on_error` is called on that thread with each new failure, once until something else happens; what failed is
    tried again, and the rest goes on. A failed flush is final: nothing counts as durable any more until the journal is
    opened anew.
    """

    def __init__(
        self, journal: Journal, *, policy: Policy, interval_ns: int = 0, on_error: Callable[[str], object]
    ) -> None:
        if policy not in ("none", "interval", "every"):
            raise ValueError(f"policy {policy!r}: none, interval or every")
        if policy == "interval" and interval_ns <= 0:
            raise ValueError(f"interval_ns {interval_ns}: the policy 'interval' needs more than 0")
        self._journal = journal
        self._flushing = policy != "none"
        self._interval_ns = 0 if policy == "every" else interval_ns
        self._on_error = on_error
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._journal.start_running()
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread after a last flush. Safe to call twice."""
        self._stopping.set()
        self._journal.stop_running()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        reported = ""
        while True:
            try:
                self._journal.run_background(self._flushing, self._interval_ns)
            except JournalError as error:
                if str(error) != reported:
                    reported = str(error)
                    self._on_error(reported)
            if self._stopping.is_set():
                return
