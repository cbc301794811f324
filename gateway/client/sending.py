"""Sends the orders of a file at a pace and follows each to its fate. Knows nothing of terminals: `cli` shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.client.errors import WaitTimeout
from gateway.client.events import Event, Fate, Message
from gateway.client.orderfile import FileOrder
from gateway.client.submission import Outcome, describe_reason, explain_reason
from gateway.client.sync import Client, SyncSubmission
from gateway.native.clientwire import FateKind, OrderStatus

QUIET_S = 0.25  # once every order is answered: how long no further execution may come before the run ends
TICK_S = 0.05  # how often progress is counted and told

# OrdStatus (39) in words.
ORD_STATUS = {
    "0": "new", "1": "partially filled", "2": "filled", "3": "done for day", "4": "canceled", "5": "replaced",
    "6": "pending cancel", "7": "stopped", "8": "rejected by the counterparty", "9": "suspended", "A": "pending new",
    "B": "calculated", "C": "expired", "D": "accepted for bidding", "E": "pending replace",
}  # fmt: skip
UNANSWERED = frozenset({"", "A"})
# What the gateway knew of an order that was handed in before, where that is the counterparty's word.
TOLD_BEFORE = frozenset({
    OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REPLACED,
    OrderStatus.REJECTED, OrderStatus.EXPIRED,
})  # fmt: skip


@dataclass(slots=True)
class OrderRun:
    """One order of the file, and what is known of it."""

    source: FileOrder
    submission: SyncSubmission | None = None
    ord_status: str = ""  # OrdStatus (39) of the latest ExecutionReport
    filled: str = ""  # CumQty (14)
    average: str = ""  # AvgPx (6)
    text: str = ""  # Text (58)
    gap_filled: bool = False  # a takeover left open whether the counterparty has it

    @property
    def known(self) -> bool:
        """Whether its fate is known: refused by the gateway, or answered by the counterparty."""
        return self.refused or self.ord_status not in UNANSWERED or self._told_before is not None

    @property
    def _told_before(self) -> OrderStatus | None:
        status = self.submission.order_status if self.submission is not None else None
        return status if isinstance(status, OrderStatus) and status in TOLD_BEFORE else None

    @property
    def refused(self) -> bool:
        """Refused by the gateway."""
        return self.submission is not None and self.submission.outcome is Outcome.REJECTED

    def describe(self) -> str:
        """Its fate in words."""
        submission = self.submission
        if submission is None:
            return "not submitted"
        if submission.outcome is Outcome.REJECTED:
            reason = describe_reason(submission.reason or 0)
            return f"refused by the gateway: {submission.text or explain_reason(submission.reason or 0)} ({reason})"
        if self.ord_status in UNANSWERED:
            if self._told_before is not None:
                return f"handed in before: {self._told_before.name.lower().replace('_', ' ')}"
            if self.gap_filled or submission.outcome is Outcome.UNKNOWN:
                return "UNKNOWN: numbered before a takeover, the counterparty has not told"
            return f"NO ANSWER: {submission.outcome.value}"
        fills = f" {self.filled} at {self.average}" if self.filled not in ("", "0") else ""
        return (
            ORD_STATUS.get(self.ord_status, f"OrdStatus {self.ord_status}")
            + fills
            + (f": {self.text}" if self.text else "")
        )


class SendRun:
    """One run of `gateway send`. `show(run)` is called now and then."""

    def __init__(
        self, client: Client, orders: Sequence[FileOrder], session: str, show: Callable[[SendRun], None]
    ) -> None:
        self.orders = [OrderRun(order) for order in orders]
        self.submitted = 0
        self.answered = 0  # orders whose fate is known, as of the latest count
        self._client = client
        self._session = session
        self._show = show
        self._by_id: dict[str, OrderRun] = {}
        self._open: list[OrderRun] = list(self.orders)
        self._counted_at = 0.0

    def run(self, rate: float, wait_s: float) -> bool:
        """Submits everything at `rate` orders a second (0: at once), waits up to `wait_s` for answers. All known?"""
        start = time.monotonic()
        for number, order in enumerate(self.orders):
            if rate > 0:
                self._read_until(start + number / rate)
            source = order.source
            order.submission = self._client.send(source.session or self._session, source.order, source.cl_ord_id)
            self._by_id[order.submission.cl_ord_id] = order
            self.submitted += 1
            self._read_waiting()
            self._tell()
        end = time.monotonic() + wait_s
        while time.monotonic() < end and self._open:
            self._read(min(TICK_S, end - time.monotonic()))
            self._tell()
        while time.monotonic() < end and self._read(QUIET_S):
            pass
        self._counted_at = 0.0
        self._tell()
        return not self._open

    def _tell(self) -> None:
        """Counts and shows, at most every TICK_S: a count looks at every order that is open."""
        now = time.monotonic()
        if now - self._counted_at >= TICK_S:
            self._counted_at = now
            self._open = [order for order in self._open if not order.known]
            self.answered = len(self.orders) - len(self._open)
            self._show(self)

    def _read_until(self, when: float) -> None:
        while (left := when - time.monotonic()) > 0:
            self._read(left)

    def _read_waiting(self) -> None:
        while self._read(0):
            pass

    def _read(self, timeout: float) -> bool:
        try:
            event = self._client.next(max(timeout, 0))
        except WaitTimeout:
            return False
        self._take(event)
        return True

    def _take(self, event: Event) -> None:
        if isinstance(event, Fate):
            order = self._by_id.get(event.cl_ord_id)
            if order is not None and event.kind == FateKind.GAP_FILLED:
                order.gap_filled = True
        elif isinstance(event, Message) and event.msg_type == "8":
            order = self._by_id.get(event.get(11) or "")
            if order is not None:
                order.ord_status = event.get(39) or order.ord_status
                order.filled = event.get(14) or order.filled
                order.average = event.get(6) or order.average
                order.text = event.get(58) or order.text
