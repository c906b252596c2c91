"""The statement compiler: a selection of fields becomes one SQL statement whose answer is the JSON of that selection.

Each object is one text expression over the rows of a subquery; a list aggregates its objects' texts, and what lies
inside an object is a scalar subquery on its row. So PostgreSQL walks the tree once, and the answer is ready to send.
Where lists lie deep inside one another, the outer ones come in rows instead (`json_text.Rowed`), each a piece of it.
`resolvers.read_table` says for each field which expression it is. A field that is not there is written as a mark
(see `MARK`), in whose place whoever asked puts what the ordinary resolver answers.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    SelectBase,
    Subquery,
    exists,
    func,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.types import TypeEngine

from resolvers import json_text
from resolvers.json_text import Json, Rowed, is_rowed, joined, json_of, rows_of, rows_of_each

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]

# In JSON text a control character is always escaped, so these bytes can be nothing but a mark:
# MARK, the number of the field in `Statement.left_out`, MARK_KEY, the global id of the object, MARK.
MARK = "\x01"
MARK_KEY = "\x02"


@dataclass(frozen=True, slots=True, eq=False)
class Selected:
    """A field that is asked for: its key in the answer, the type it belongs to, and what is selected of its value.

    ``slot`` is the place of what its arguments ask for among the requests of the operation; None without arguments.
    ``node`` is the caller's own, to answer the field in another way.
    """

    key: str
    type_name: str
    name: str
    slot: int | None
    inner: tuple["Selected", ...]
    node: Any = None


class NotCompiled(Exception):
    """A field that no statement can answer, of an object that cannot be found again by its id."""


class LeftOut(Exception):
    """A field that its resolver answers better than a statement that is planned once for all: raised by its writer."""


class Rows:
    """The rows of one subquery; a column of it is an attribute. Named by text, so any depth below may refer to it.

    ``selecting`` makes its statement of the columns that have been named. PostgreSQL would go through the others as
    well, with each request.
    """

    def __init__(
        self,
        alias: str,
        types: Mapping[str, TypeEngine[Any]],
        selecting: Callable[[Collection[str]], Select[*tuple[Any, ...]]],
    ) -> None:
        self._alias = alias
        self._types = types
        self._selecting = selecting
        self._named: dict[str, None] = {}

    def __getattr__(self, name: str) -> ColumnElement[Any]:
        column: ColumnElement[Any] = literal_column(f"{self._alias}.{name}", self._types[name])
        self._named[name] = None
        return column

    def source(self) -> Subquery:
        """The subquery, with the columns that have been named up to now.

        Never with none: a statement of sums alone would no longer be one, and rows that are only counted have columns.
        """
        return self._selecting(self._named or [*self._types][:1]).subquery(self._alias)

    def numbered(self, alias: str) -> "Rows":
        """The same rows with ``place``, their number in their sequence from 1, and ``found``, how many there are."""
        added = {"place": func.row_number().over(), "found": func.count().over()}

        def select_numbered(names: Collection[str]) -> Select[*tuple[Any, ...]]:
            kept = [getattr(self, name).label(name) for name in names if name not in added]
            numbers = [column.label(name) for name, column in added.items() if name in names]
            return select(*kept, *numbers).select_from(self.source())

        return Rows(alias, {**self._types, **{name: column.type for name, column in added.items()}}, select_numbered)


def _rows_of(alias: str, statement: Select[*tuple[Any, ...]]) -> Rows:
    columns = {str(column.key): column for column in statement.selected_columns}

    def select_named(names: Collection[str]) -> Select[*tuple[Any, ...]]:
        return statement.with_only_columns(*(column for name, column in columns.items() if name in names))

    return Rows(alias, {name: column.type for name, column in columns.items()}, select_named)


# How a field of an object is written: from the compiler, the object's row and the field that is asked for.
FieldWriter = Callable[["Compiler", Rows, Selected], Json]
ReadTable = Mapping[str, Mapping[str, FieldWriter]]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL that answers one row, or none (see `Compiler`); or several, whose texts are pieces of the whole.

    ``columns`` are the root fields whose JSON its columns are, from the first row to the last; others have none.
    ``parameters`` are the names of ``$1``, ``$2`` ..., each with its value where the statement itself sets it.
    ``left_out`` are the fields that marks stand for.
    """

    sql: str
    parameters: tuple[tuple[str, Any], ...]
    columns: tuple[Selected, ...]
    left_out: tuple[Selected, ...]


