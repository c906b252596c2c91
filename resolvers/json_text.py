"""JSON made by PostgreSQL: expressions whose text is, byte for byte, what our scalars and orjson write.

A `Json` is a sequence of constant texts and SQL expressions, joined at the end by `joined`. The connection's time
zone does not matter. Text comes out of ``to_json``, which escapes what orjson escapes and nothing else.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Integer, LargeBinary, Text, case, cast, func, literal_column
from sqlalchemy.dialects.postgresql import aggregate_order_by

from resolvers.pages import CHECK_BYTES

Part = str | ColumnElement[Any]
Json = Sequence[Part]
Write = Callable[[ColumnElement[Any]], Json]

# PostgreSQL takes at most 100 arguments of a function.
_ARGUMENTS_MAX = 100


def joined(parts: Iterable[Part]) -> ColumnElement[str]:
    """One text of all parts; a null expression counts as empty."""
    pieces: list[ColumnElement[Any]] = []
    for part in _merged(parts):
        pieces.append(constant(part) if isinstance(part, str) else part)
    while len(pieces) > _ARGUMENTS_MAX:
        pieces = [func.concat(*pieces[at : at + _ARGUMENTS_MAX]) for at in range(0, len(pieces), _ARGUMENTS_MAX)]
    return func.concat(*pieces, type_=Text)


def _merged(parts: Iterable[Part]) -> list[Part]:
    merged: list[Part] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return merged


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
    return (case((value, constant("true")), else_=constant("false")),)


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
    shown = func.to_char(func.timezone(constant("UTC"), value), constant('YYYY-MM-DD"T"HH24:MI:SS.US'))
    return func.replace(shown, constant(".000000"), constant(""), type_=Text)


def global_id(kind: str, *, plain: bool = True) -> Write:
    """The id of a kind of object. ``plain`` keys are numbers; other texts may be so long that base64 breaks lines."""

    def write(key: ColumnElement[Any]) -> Json:
        encoded = func.encode(
            func.convert_to(func.concat(constant(f"{kind}:"), key), constant("UTF8")), constant("base64"), type_=Text
        )
        return ('"', encoded if plain else func.replace(encoded, constant("\n"), constant("")), '"')

    return write


def nullable(write: Write) -> Write:
    """The same, and ``null`` where there is no value."""

    def write_or_null(value: ColumnElement[Any]) -> Json:
        parts = write(value)
        if len(parts) == 1:
            return (func.coalesce(parts[0], constant("null"), type_=Text),)
        return (case((value.is_(None), constant("null")), else_=joined(parts)),)

    return write_or_null


def listed(
    item: ColumnElement[str], *, order: ColumnElement[Any] | None = None, where: ColumnElement[bool] | None = None
) -> Json:
    """A list of the items of all rows, or of some, in the sequence of the rows or in another order."""
    comma: ColumnElement[Any] = constant(",")
    items = func.string_agg(item, comma if order is None else aggregate_order_by(comma, order), type_=Text)
    return ("[", items if where is None else items.filter(where), "]")


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
