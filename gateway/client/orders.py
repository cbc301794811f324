"""Bodies of the messages a strategy sends: new order, cancel, replace, status request. FIX 4.4 volume 4.

A body holds business fields only; the gateway adds header, MsgSeqNum, trailer, and refuses bodies that hold them. The
ClOrdID (11) is given beside the body, at submission. Depends on nothing.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, StrEnum
from operator import index
from typing import ClassVar, Protocol

from gateway.client.errors import InvalidRequest

Value = str | bytes | int | float | Decimal
Fields = bytes | Mapping[int, Value] | Iterable[tuple[int, Value]]

NS_PER_S = 1_000_000_000
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
MAX_NAME_IN_ID = 16  # longer client names are shortened to 8 characters and a checksum


class Side(StrEnum):
    """Side (54)."""

    BUY = "1"
    SELL = "2"
    BUY_MINUS = "3"
    SELL_PLUS = "4"
    SELL_SHORT = "5"
    SELL_SHORT_EXEMPT = "6"


class OrdType(StrEnum):
    """OrdType (40)."""

    MARKET = "1"
    LIMIT = "2"
    STOP = "3"
    STOP_LIMIT = "4"
    MARKET_ON_CLOSE = "5"
    LIMIT_ON_CLOSE = "B"
    PEGGED = "P"


class TimeInForce(StrEnum):
    """TimeInForce (59)."""

    DAY = "0"
    GOOD_TILL_CANCEL = "1"
    AT_THE_OPENING = "2"
    IMMEDIATE_OR_CANCEL = "3"
    FILL_OR_KILL = "4"
    GOOD_TILL_DATE = "6"
    AT_THE_CLOSE = "7"


class Request(Protocol):
    """What `Client.send` takes: something that knows its MsgType (35) and its body."""

    msg_type: ClassVar[str]

    def body(self) -> bytes:
        """Fields as bytes, without ClOrdID."""
        ...


class Absent(Enum):
    """A price that was left out. One that is None was computed, and failed: that must not become a market order."""

    ABSENT = "absent"


@dataclass(slots=True, frozen=True, kw_only=True)
class Order:
    """NewOrderSingle (35=D). Without `ord_type`: LIMIT, STOP, STOP_LIMIT or MARKET, by the prices given.

    A price of None counts as left out only where `ord_type` is given; else the order is refused (InvalidRequest).
    `transact_time`: nanoseconds since the epoch; now, if None. `more`: further fields, in this order.
    """

    msg_type: ClassVar[str] = "D"
    symbol: str  # 55
    side: Side  # 54
    quantity: Value  # 38
    price: Value | Absent | None = Absent.ABSENT  # 44
    stop_price: Value | Absent | None = Absent.ABSENT  # 99
    ord_type: OrdType | None = None  # 40
    time_in_force: TimeInForce | None = None  # 59
    account: str | None = None  # 1
    transact_time: int | None = None  # 60
    more: tuple[tuple[int, Value], ...] = field(default=())

    def body(self) -> bytes:
        """Fields as bytes, without ClOrdID."""
        ord_type = self.ord_type or _implied_type(self.price, self.stop_price)
        return _body(
            (1, self.account),
            (55, _required(55, self.symbol)),
            (54, _required(54, self.side)),
            (60, utc_timestamp(self.transact_time)),
            (38, _required(38, self.quantity)),
            (40, ord_type),
            (44, _given(self.price)),
            (99, _given(self.stop_price)),
            (59, self.time_in_force),
            *self.more,
        )


@dataclass(slots=True, frozen=True, kw_only=True)
class Cancel:
    """OrderCancelRequest (35=F) for the order `orig_cl_ord_id`; the cancel has a ClOrdID of its own."""

    msg_type: ClassVar[str] = "F"
    orig_cl_ord_id: str  # 41
    symbol: str
    side: Side
    quantity: Value | None = None
    transact_time: int | None = None
    more: tuple[tuple[int, Value], ...] = field(default=())

    def body(self) -> bytes:
        """Fields as bytes, without ClOrdID."""
        return _body(
            (41, _required(41, self.orig_cl_ord_id)),
            (55, _required(55, self.symbol)),
            (54, _required(54, self.side)),
            (60, utc_timestamp(self.transact_time)),
            (38, self.quantity),
            *self.more,
        )


@dataclass(slots=True, frozen=True, kw_only=True)
class Replace:
    """OrderCancelReplaceRequest (35=G) for the order `orig_cl_ord_id`. OrdType (40) and prices as in Order."""

    msg_type: ClassVar[str] = "G"
    orig_cl_ord_id: str
    symbol: str
    side: Side
    quantity: Value
    price: Value | Absent | None = Absent.ABSENT
    stop_price: Value | Absent | None = Absent.ABSENT
    ord_type: OrdType | None = None
    time_in_force: TimeInForce | None = None
    transact_time: int | None = None
    more: tuple[tuple[int, Value], ...] = field(default=())

    def body(self) -> bytes:
        """Fields as bytes, without ClOrdID."""
        return _body(
            (41, _required(41, self.orig_cl_ord_id)),
            (55, _required(55, self.symbol)),
            (54, _required(54, self.side)),
            (60, utc_timestamp(self.transact_time)),
            (38, _required(38, self.quantity)),
            (40, self.ord_type or _implied_type(self.price, self.stop_price)),
            (44, _given(self.price)),
            (99, _given(self.stop_price)),
            (59, self.time_in_force),
            *self.more,
        )


@dataclass(slots=True, frozen=True, kw_only=True)
class StatusRequest:
    """OrderStatusRequest (35=H). Its ClOrdID is that of the order it asks about: give it at submission."""

    msg_type: ClassVar[str] = "H"
    symbol: str
    side: Side
    more: tuple[tuple[int, Value], ...] = field(default=())

    def body(self) -> bytes:
        """Fields as bytes, without ClOrdID."""
        return _body((55, _required(55, self.symbol)), (54, _required(54, self.side)), *self.more)


def encode_fields(fields: Fields) -> bytes:
    """Fields as "tag=value<SOH>...": bytes as they are, a mapping or pairs in their order.

    Raises InvalidRequest if a value is empty, holds SOH, is not ASCII, or is a float that is not finite; or if `fields`
    or one of them is of another kind.
    """
    if isinstance(fields, bytes):
        return fields
    if isinstance(fields, str):
        raise InvalidRequest("the fields are text: give bytes, a mapping or (tag, value) pairs")
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    return _body(*pairs)


def utc_timestamp(time_ns: int | None = None) -> str:
    """UTCTimestamp with milliseconds (FIX 4.4 volume 1); of now if None."""
    seconds, rest = divmod(time.time_ns() if time_ns is None else time_ns, NS_PER_S)
    return f"{_second_text(seconds)}.{rest // 1_000_000:03d}"


def cl_ord_id_prefix(client: str, start_ns: int) -> str:
    """Start of a client's ClOrdIDs, different at each start (to the microsecond); short, for brokers limit it.

    Two clients of one name that began with the same would each be told that the gateway had its order already.
    """
    name = client if len(client) <= MAX_NAME_IN_ID else f"{client[:8]}{_base36(zlib.crc32(client.encode()))}"
    return f"{name}-{_base36(start_ns // 1_000)}-"


_last_second: tuple[int, str] = (-1, "")


def _second_text(seconds: int) -> str:
    global _last_second  # noqa: PLW0603 - one formatted second is kept: strftime costs more than the rest of a body
    known, text = _last_second
    if known != seconds:
        text = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(seconds))
        _last_second = (seconds, text)
    return text


def _implied_type(price: Value | Absent | None, stop_price: Value | Absent | None) -> OrdType:
    for name, value in (("price", price), ("stop_price", stop_price)):
        if value is None:
            raise InvalidRequest(f"{name} is None: leave it out, or say which ord_type the order shall have")
    if price is Absent.ABSENT:
        return OrdType.MARKET if stop_price is Absent.ABSENT else OrdType.STOP
    return OrdType.LIMIT if stop_price is Absent.ABSENT else OrdType.STOP_LIMIT


def _given(price: Value | Absent | None) -> Value | None:
    return None if price is Absent.ABSENT else price


def _required(tag: int, value: Value | None) -> Value:
    if value is None:
        raise InvalidRequest(f"field {tag} is None, and required")
    return value


def _body(*pairs: tuple[int, Value | None]) -> bytes:
    try:
        return b"".join([b"%d=%b\x01" % (tag, _value(tag, value)) for tag, value in pairs if value is not None])
    except TypeError:
        raise InvalidRequest(f"a tag must be an int, found {[tag for tag, _ in pairs]!r}") from None


def _value(tag: int, value: Value) -> bytes:
    if isinstance(value, bytes):
        encoded = value
    else:
        text = value if isinstance(value, str) else _number(tag, value)
        try:
            encoded = text.encode("ascii")
        except UnicodeEncodeError:
            raise InvalidRequest(f"field {tag} must be ASCII, found {text!r}: give bytes for other encodings") from None
        if "\x01" in text:
            raise InvalidRequest(f"field {tag} holds SOH: {text!r}; give bytes for a data field")
    if not encoded:
        raise InvalidRequest(f"field {tag} is empty: leave it out")
    return encoded


def _number(tag: int, value: int | float | Decimal) -> str:
    """Without exponent, which FIX does not know."""
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, float | Decimal):
        try:
            return str(index(value))  # an integer of another kind, such as numpy's
        except TypeError:
            raise InvalidRequest(f"field {tag} must be text, bytes or a number, found {value!r}") from None
    number = value if isinstance(value, Decimal) else Decimal(float.__repr__(value))
    if not number.is_finite():
        raise InvalidRequest(f"field {tag} must be a finite number, found {value!r}")
    return f"{number:f}"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits or "0"
