"""The broker's order book: application messages in, replies out. No I/O, no clock; the same for both engines.

Fills are decided by a reference price per symbol, which follows from the symbol and a seed: a market order, or a limit
order at or through the reference, is filled at the reference; any other rests. Rejected on demand: an order whose
Symbol is in `reject_symbols`, or whose Text (58) is REJECT.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal

from gateway.fix.fields import Fields, Tag

FillMode = Literal["model", "immediate", "partial", "none"]
BUY = "1"
MARKET = "1"
CENT = Decimal("0.01")
OPEN = frozenset({"0", "1"})
# OrdRejReason (103), CxlRejReason (102), BusinessRejectReason (380)
DUPLICATE_ORDER, BROKER_OPTION, UNKNOWN_ORDER, TOO_LATE_TO_CANCEL = "6", "0", "1", "0"
OTHER, UNSUPPORTED = "0", "3"


class MalformedNumber(ValueError):
    """A quantity or price that is no number from 0."""


@dataclass(slots=True)
class Reply:
    """A message to send. `exec_id` and `exec_type` of an ExecutionReport, else empty."""

    msg_type: str
    fields: list[tuple[int, object]]
    exec_id: str = ""
    exec_type: str = ""


@dataclass(slots=True)
class Outcome:
    """What became of a message: what goes into the ledger, and the replies."""

    action: str
    cl_ord_id: str
    processed: bool
    replies: list[Reply]


@dataclass(slots=True)
class Order:
    """One order in the book."""

    cl_ord_id: str
    order_id: str
    symbol: str
    side: str
    quantity: Decimal
    ord_type: str
    price: Decimal | None
    status: str = "0"
    filled: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)

    @property
    def leaves(self) -> Decimal:
        """Quantity that may still trade."""
        return self.quantity - self.filled if self.status in OPEN else Decimal(0)

    @property
    def average(self) -> Decimal:
        """AvgPx (6)."""
        return (self.paid / self.filled).quantize(CENT) if self.filled else Decimal(0)


@dataclass(slots=True)
class Book:
    """Orders of one session. `run_id` keeps OrderIDs and ExecIDs apart from those of earlier runs."""

    begin_string: str
    run_id: str
    fill: FillMode = "model"
    reject_symbols: frozenset[str] = frozenset()
    seed: int = 1
    accept_duplicates: bool = False
    orders: dict[str, Order] = field(default_factory=dict)
    _ids: int = 0

    def take(self, msg_type: str, fields: Fields, transact_time: str) -> Outcome:
        """Handles one application message. `transact_time` is a UTCTimestamp for the replies."""
        values = dict(reversed(fields))
        handler = {
            "D": self._new,
            "F": self._cancel,
            "G": self._replace,
            "H": self._status,
            "AF": self._mass_status,
        }.get(msg_type)
        cl_ord_id = values.get(Tag.CL_ORD_ID, "")
        if handler is None:
            return Outcome("unsupported", cl_ord_id, False, [self._business_reject(msg_type, values)])
        try:
            outcome = handler(values)
        except MalformedNumber as error:
            return Outcome("malformed", cl_ord_id, False, [self._business_reject(msg_type, values, str(error))])
        for reply in outcome.replies:
            reply.fields.append((Tag.TRANSACT_TIME, transact_time))
        return outcome

    def cancel_all(self, transact_time: str) -> Outcome:
        """Cancels every open order, as a broker does that cancels on disconnect."""
        replies = []
        for order in self.orders.values():
            if order.status in OPEN:
                order.status = "4"
                replies.append(self._report(order, "4", extra=[(Tag.TRANSACT_TIME, transact_time)]))
        return Outcome("canceled on disconnect", "", False, replies)

    # --- orders -------------------------------------------------------------------------------------------------------

    def _new(self, values: dict[int, str]) -> Outcome:
        cl_ord_id = values.get(Tag.CL_ORD_ID, "")
        if cl_ord_id in self.orders and not self.accept_duplicates:
            order = self._order_of(values)
            order.status = "8"
            reply = self._report(
                order, "8", extra=[(Tag.ORD_REJ_REASON, DUPLICATE_ORDER), (Tag.TEXT, "duplicate ClOrdID")]
            )
            return Outcome("duplicate", cl_ord_id, True, [reply])
        order = self._order_of(values)
        self.orders[cl_ord_id] = order
        if order.symbol in self.reject_symbols or values.get(Tag.TEXT) == "REJECT":
            order.status = "8"
            reply = self._report(
                order, "8", extra=[(Tag.ORD_REJ_REASON, BROKER_OPTION), (Tag.TEXT, "rejected on demand")]
            )
            return Outcome("rejected", cl_ord_id, True, [reply])
        return Outcome("new", cl_ord_id, True, [self._report(order, "0"), *self._fills(order)])

    def _order_of(self, values: dict[int, str]) -> Order:
        return Order(
            values.get(Tag.CL_ORD_ID, ""),
            self._next_id("O"),
            values.get(Tag.SYMBOL, ""),
            values.get(Tag.SIDE, BUY),
            _number(values, Tag.ORDER_QTY) or Decimal(0),
            values.get(Tag.ORD_TYPE, MARKET),
            _number(values, Tag.PRICE),
        )

    def _fills(self, order: Order) -> list[Reply]:
        reference = self.reference_price(order.symbol)
        if self.fill == "none" or (self.fill == "model" and not _marketable(order, reference)):
            return []
        parts = [order.quantity]
        if self.fill == "partial":
            parts = [(order.quantity / 2).to_integral_value()]
        elif self.fill == "model" and order.quantity > 1:
            parts = [
                (order.quantity / 2).to_integral_value(),
                order.quantity - (order.quantity / 2).to_integral_value(),
            ]
        return [self._trade(order, part, reference) for part in parts if part > 0]

    def _trade(self, order: Order, quantity: Decimal, price: Decimal) -> Reply:
        order.filled += quantity
        order.paid += quantity * price
        order.status = "2" if order.filled == order.quantity else "1"
        kind = "F" if self._is_44 else order.status
        return self._report(order, kind, extra=[(Tag.LAST_QTY, quantity), (Tag.LAST_PX, price)])

    def reference_price(self, symbol: str) -> Decimal:
        """Between 50.00 and 149.99, from the symbol and the seed."""
        return Decimal(5000 + zlib.crc32(f"{self.seed}/{symbol}".encode()) % 10000) * CENT

    def _cancel(self, values: dict[int, str]) -> Outcome:
        cl_ord_id, original = values.get(Tag.CL_ORD_ID, ""), self.orders.get(values.get(Tag.ORIG_CL_ORD_ID, ""))
        if original is None or original.status not in OPEN:
            return Outcome("cancel rejected", cl_ord_id, True, [self._cancel_reject(values, original, "1")])
        original.status = "4"
        reply = self._report(original, "4", cl_ord_id=cl_ord_id, extra=[(Tag.ORIG_CL_ORD_ID, original.cl_ord_id)])
        self.orders[cl_ord_id] = original
        return Outcome("canceled", cl_ord_id, True, [reply])

    def _replace(self, values: dict[int, str]) -> Outcome:
        cl_ord_id, original = values.get(Tag.CL_ORD_ID, ""), self.orders.get(values.get(Tag.ORIG_CL_ORD_ID, ""))
        quantity, price = _number(values, Tag.ORDER_QTY) or Decimal(0), _number(values, Tag.PRICE)
        if original is None or original.status not in OPEN or quantity <= original.filled:
            return Outcome("replace rejected", cl_ord_id, True, [self._cancel_reject(values, original, "2")])
        replaced = original.cl_ord_id
        original.cl_ord_id = cl_ord_id
        original.quantity = quantity
        original.price = original.price if price is None else price
        self.orders[cl_ord_id] = original
        reply = self._report(original, "5", extra=[(Tag.ORIG_CL_ORD_ID, replaced)])
        return Outcome("replaced", cl_ord_id, True, [reply, *self._fills_of_rest(original)])

    def _fills_of_rest(self, order: Order) -> list[Reply]:
        reference = self.reference_price(order.symbol)
        if self.fill in ("none", "partial") or (self.fill == "model" and not _marketable(order, reference)):
            return []
        return [self._trade(order, order.quantity - order.filled, reference)]

    # --- status -------------------------------------------------------------------------------------------------------

    def _status(self, values: dict[int, str]) -> Outcome:
        cl_ord_id = values.get(Tag.CL_ORD_ID, "")
        order = self.orders.get(cl_ord_id)
        if order is None:
            unknown = self._order_of(values)
            unknown.status = "8"
            extra: list[tuple[int, object]] = [(Tag.ORD_REJ_REASON, "5"), (Tag.TEXT, "unknown order")]
            return Outcome("status of unknown order", cl_ord_id, False, [self._status_report(unknown, extra)])
        return Outcome("status", cl_ord_id, False, [self._status_report(order, [])])

    def _mass_status(self, values: dict[int, str]) -> Outcome:
        orders = list({id(order): order for order in self.orders.values()}.values())
        request = values.get(Tag.MASS_STATUS_REQ_ID, "")
        replies = []
        for number, order in enumerate(orders, 1):
            last = "Y" if number == len(orders) else "N"
            replies.append(
                self._status_report(
                    order,
                    [
                        (Tag.MASS_STATUS_REQ_ID, request),
                        (Tag.TOT_NUM_REPORTS, len(orders)),
                        (Tag.LAST_RPT_REQUESTED, last),
                    ],
                )
            )
        if not orders:
            nothing = Order("NONE", "NONE", values.get(Tag.SYMBOL, "[N/A]"), BUY, Decimal(0), MARKET, None, status="8")
            extra: list[tuple[int, object]] = [
                (Tag.MASS_STATUS_REQ_ID, request),
                (Tag.TOT_NUM_REPORTS, 0),
                (Tag.LAST_RPT_REQUESTED, "Y"),
                (Tag.ORD_REJ_REASON, "5"),
                (Tag.TEXT, "no orders"),
            ]
            replies.append(self._status_report(nothing, extra))
        return Outcome("mass status", "", False, replies)

    def _status_report(self, order: Order, extra: list[tuple[int, object]]) -> Reply:
        kind = "I" if self._is_44 else order.status
        reply = self._report(order, kind, extra=extra, trans_type="3")
        reply.exec_id = ""  # tells a state, is no execution
        return reply

    # --- replies ------------------------------------------------------------------------------------------------------

    @property
    def _is_44(self) -> bool:
        return self.begin_string >= "FIX.4.3"

    def _next_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}{self.run_id}-{self._ids}"

    def _report(
        self,
        order: Order,
        exec_type: str,
        *,
        cl_ord_id: str = "",
        extra: list[tuple[int, object]] | None = None,
        trans_type: str = "0",
    ) -> Reply:
        exec_id = self._next_id("E")
        fields: list[tuple[int, object]] = [
            (Tag.ORDER_ID, order.order_id),
            (Tag.CL_ORD_ID, cl_ord_id or order.cl_ord_id),
            (Tag.EXEC_ID, exec_id),
        ]
        if not self._is_44:
            fields.append((Tag.EXEC_TRANS_TYPE, trans_type))
        fields += [
            (Tag.EXEC_TYPE, exec_type),
            (Tag.ORD_STATUS, order.status),
            (Tag.SYMBOL, order.symbol),
            (Tag.SIDE, order.side),
            (Tag.ORDER_QTY, order.quantity),
            (Tag.ORD_TYPE, order.ord_type),
        ]
        if order.price is not None:
            fields.append((Tag.PRICE, order.price))
        fields += [
            (Tag.LEAVES_QTY, order.leaves),
            (Tag.CUM_QTY, order.filled),
            (Tag.AVG_PX, order.average),
            *(extra or []),
        ]
        return Reply("8", fields, exec_id, exec_type)

    def _cancel_reject(self, values: dict[int, str], order: Order | None, response_to: str) -> Reply:
        return Reply(
            "9",
            [
                (Tag.ORDER_ID, order.order_id if order else "NONE"),
                (Tag.CL_ORD_ID, values.get(Tag.CL_ORD_ID, "")),
                (Tag.ORIG_CL_ORD_ID, values.get(Tag.ORIG_CL_ORD_ID, "")),
                (Tag.ORD_STATUS, order.status if order else "8"),
                (Tag.CXL_REJ_RESPONSE_TO, response_to),
                (Tag.CXL_REJ_REASON, TOO_LATE_TO_CANCEL if order else UNKNOWN_ORDER),
            ],
        )

    def _business_reject(self, msg_type: str, values: dict[int, str], malformed: str = "") -> Reply:
        return Reply(
            "j",
            [
                (Tag.REF_SEQ_NUM, values.get(Tag.MSG_SEQ_NUM, "0")),
                (Tag.REF_MSG_TYPE, msg_type),
                (Tag.BUSINESS_REJECT_REASON, OTHER if malformed else UNSUPPORTED),
                (Tag.TEXT, malformed or "unsupported message type"),
            ],
        )


def _number(values: dict[int, str], tag: Tag) -> Decimal | None:
    """The field's value; None: it is not there. Raises MalformedNumber."""
    text = values.get(tag)
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise MalformedNumber(f"tag {int(tag)}: {text!r} is no number from 0")
    return number


def _marketable(order: Order, reference: Decimal) -> bool:
    if order.ord_type == MARKET or order.price is None:
        return True
    return order.price >= reference if order.side == BUY else order.price <= reference
