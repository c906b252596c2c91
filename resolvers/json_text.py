"""JSON made by PostgreSQL: expressions whose text is, byte for byte, what our scalars and orjson write.

A `Json` is a sequence of constant texts and SQL expressions, joined at the end by `joined`. The connection's time
zone does not matter; its date style has to be ISO. Text comes out of ``to_json``, which escapes what orjson escapes
and nothing else.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    ScalarSelect,
    SelectBase,
    String,
    Subquery,
    Text,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP, aggregate_order_by

from resolvers.pages import CHECK_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """An expression of a few texts, each between two constants: those beside it become part of it by `merged`.

    A row has a dozen and a half of pieces, and joining them costs a quarter of what it takes: this saves each second.
    """

    make: Callable[[str, str], ColumnElement[str]]
    before: str = ""
    after: str = ""

    def expression(self) -> ColumnElement[str]:
        """All of it."""
        return self.make(self.before, self.after)


@dataclass(frozen=True, slots=True, eq=False)
class Rowed:
    """A long text as the texts of many rows, in their sequence; they have the one column ``piece``.

    To put lists of lists of lists together in one value would copy most of it once more at every level.
    """

    rows: SelectBase


Part = str | ColumnElement[Any] | Framed | Rowed
Json = Sequence[Part]
Write = Callable[[ColumnElement[Any]], Json]

# Longer chains are joined from shorter ones: SQLAlchemy and PostgreSQL walk a chain by recursion.
_CHAIN_MAX = 64
# The column of `Rowed`.
_PIECE = "piece"


def joined(parts: Iterable[Part]) -> ColumnElement[str]:
    """One text of all parts; null as soon as one of them is.

    By ``||``, which costs half of ``concat``. Whole lists, which are long, are not copied for every small part.
    """
    return _chained([_chained([_as_text(part) for part in run]) for run in _runs(merged(parts), ScalarSelect)])


def _chained(pieces: Sequence[ColumnElement[str]]) -> ColumnElement[str]:
    while len(pieces) > _CHAIN_MAX:
        pieces = [_chained(pieces[at : at + _CHAIN_MAX]) for at in range(0, len(pieces), _CHAIN_MAX)]
    return reduce(lambda chain, piece: chain.concat(piece), pieces)


def _as_text(part: Part) -> ColumnElement[str]:
    if isinstance(part, str):
        return constant(part)
    if isinstance(part, Framed):
        return part.expression()
    if isinstance(part, Rowed):
        piece = part.rows.subquery().columns[_PIECE]
        return select(func.coalesce(func.string_agg(piece, constant("")), constant(""), type_=Text)).scalar_subquery()
    return part if isinstance(part.type, String) else cast(part, Text)


def merged(parts: Iterable[Part]) -> list[Part]:
    """The same parts, with no two constant texts side by side, and none beside what can take it in."""
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        match last, part:
            case str(), str():
                merged[-1] = last + part
            case Framed(), str():
                merged[-1] = replace(last, after=last.after + part)
            case str(), Framed():
                merged[-1] = replace(part, before=last + part.before)
            case _:
                merged.append(part)
    return merged


def selected_from(source: Subquery, parts: Iterable[Part]) -> Json:
    """The parts as subqueries on ``source``, which answers one row; constants at their ends stay outside.

    So the long text of a list is not copied once more inside. What comes in rows of its own stays as it is.
    """
    selected: list[Part] = []
    for run in _runs(merged(parts), Rowed):
        if isinstance(run[0], Rowed):
            selected += run
            continue
        before = [run.pop(0)] if isinstance(run[0], str) else []
        after = [run.pop()] if run and isinstance(run[-1], str) else []
        inner = [select(joined(run)).select_from(source).scalar_subquery()] if run else []
        selected += [*before, *inner, *after]
    return selected


def is_rowed(parts: Iterable[Part]) -> bool:
    """Whether some of it comes in rows of its own, so that all of it is best answered in rows."""
    return any(isinstance(part, Rowed) for part in parts)


def rows_of(parts: Iterable[Part]) -> SelectBase:
    """The parts as the statement of a `Rowed`."""
    return union_all(
        *(
            run[0].rows if isinstance(run[0], Rowed) else select(joined(run).label(_PIECE))
            for run in _runs(merged(parts), Rowed, ScalarSelect)
        )
    )


def rows_of_each(source: Subquery, parts: Iterable[Part], alias: str) -> SelectBase:
    """The same, for each row of ``source``, in their sequence."""
    inner = rows_of(parts).lateral(alias)
    return select(inner.columns[_PIECE]).select_from(source.join(inner, true()))


def _runs(parts: Iterable[Part], *alone: type) -> list[list[Part]]:
    """The parts in runs; those of the types ``alone`` each in one of its own."""
    runs: list[list[Part]] = []
    for part in parts:
        if not runs or isinstance(part, alone) or isinstance(runs[-1][0], alone):
            runs.append([])
        runs[-1].append(part)
    return runs


def constant(text: str) -> ColumnElement[str]:
    """A text that stands in the statement itself, so that what is made of it is worked out once."""
    return literal_column("'" + text.replace("'", "''") + "'", Text)


def whole(number: int) -> ColumnElement[int]:
    """A whole number that stands in the statement itself."""
    return literal_column(str(number), Integer)


def json_of(value: str | int | bool | None) -> str:
    """A value that is known already."""
    return orjson.dumps(value).decode()


def object_of(members: Iterable[tuple[str, Json]]) -> Json:
    """An object with these keys and values, in their sequence."""
    parts: list[Part] = []
    for key, value in members:
        parts += [f"{',' if parts else '{'}{json_of(key)}:", *value]
    return [*parts, "}"] if parts else ["{}"]


def text(value: ColumnElement[Any]) -> Json:
    """Any text, or an array of texts."""
    return (cast(func.to_json(value), Text),)


def plain_text(value: ColumnElement[Any]) -> Json:
    """Text in which nothing needs escaping, as usernames and digits: twice as fast."""
    return ('"', value, '"')


def number(value: ColumnElement[Any]) -> Json:
    """A whole number."""
    return (value,)


def boolean(value: ColumnElement[Any]) -> Json:
    """True or false, never null."""

    def text(before: str, after: str) -> ColumnElement[str]:
        return case((value, constant(f"{before}true{after}")), else_=constant(f"{before}false{after}"))

    return (Framed(text),)


def money(units: ColumnElement[Any]) -> Json:
    """Whole units of 0.00001, as `billing.money.format_money`: the product has exactly five decimals."""
    return ('"', units * literal_column("0.00001"), '"')


def price(e8: ColumnElement[Any]) -> Json:
    """Whole units of 0.00000001, as `billing.money.format_rate`."""
    return ('"', e8 * literal_column("0.00000001"), '"')


def percent(e4: ColumnElement[Any]) -> Json:
    """Whole units of 0.0001 %, as `billing.money.format_percent`."""
    return ('"', func.trim_scale(e4 * literal_column("0.0001")), '"')


def instant(value: ColumnElement[Any]) -> Json:
    """ISO 8601 in UTC with ``Z``; microseconds only where there are some."""
    return ('"', _iso_text(value), 'Z"')


def _iso_text(value: ColumnElement[Any]) -> ColumnElement[str]:
    """As Python's ``isoformat``, in UTC."""
    in_utc = func.timezone(literal_column("interval '0'"), value, type_=TIMESTAMP)
    # The text by the date style, which has a space for the T, is twice as fast as to_char, but it leaves out the last
    # zeros of the microseconds.
    five_digits, whole_seconds = (TIMESTAMP(timezone=True, precision=digits) for digits in (5, 0))
    all_digits = or_(cast(value, five_digits) != value, cast(value, whole_seconds) == value)
    short = func.replace(cast(in_utc, Text), constant(" "), constant("T"), type_=Text)
    return case((all_digits, short), else_=func.to_char(in_utc, constant('YYYY-MM-DD"T"HH24:MI:SS.US'), type_=Text))


