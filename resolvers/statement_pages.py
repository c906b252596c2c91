"""Connections inside a statement: one page of a list, with its cursors and what lies around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select

from resolvers import json_text
from resolvers.json_text import Framed, Json, Rowed, constant, json_of
from resolvers.pages import PageRequest, keyset
from resolvers.statement import Compiler, NotCompiled, Selected

# From as many lists inside one another on, the outer ones come in rows: below that, rows cost more than copies.
_LISTS_IN_ROWS = 3


@dataclass(frozen=True, slots=True)
class Listing:
    """A whole list and the page of it that is asked for; ``columns`` and ``kinds`` as for `resolvers.pages`."""

    statement: Select[*tuple[Any, ...]]
    page: PageRequest
    columns: Sequence[ColumnElement[Any]]
    kinds: Sequence[type]
    descending: bool = False


def connection_json(compiler: Compiler, type_name: str, listing: Listing, selected: Selected) -> Json:
    """The page as a connection of ``type_name``, with as much of it as is selected. Raises: NotCompiled."""
    return _Connection(compiler, type_name, listing, selected).json()


class _Connection:
    def __init__(self, compiler: Compiler, type_name: str, listing: Listing, selected: Selected) -> None:
        self._compiler = compiler
        self._type_name = type_name
        self._listing = listing
        self._selected = selected
        page = listing.page
        info = {one.name for inner in selected.inner if inner.name == "pageInfo" for one in inner.inner}
        # Whether there is more has to be asked in the direction of the page; behind it the cursor tells.
        self._one_more = ("hasPreviousPage" if page.backward else "hasNextPage") in info
        statement = keyset(
            listing.statement, page, listing.columns, descending=listing.descending, one_more=self._one_more
        )
        self._rows = compiler.rows(statement)
        self._in_rows = _lists(selected) >= _LISTS_IN_ROWS
        if self._one_more or page.backward or self._in_rows or info & {"startCursor", "endCursor"}:
            self._rows = compiler.numbered(self._rows)

    def json(self) -> Json:
        """The whole connection, as a subquery on whatever rows are around it."""
        members = json_text.object_of((inner.key, self._member(inner)) for inner in self._selected.inner)
        if all(isinstance(part, str) for part in members):
            return members  # nothing of the list is asked for: without an aggregate there would be a text for each row
        return json_text.selected_from(self._rows.source(), members)

    def _member(self, selected: Selected) -> Json:
        match selected.name:
            case "nodes":
                return self._list(self._compiler.object(self._type_name, self._rows, selected))
            case "edges":
                return self._list(json_text.object_of((inner.key, self._of_edge(inner)) for inner in selected.inner))
            case "pageInfo":
                return json_text.object_of((inner.key, self._of_page_info(inner)) for inner in selected.inner)
            case "__typename":
                return [json_of(f"{self._type_name}Connection")]
        raise NotCompiled(f"{self._type_name}Connection.{selected.name}")

    def _list(self, item: Json) -> Json:
        if self._in_rows:
            return ["[", self._rowed(item), "]"]
        # PostgreSQL aggregates the rows of a sorted subquery in their order.
        return json_text.listed(
            item,
            order=self._rows.place.desc() if self._listing.page.backward else None,
            where=self._rows.place <= self._size() if self._one_more else None,
        )

    def _rowed(self, item: Json) -> Rowed:
        backward, place = self._listing.page.backward, self._rows.place
        first = place == (self._last_place() if backward else json_text.whole(1))

        def comma(before: str, after: str) -> ColumnElement[str]:
            return case((first, constant(before + after)), else_=constant(f"{before},{after}"))

        source = self._rows.source()
        rows = select(source)
        if self._one_more:
            rows = rows.where(place <= self._size())
        if backward:
            rows = rows.order_by(place.desc())
        return Rowed(self._compiler.rowed(rows.subquery(source.name), [Framed(comma), *item]))

    def _of_edge(self, selected: Selected) -> Json:
        match selected.name:
            case "node":
                return self._compiler.object(self._type_name, self._rows, selected)
            case "cursor":
                return ['"', self._cursor(), '"']
            case "__typename":
                return [json_of(f"{self._type_name}Edge")]
        raise NotCompiled(f"{self._type_name}Edge.{selected.name}")

    def _of_page_info(self, selected: Selected) -> Json:
        page = self._listing.page
        beyond = [json_of(page.position is not None)]
        match selected.name:
            case "hasNextPage":
                return beyond if page.backward else self._more()
            case "hasPreviousPage":
                return self._more() if page.backward else beyond
            case "startCursor":
                return self._end_cursor(first=not page.backward)
            case "endCursor":
                return self._end_cursor(first=page.backward)
            case "__typename":
                return [json_of("PageInfo")]
        raise NotCompiled(f"PageInfo.{selected.name}")

    def _more(self) -> Json:
        return json_text.boolean(func.count() > self._size())

    def _end_cursor(self, *, first: bool) -> Json:
        """The cursor of the first or the last row as they were read; null where there is none."""
        place = json_text.whole(1) if first else self._last_place()
        text = func.max(self._cursor()).filter(self._rows.place == place)
        return json_text.nullable(lambda value: ('"', value, '"'))(text)

    def _cursor(self) -> ColumnElement[str]:
        values = [getattr(self._rows, f"sort_{index}") for index in range(len(self._listing.columns))]
        return json_text.cursor(self._listing.page.order, values, self._listing.kinds)

    def _last_place(self) -> ColumnElement[int]:
        return func.least(self._rows.found, self._size())

    def _size(self) -> ColumnElement[int]:
        return json_text.whole(self._listing.page.size)


def _lists(selected: Selected) -> int:
    """How many lists lie inside one another."""
    inner = max(map(_lists, selected.inner), default=0)
    return inner + 1 if selected.name in ("nodes", "edges") else inner
