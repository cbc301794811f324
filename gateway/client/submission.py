"""Handles of what was handed in: how a strategy learns what became of it. No I/O, no clock, no threads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import Any

from gateway.native.clientwire import OrderStatus, RejectReason

_log = logging.getLogger("gateway.client")


class Outcome(Enum):
    """What is known of a submission. All but PENDING and HELD are final."""

    PENDING = "pending"  # handed in, or waiting for a primary; no answer yet
    HELD = "held"  # in the gateway, without a number, until its session is ready; ACCEPTED or REJECTED follows
    # In the log of the pair under MsgSeqNum `seq` of `generation`: it survives a takeover. With an `order_status`, that
    # is where an order of this ClOrdID has been before.
    ACCEPTED = "accepted"
    REJECTED = "rejected"  # refused by the gateway, never sent; see `reason`
    UNKNOWN = "unknown"  # numbered before a takeover; whether the counterparty has it, only the counterparty can tell
    SENT = "sent"  # handed over without a promise: a message that opens nothing (status request, ...)


_FINAL = frozenset({Outcome.ACCEPTED, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.SENT})


# What a reason means, where the node says no more.
REASON_TEXTS = {
    RejectReason.MALFORMED: "a field is not tag=value, is there twice or no number, or an OrderQty is below 0.00000001",
    RejectReason.FORBIDDEN_TAG: "a field of the header or trailer is in the body",
    RejectReason.NO_CLORDID: "no ClOrdID of 1 to 64 characters",
    RejectReason.UNKNOWN_SESSION: "no session that this client may use",
    RejectReason.CLORDID_TAKEN: "another client of the session has used this ClOrdID",
    RejectReason.NOT_READY: "its session is not ready, or was not for longer than hold_max_age",
    RejectReason.HOLD_FULL: "too many orders wait for their session",
    RejectReason.BACK_PRESSURE: "the journal, the standby or the counterparty does not keep up",
    RejectReason.KILLED: "this client's kill switch is set",
    RejectReason.MAX_ORDER_QTY: "OrderQty above the limit of this client",
    RejectReason.MAX_NOTIONAL: "OrderQty times Price above the limit of this client",
    RejectReason.THROTTLE: "more orders a second than the limit of this client",
    RejectReason.TOO_LARGE: "the message is too large",
    RejectReason.FORBIDDEN_MSG_TYPE: "of the session's own messages, or one that may trade past the limits",
    RejectReason.MAX_OPEN_QTY: "the sum of open orders would be above the limit of this client",
    RejectReason.PRICE_REQUIRED: "without a Price the limit on its value cannot be checked",
    RejectReason.QUANTITY_REQUIRED: "without an OrderQty the limit on quantities cannot be checked",
    RejectReason.CANCELED: "canceled while it was in doubt; the counterparty does not have it",
}


class Handle:
    """Something that gets its answer later, once. Callbacks run where the answer is read: keep them short."""

    __slots__ = ("_callbacks", "_frame", "_handed_in", "done", "error")

    def __init__(self, frame: bytes) -> None:
        self.done = False  # answered, or given up: see `error`
        self.error: Exception | None = None  # why no answer can come any more: the client was closed or refused
        self._frame = frame
        self._handed_in = False  # to some primary, at least once
        self._callbacks: list[Callable[[Any], None]] | None = None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls `callback(handle)` when the answer is there: now, if it is there already."""
        if self.done:
            self._call(callback)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def _give_up(self, error: Exception) -> None:
        self.error = error
        self._finish()

    def _finish(self) -> None:
        assert not self.done, f"{self!r} was answered already"
        self.done = True
        self._frame = b""
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            self._call(callback)

    def _call(self, callback: Callable[[Any], None]) -> None:
        try:
            callback(self)
        except Exception:  # a strategy's mistake must not stop the connection that it runs on
            _log.exception("callback of %r failed", self)


class Submission(Handle):
    """One message handed in, identified by its ClOrdID."""

    __slots__ = ("cl_ord_id", "generation", "msg_type", "order_status", "outcome", "reason", "seq", "session", "text")

    def __init__(self, session: str, msg_type: str, cl_ord_id: str, frame: bytes) -> None:
        super().__init__(frame)
        self.session = session
        self.msg_type = msg_type
        self.cl_ord_id = cl_ord_id
        self.outcome = Outcome.PENDING
        self.seq = 0  # MsgSeqNum (34) out, if ACCEPTED or UNKNOWN
        self.generation = 0
        self.reason: RejectReason | int | None = None  # if REJECTED
        self.text = ""  # what of it is wrong, and where, if the node says so
        # If the gateway had this ClOrdID already, from an earlier hand-in of this order or from another order: what it
        # knows of that one. Nothing was sent again.
        self.order_status: OrderStatus | int | None = None

    def __repr__(self) -> str:
        """What it is and what is known of it."""
        parts = [f"{self.msg_type} {self.cl_ord_id!r} to {self.session}: {self.outcome.value}"]
        if self.seq:
            parts.append(f"seq {self.seq} of generation {self.generation}")
        if self.order_status is not None:
            status = self.order_status.name.lower() if isinstance(self.order_status, OrderStatus) else self.order_status
            parts.append(f"which the gateway had already ({status})")
        if self.reason is not None:
            parts.append(f"{describe_reason(self.reason)}: {self.text or explain_reason(self.reason)}".rstrip(": "))
        return f"<{type(self).__name__} {', '.join(parts)}>"

    def _decide(self, outcome: Outcome) -> None:
        self.outcome = outcome
        if outcome in _FINAL:
            self._finish()


class CheckpointStore(Handle):
    """A checkpoint on its way into the log; done when it would survive a takeover."""

    __slots__ = ("key",)

    def __init__(self, key: bytes, frame: bytes) -> None:
        super().__init__(frame)
        self.key = key

    def __repr__(self) -> str:
        """Its key, and whether it is stored."""
        return f"<{type(self).__name__} {self.key!r}: {_progress(self)}>"


class CheckpointFetch(Handle):
    """A question for a checkpoint; `value` is None if there is no such key."""

    __slots__ = ("key", "value")

    def __init__(self, key: bytes, frame: bytes) -> None:
        super().__init__(frame)
        self.key = key
        self.value: bytes | None = None

    def __repr__(self) -> str:
        """Its key, and whether the answer is there."""
        return f"<{type(self).__name__} {self.key!r}: {_progress(self)}>"


def describe_reason(reason: RejectReason | int) -> str:
    """`max_order_qty` and the like; a number for a reason that this version does not know."""
    return reason.name.lower() if isinstance(reason, RejectReason) else f"reason {reason}"


def explain_reason(reason: RejectReason | int) -> str:
    """What a reason means; "" for one that this version does not know."""
    return REASON_TEXTS.get(reason, "") if isinstance(reason, RejectReason) else ""


def _progress(handle: Handle) -> str:
    if handle.error is not None:
        return "given up"
    return "done" if handle.done else "pending"
