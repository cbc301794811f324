"""Orders from a CSV file, for `gateway send` and the demonstration. The whole file is checked before any is sent.

The first line names the columns: `symbol`, `side` (buy, sell, sell_short, or a value of tag 54) and `quantity` are
required; `price`, `stop_price`, `ord_type`, `time_in_force`, `account`, `cl_ord_id`, `session` may follow, and any tag
number as a column for a further field. An empty cell leaves the field out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from gateway.client.errors import ClientError
from gateway.client.orders import Absent, Order, OrdType, Side, TimeInForce
from gateway.native.clientwire import MAX_CLORDID

REQUIRED = ("symbol", "side", "quantity")
OPTIONAL = ("price", "stop_price", "ord_type", "time_in_force", "account", "cl_ord_id", "session")

K = TypeVar("K", bound=StrEnum)


class OrderFileError(ClientError):
    """A CSV file of orders cannot be used; the text names file, line, column, what was found and what is allowed."""


@dataclass(slots=True, frozen=True)
class FileOrder:
    """One line of the file."""

    line: int
    order: Order
    cl_ord_id: str | None  # None: the client makes one
    session: str | None  # None: as the command says


def read_orders(path: Path) -> list[FileOrder]:
    """Every order of the file. Raises OrderFileError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _read(path, csv.DictReader(file, restkey="", skipinitialspace=True))
    except OSError as error:
        raise OrderFileError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise OrderFileError(f"{path}: is not a CSV file in UTF-8: {error}") from None


def _read(path: Path, reader: csv.DictReader[str]) -> list[FileOrder]:
    columns = [column.strip().lower() for column in reader.fieldnames or ()]
    reader.fieldnames = columns
    _check_columns(path, columns)
    orders: list[FileOrder] = []
    seen: dict[str, int] = {}
    for row in reader:
        place = f"{path} line {reader.line_num}"
        if "" in row:
            raise OrderFileError(f"{place}: has more cells than the first line has columns ({len(columns)})")
        cells = {column: (cell or "").strip() for column, cell in row.items()}
        if not any(cells.values()):
            continue
        order = FileOrder(
            reader.line_num, _order(place, cells), cells.get("cl_ord_id") or None, cells.get("session") or None
        )
        _check_cl_ord_id(place, order, seen)
        orders.append(order)
    if not orders:
        raise OrderFileError(f"{path}: holds no orders")
    return orders


def _check_columns(path: Path, columns: list[str]) -> None:
    for required in REQUIRED:
        if required not in columns:
            raise OrderFileError(f"{path} line 1: has no column {required!r}; found: {', '.join(columns) or 'nothing'}")
    for column in columns:
        if column not in REQUIRED and column not in OPTIONAL and not column.isdigit():
            allowed = ", ".join(REQUIRED + OPTIONAL)
            raise OrderFileError(f"{path} line 1: column {column!r} is not known; allowed: {allowed}, or a tag number")
        if columns.count(column) > 1:
            raise OrderFileError(f"{path} line 1: column {column!r} is there twice")


def _check_cl_ord_id(place: str, order: FileOrder, seen: dict[str, int]) -> None:
    identifier = order.cl_ord_id
    if identifier is None:
        return
    if len(identifier) > MAX_CLORDID or not identifier.isascii():
        raise OrderFileError(
            f"{place}: cl_ord_id must have at most {MAX_CLORDID} ASCII characters, found {identifier!r}"
        )
    if identifier in seen:
        raise OrderFileError(
            f"{place}: cl_ord_id {identifier!r} is on line {seen[identifier]} too; each order needs its own"
        )
    seen[identifier] = order.line


def _order(place: str, cells: dict[str, str]) -> Order:
    for required in REQUIRED:
        if not cells[required]:
            raise OrderFileError(f"{place}: {required} is empty")
    return Order(
        symbol=cells["symbol"],
        side=_choice(place, "side", cells["side"], Side),
        quantity=_number(place, "quantity", cells["quantity"]),
        price=_number(place, "price", cells["price"]) if cells.get("price") else Absent.ABSENT,
        stop_price=_number(place, "stop_price", cells["stop_price"]) if cells.get("stop_price") else Absent.ABSENT,
        ord_type=_choice(place, "ord_type", cells["ord_type"], OrdType) if cells.get("ord_type") else None,
        time_in_force=_choice(place, "time_in_force", cells["time_in_force"], TimeInForce)
        if cells.get("time_in_force")
        else None,
        account=cells.get("account") or None,
        more=tuple(_more(cells.items())),
    )


def _more(cells: Iterable[tuple[str, str]]) -> list[tuple[int, str]]:
    return [(int(column), cell) for column, cell in cells if column.isdigit() and cell]


def _choice(place: str, column: str, cell: str, kind: type[K]) -> K:
    try:
        return kind[cell.upper().replace(" ", "_").replace("-", "_")]
    except KeyError:
        pass
    try:
        return kind(cell)
    except ValueError:
        allowed = ", ".join(f"{member.name.lower()} ({member.value})" for member in kind)
        raise OrderFileError(f"{place}: {column} {cell!r} is not known; allowed: {allowed}") from None


def _number(place: str, column: str, cell: str) -> Decimal:
    try:
        number = Decimal(cell)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or (column == "quantity" and number <= 0):
        raise OrderFileError(
            f"{place}: {column} must be a {'positive ' if column == 'quantity' else ''}number, found {cell!r}"
        )
    return number