def global_id(kind: str, *, plain: bool = True) -> Write:
    """The id of a kind of object. ``plain`` keys are numbers; other texts may be so long that base64 breaks lines."""

    def write(key: ColumnElement[Any]) -> Json:
        named = joined([f"{kind}:", key])
        if plain:
            # Of all ways from text to bytes this takes the least time.
            return ('"', func.encode(func.textsend(named), constant("base64"), type_=Text), '"')
        encoded = func.encode(func.convert_to(named, constant("UTF8")), constant("base64"))
        return ('"', func.replace(encoded, constant("\n"), constant(""), type_=Text), '"')

    return write


def nullable(write: Write) -> Write:
    """The same, and ``null`` where there is no value."""

    def write_or_null(value: ColumnElement[Any]) -> Json:
        def text(before: str, after: str) -> ColumnElement[str]:
            written = joined(part for part in (before, *write(value), after) if part != "")
            return func.coalesce(written, constant(f"{before}null{after}"), type_=Text)

        return (Framed(text),)

    return write_or_null


def listed(item: Json, *, order: ColumnElement[Any] | None = None, where: ColumnElement[bool] | None = None) -> Json:
    """A list of the items of all rows, or of some, in the sequence of the rows or in another order."""
    middle = merged(item)
    # What every item begins and ends with is put between them together with the comma: two joints less for each row.
    first, last = (middle.pop(end) if len(middle) > 1 and isinstance(middle[end], str) else "" for end in (0, -1))
    between: ColumnElement[Any] = constant(f"{last},{first}")
    if order is not None:
        between = aggregate_order_by(between, order)
    items = func.string_agg(joined(middle), between, type_=Text)
    found = joined(part for part in (first, items if where is None else items.filter(where), last) if part != "")
    return ("[", func.coalesce(found, constant(""), type_=Text), "]")


def cursor(order: str, values: Sequence[ColumnElement[Any]], kinds: Sequence[type]) -> ColumnElement[str]:
    """The cursor of a row with these sort values: what `resolvers.pages.PageRequest.cursor` makes of them."""
    parts: list[Part] = ["["]
    for value, kind in zip(values, kinds, strict=True):
        parts += ["," if len(parts) > 1 else "", *_sort_json(value, kind)]
    body = func.convert_to(joined([*parts, "]"]), constant("UTF8"), type_=LargeBinary)
    name = (order.encode() + b"\0").hex()
    prefix = literal_column(f"'\\x{name}'::bytea", LargeBinary)
    check = func.substr(func.sha256(prefix.op("||")(body)), whole(1), whole(CHECK_BYTES), type_=LargeBinary)
    encoded = func.replace(func.encode(check.op("||")(body), constant("base64")), constant("\n"), constant(""))
    return func.rtrim(func.translate(encoded, constant("+/"), constant("-_")), constant("="), type_=Text)


def _sort_json(value: ColumnElement[Any], kind: type) -> Json:
    if kind is int:
        return number(value)
    if kind in (str, tuple):
        return text(value)
    return ('"', _iso_text(value), '+00:00"')