@dataclass(slots=True)
class Compiler:
    """Makes one statement. ``requests`` are what arguments ask for, with parameters in place of their values.

    ``findable`` are the types whose objects are found again by their id, so that a mark can stand for a field of them.
    Where ``condition`` does not hold there is no row.
    """

    table: ReadTable
    requests: Sequence[Any]
    findable: frozenset[str]
    condition: ColumnElement[bool]
    left_out: list[Selected] = field(default_factory=list)
    _aliases: int = 0

    def statement(self, roots: Sequence[Selected]) -> Statement | None:
        """The statement of those root fields that can have one; None where none can."""
        nothing = _rows_of("", select())
        texts: dict[Selected, Json] = {}
        for root in roots:
            left_out = list(self.left_out)
            try:
                texts[root] = self._field("Query", nothing, root)
            except NotCompiled:
                self.left_out = left_out
        if not texts:
            return None
        compiled = _columns(list(texts.values())).where(self.condition).compile(dialect=_DIALECT)
        names = compiled.positiontup or ()
        parameters = tuple((name, compiled.binds[name].effective_value) for name in names)
        return Statement(str(compiled), parameters, tuple(texts), tuple(self.left_out))

    def request(self, selected: Selected) -> Any:
        """What the arguments of a field ask for."""
        assert selected.slot is not None
        return self.requests[selected.slot]

    def object(self, type_name: str, rows: Rows, selected: Selected) -> Json:
        """The object of one row, with the fields that are selected of it."""
        return json_text.object_of((inner.key, self._field(type_name, rows, inner)) for inner in selected.inner)

    def _field(self, type_name: str, rows: Rows, selected: Selected) -> Json:
        if selected.name == "__typename":
            return [json_of(type_name)]
        write = self.table[type_name].get(selected.name)
        if write is not None:
            with suppress(LeftOut):
                return write(self, rows, selected)
        return self._mark(type_name, rows, selected)

    def _mark(self, type_name: str, rows: Rows, selected: Selected) -> Json:
        if type_name not in self.findable:
            raise NotCompiled(f"{type_name}.{selected.name}")
        self.left_out.append(selected)
        id_json = self.table[type_name]["id"](self, rows, selected)
        return [f"{MARK}{len(self.left_out) - 1}{MARK_KEY}", *id_json, MARK]

    def one(self, type_name: str, statement: Select[*tuple[Any, ...]], selected: Selected) -> Json:
        """The object of the statement's only row, or null where it has none."""
        rows = self.rows(statement)
        parts = self.object(type_name, rows, selected)
        source = rows.source()
        if is_rowed(parts):
            none = select(json_text.constant("null")).where(~exists().select_from(source))
            return [Rowed(union_all(self.rowed(source, parts), none))]
        found = select(joined(parts)).select_from(source)
        return [func.coalesce(found.scalar_subquery(), json_text.constant("null"))]

    def many(self, type_name: str, statement: Select[*tuple[Any, ...]], selected: Selected) -> Json:
        """A list of the statement's rows, in their order."""
        rows = self.rows(statement)
        items = json_text.listed(self.object(type_name, rows, selected))
        return json_text.selected_from(rows.source(), items)

    def row(self, statement: Select[*tuple[Any, ...]], write: Callable[[Rows], Json]) -> Json:
        """What ``write`` makes of the statement's only row; the statement always has one."""
        rows = self.rows(statement)
        text = write(rows)
        return json_text.selected_from(rows.source(), text)

    def rowed(self, source: Subquery, parts: Json) -> SelectBase:
        """The parts of each row of ``source``, in rows."""
        return rows_of_each(source, parts, self._alias())

    def rows(self, statement: Select[*tuple[Any, ...]]) -> Rows:
        """The statement as a subquery with a name of its own. Its source is to be made once all is written."""
        return _rows_of(self._alias(), statement)

    def numbered(self, rows: Rows) -> Rows:
        """The same rows with their numbers: see `Rows.numbered`."""
        return rows.numbered(self._alias())

    def _alias(self) -> str:
        self._aliases += 1
        return f"r{self._aliases}"


def _columns(texts: Sequence[Json]) -> Select[*tuple[Any, ...]]:
    """Each text in a column of its own: in one row, or in as many as it takes where one of them comes in rows."""
    if not any(map(is_rowed, texts)):
        return select(*map(joined, texts))
    pieces = [rows_of(text).subquery() for text in texts]
    rows = [
        select(*((piece.c.piece if at == column else null()).label(f"text_{at}") for at in range(len(texts))))
        for column, piece in enumerate(pieces)
    ]
    return select(union_all(*rows).subquery())
