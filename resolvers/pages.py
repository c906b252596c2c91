"""Keyset pages: a cursor holds the sort values of a row, so any page is one index range, however far down.

A cursor belongs to one order (such as ``customers:USERNAME:ASC``); used with another, or damaged, it is refused.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar

import orjson
from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    column,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.texts import is_storable
from resolvers.request_errors import BadUserInput

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100

Row = TypeVar("Row")
SortValue = int | str | datetime | tuple[int, ...]
Position = tuple[SortValue, ...]

# Against damage and mix-ups, not against forgery: a forged cursor is only a position, it opens nothing.
CHECK_BYTES = 4


@dataclass(frozen=True, slots=True)
class PageRequest:
    """``size`` rows after ``position`` (or from the start), or, backward, before it (or from the end).

    ``order`` names the list and its order; it is part of every cursor. Hashable, so that it can name a loader.
    """

    VALUES: ClassVar = ("position",)

    order: str
    size: int
    backward: bool = False
    position: Position | None = None

    def cursor(self, position: Position) -> str:
        """The cursor of the row with these sort values."""
        body = orjson.dumps([_to_json(value) for value in position])
        return base64.urlsafe_b64encode(_check(self.order, body) + body).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows in the list's order (also of a backward page), each with its sort values."""

    rows: Sequence[Row]
    positions: Sequence[Position]
    has_next: bool
    has_previous: bool


def page_request(
    order: str,
    kinds: Sequence[type],
    *,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    size_max: int = PAGE_SIZE_MAX,
) -> PageRequest:
    """Check the four arguments of a connection; ``kinds`` are the types of the sort values: int,
    str, datetime, or tuple for a path.

    Forward is ``first`` and ``after``, backward ``last`` and ``before``; without either, the first 20. Raises:
    BadUserInput.
    """
    backward = last is not None or before is not None
    if backward and (first is not None or after is not None):
        raise BadUserInput("Give `first` and `after`, or `last` and `before`, not both.")
    name, size, cursor = ("last", last, before) if backward else ("first", first, after)
    if size is None:
        size = min(PAGE_SIZE_DEFAULT, size_max)
    if not 1 <= size <= size_max:
        raise BadUserInput(f"`{name}` must be 1 to {size_max}, not {size}.")
    return PageRequest(order, size, backward, None if cursor is None else _position(order, kinds, cursor))


def _position(order: str, kinds: Sequence[type], cursor: str) -> Position:
    refusal = BadUserInput("This is no cursor of this list in this order.")
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        check, body = raw[:CHECK_BYTES], raw[CHECK_BYTES:]
        values = orjson.loads(body)
        if check != _check(order, body) or not isinstance(values, list) or len(values) != len(kinds):
            raise refusal
        return tuple(_from_json(value, kind) for value, kind in zip(values, kinds, strict=True))
    except (ValueError, UnicodeEncodeError, binascii.Error):
        raise refusal from None


def _check(order: str, body: bytes) -> bytes:
    # SHA-256 because PostgreSQL knows it too: `resolvers.json_text` makes cursors inside statements.
    return hashlib.sha256(order.encode() + b"\0" + body).digest()[:CHECK_BYTES]


def _to_json(value: SortValue) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _from_json(value: Any, kind: type) -> SortValue:
    if kind is datetime and isinstance(value, str):
        return datetime.fromisoformat(value)
    if kind is int and _is_bigint(value):
        return int(value)
    if kind is str and isinstance(value, str) and is_storable(value):
        return value
    if kind is tuple and isinstance(value, list) and all(map(_is_bigint, value)):
        return tuple(value)
    raise ValueError("a sort value of another kind")


def _is_bigint(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def keyset(
    statement: Select[*tuple[Any, ...]],
    request: PageRequest,
    columns: Sequence[ColumnElement[Any]],
    *,
    descending: bool = False,
    one_more: bool = True,
) -> Select[*tuple[Any, ...]]:
    """Add the page's range, order and limit; with ``one_more`` a row more than asked, which tells whether there are.

    ``columns`` are the sort values, unique together, all in one direction; each row gets them once more as
    ``sort_0``, ``sort_1`` ... Give the rows to `page_of`. A position may consist of bound parameters.
    """
    downward = descending != request.backward
    if request.position is not None:
        values = (_sort_literal(value, column) for value, column in zip(request.position, columns, strict=True))
        here, there = tuple_(*columns), tuple_(*values)
        statement = statement.where(here < there if downward else here > there)
    return (
        statement.add_columns(*(column.label(f"sort_{index}") for index, column in enumerate(columns)))
        .order_by(*(column.desc() if downward else column.asc() for column in columns))
        # In the text and not a parameter: of a number it does not know the planner expects a tenth of all rows.
        .limit(literal_column(str(request.size + one_more), BigInteger))
    )


def _sort_literal(value: Any, column: ColumnElement[Any]) -> ColumnElement[Any]:
    if isinstance(value, BindParameter):
        return type_coerce(value, column.type)
    return literal(list(value) if isinstance(value, tuple) else value, column.type)


def page_of(found: Sequence[Any], request: PageRequest, row: Callable[[Any], Row]) -> Page[Row]:
    """The page from the rows of a statement made by `keyset`; ``row`` makes a row of the page of each."""
    more = len(found) > request.size
    kept = list(found[: request.size])
    if request.backward:
        kept.reverse()
    beyond = request.position is not None
    return Page(
        rows=[row(one) for one in kept],
        positions=[_position_of(one) for one in kept],
        has_next=beyond if request.backward else more,
        has_previous=more if request.backward else beyond,
    )


def _position_of(row: Any) -> Position:
    position: list[SortValue] = []
    while (value := row._mapping.get(f"sort_{len(position)}")) is not None:
        position.append(tuple(value) if isinstance(value, list) else value)
    return tuple(position)


async def pages_of_each(
    connection: AsyncConnection,
    owner_ids: Sequence[int],
    request: PageRequest,
    statement: Callable[[ColumnElement[int]], Select[*tuple[Any, ...]]],
    columns: Sequence[ColumnElement[Any]],
    row: Callable[[Any], Row],
    *,
    descending: bool = False,
) -> dict[int, Page[Row]]:
    """One page for each of many owners, in one statement.

    ``statement`` makes the statement of one owner from the column with its id; `keyset` is put on it here.
    """
    if len(owner_ids) == 1:
        # As a value, so that the planner may know how much this owner has.
        (owner_id,) = owner_ids
        own = keyset(statement(literal(owner_id, BigInteger)), request, columns, descending=descending)
        return {owner_id: page_of((await connection.execute(own)).all(), request, row)}
    owners = (
        func.unnest(literal(list(owner_ids), ARRAY(BigInteger)))
        .table_valued(column("id", BigInteger))
        .render_derived(name="owners")
    )
    page = keyset(statement(owners.c.id), request, columns, descending=descending).lateral("page")
    downward = descending != request.backward
    sorts = [page.c[f"sort_{index}"] for index in range(len(columns))]
    found = await connection.execute(
        select(owners.c.id.label("owner_id"), page)
        .select_from(owners.join(page, true()))
        .order_by(owners.c.id, *(sort.desc() if downward else sort.asc() for sort in sorts))
    )
    rows_of: dict[int, list[Any]] = {owner_id: [] for owner_id in owner_ids}
    for one in found:
        rows_of[one.owner_id].append(one)
    return {owner_id: page_of(rows, request, row) for owner_id, rows in rows_of.items()}
