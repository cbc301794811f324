"""The demonstration's strategy: a steady flow of orders from a file, and a record of all it was told. Its own process.

Prints its progress as one JSON object a line, for the conductor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import orjson
import typer

from gateway.audit.record import ClientRecorder
from gateway.client import Client, Fate, FateKind, Message, Outcome, WaitTimeout
from gateway.client.orderfile import FileOrder, read_orders
from gateway.client.sync import SyncSubmission
from gateway.config import load_config

QUIET_S = 1.0  # once every order is answered: how long no further execution may come before a run ends
TELL_EVERY_S = 0.05
LONGEST_READ_S = 0.05
CONNECT_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Counts:
    """The strategy's counters."""

    submitted: int = 0
    accepted: int = 0
    executions: int = 0
    done: bool = False


def trade(
    config: Annotated[Path, typer.Option(help="The pair's configuration.")],
    client: Annotated[str, typer.Option(help="Name of this client.")],
    session: Annotated[str, typer.Option(help="FIX session to send on.")],
    orders: Annotated[Path, typer.Option(help="CSV file of orders, sent over and over.")],
    rate: Annotated[float, typer.Option(help="Orders a second.")],
    count: Annotated[int, typer.Option(help="How many orders in all.")],
    record: Annotated[Path, typer.Option(help="File to record what was told.")],
) -> None:
    """Send orders at a steady rate until `count` are sent and answered; record everything."""
    nodes = ",".join(str(node.clients) for node in load_config(config).node.values())
    recorder = ClientRecorder(record)
    with Client(nodes, client, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        Trader(connection, client, session, read_orders(orders), recorder, _print_counts).run(rate, count)
    recorder.close()


class Trader:
    """Submits at a pace, reads meanwhile, and stops when all is answered and quiet."""

    def __init__(
        self,
        client: Client,
        name: str,
        session: str,
        orders: list[FileOrder],
        recorder: ClientRecorder,
        show: Callable[[Counts], None],
    ) -> None:
        self._client = client
        self._name = name
        self._session = session
        self._orders = orders
        self._recorder = recorder
        self._show = show
        self._counts = Counts()
        self._unanswered: set[str] = set()  # by the gateway or, if accepted, by the counterparty
        self._last_told_s = 0.0

    def run(self, rate: float, count: int, quiet_s: float = QUIET_S) -> None:
        """`count` orders at `rate` orders a second, then everything that comes back."""
        start = time.monotonic()
        for number in range(count):
            self._read_until(start + number / rate)
            self._submit(self._counts.submitted)
        quiet_since = time.monotonic()
        while self._unanswered or time.monotonic() - quiet_since < quiet_s:
            if self.read(LONGEST_READ_S) or self._unanswered:
                quiet_since = time.monotonic()
            self._tell()
        self._tell(done=True)

    @property
    def unanswered(self) -> list[str]:
        """ClOrdIDs that the gateway or, of those that it accepted, the counterparty has not answered yet."""
        return sorted(self._unanswered)

    def _submit(self, number: int) -> None:
        order = replace(self._orders[number % len(self._orders)].order)
        cl_ord_id = f"{self._name}-{number:08d}"
        self._unanswered.add(cl_ord_id)
        self._recorder.submitted(cl_ord_id, time.time_ns())
        self._counts.submitted += 1
        self._client.send(self._session, order, cl_ord_id).add_done_callback(self._answered)

    def _answered(self, submission: SyncSubmission) -> None:
        now = time.time_ns()
        if submission.error is not None:
            return
        if submission.outcome is Outcome.REJECTED:
            self._recorder.rejected(submission.cl_ord_id, now, submission.text or str(submission.reason))
            self._unanswered.discard(submission.cl_ord_id)
        else:
            self._recorder.accepted(submission.cl_ord_id, now, submission.seq)
            self._counts.accepted += 1

    def _read_until(self, when: float) -> None:
        while True:
            left = when - time.monotonic()
            if not self.read(min(max(left, 0.0), LONGEST_READ_S)) and left <= 0:
                break
        self._tell()

    def read(self, timeout_s: float) -> bool:
        """Reads one event. False: none came in time."""
        try:
            event = self._client.next(timeout_s)
        except WaitTimeout:
            return False
        if isinstance(event, Message) and event.msg_type == "8":
            self._counts.executions += 1
            cl_ord_id = event.get(11) or ""
            self._recorder.execution(cl_ord_id, time.time_ns(), event.get(17) or "", event.seq)
            self._unanswered.discard(cl_ord_id)
        elif isinstance(event, Fate) and event.kind == FateKind.GAP_FILLED:
            self._recorder.not_sent_again(event.cl_ord_id, time.time_ns())
            self._unanswered.discard(event.cl_ord_id)
        return True

    def _tell(self, *, done: bool = False) -> None:
        now = time.monotonic()
        if done or now - self._last_told_s >= TELL_EVERY_S:
            self._last_told_s = now
            self._counts.done = done
            self._show(self._counts)


def _print_counts(counts: Counts) -> None:
    print(orjson.dumps(asdict(counts)).decode(), flush=True)
