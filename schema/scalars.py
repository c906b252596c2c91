"""Scalars: money, prices and percentages as decimal text, instants with their time zone.

In Python an amount is an ``int`` of whole units of 0.00001 (`Money`), a price an ``int`` of 0.00000001 (`Price`), a
percentage an ``int`` of 0.0001 % (`Percent`), a payment an ``int`` of hundredths of its currency (`Payment`). A JSON
number is refused, so no binary fraction ever becomes money.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, NewType, TypeVar

from graphql import GraphQLError, ValueNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

from billing.money import (
    format_money,
    format_payment,
    format_percent,
    format_rate,
    parse_money,
    parse_payment,
    parse_percent,
    parse_rate,
)

Money = NewType("Money", int)
Price = NewType("Price", int)
Percent = NewType("Percent", int)
Payment = NewType("Payment", int)
BigInt = NewType("BigInt", int)

# What every JSON parser keeps exactly.
_BIG_INT_MAX = 2**53 - 1

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.(?P<decimals>[0-9]+))?)?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
# Nanoseconds would be cut off unsaid.
_DECIMALS_MAX = 6
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

_Value = TypeVar("_Value")


def parse_instant(text: Any) -> datetime:
    """An ISO 8601 date and time with its zone, in UTC. Raises: ValueError with a message for the caller."""
    written = _INSTANT.fullmatch(text) if isinstance(text, str) else None
    if written is None:
        raise ValueError('A time must be text with its zone as Z or +01:00, such as "2026-01-31T12:00:00Z"')
    if len(written["decimals"] or "") > _DECIMALS_MAX:
        raise ValueError(f"A time has at most {_DECIMALS_MAX} decimals of a second")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"There is no such time as {text}") from None


def format_instant(value: datetime) -> str:
    """Always in UTC with ``Z``; microseconds only where there are some."""
    if value.tzinfo is None:
        raise ValueError("a time without zone left the database")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_day(text: Any) -> date:
    """An ISO 8601 day. Raises: ValueError with a message for the caller."""
    if not isinstance(text, str) or _DAY.fullmatch(text) is None:
        raise ValueError('A day must be text such as "2026-01-31"')
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"There is no such day as {text}") from None


def _parse_big_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _BIG_INT_MAX:
        raise ValueError("A whole number of at most 2^53 - 1 is needed")
    return value


def _checked(parse: Callable[[Any], _Value]) -> Callable[[Any], _Value]:
    # graphql-core repeats a ValueError's text behind one of its own; a GraphQLError's text goes out as it is.
    def parse_value(value: Any) -> _Value:
        try:
            return parse(value)
        except ValueError as error:
            raise GraphQLError(str(error), original_error=error) from error

    return parse_value


def _checked_literal(parse: Callable[[Any], _Value]) -> Callable[[ValueNode, Any], _Value]:
    # Of a value that stands in the document its place is said too.
    def parse_literal(node: ValueNode, variables: Any = None) -> _Value:
        try:
            return parse(value_from_ast_untyped(node, variables))
        except ValueError as error:
            raise GraphQLError(str(error), node, original_error=error) from error

    return parse_literal


def _scalar(
    name: str, description: str, serialize: Callable[[Any], str | int], parse: Callable[[Any], Any]
) -> ScalarDefinition:
    return ScalarDefinition(
        name=name,
        description=description,
        specified_by_url=None,
        serialize=serialize,
        parse_value=_checked(parse),
        parse_literal=_checked_literal(parse),
    )


SCALARS: dict[object, ScalarDefinition] = {
    Money: _scalar(
        "Money",
        'An amount in the installation\'s currency as decimal text with five decimals, such as "9.25000". Input '
        "may have fewer decimals, never more; a number without quotes, an exponent or a separator is refused.",
        format_money,
        parse_money,
    ),
    Price: _scalar(
        "Price",
        'A price per minute or a fee per call as decimal text with eight decimals, such as "0.05000000", never '
        "negative. Input may have fewer decimals, never more.",
        format_rate,
        parse_rate,
    ),
    Percent: _scalar(
        "Percent",
        'A percentage as decimal text with at most four decimals, such as "10" or "33.3333". A discount above 0, '
        "a markup below.",
        format_percent,
        parse_percent,
    ),
    Payment: _scalar(
        "Payment",
        'What is paid for credit, in the currency named beside it, as decimal text with two decimals, such as "90.00", '
        "never negative. Input may have fewer decimals, never more.",
        format_payment,
        parse_payment,
    ),
    BigInt: _scalar(
        "BigInt",
        "A whole number that may be larger than `Int` holds, such as seconds summed over many calls.",
        int,
        _parse_big_int,
    ),
    datetime: _scalar(
        "DateTime",
        'A point in time as ISO 8601 text: "2026-01-31T12:00:00Z". Input needs its time zone, and has at most '
        f"{_DECIMALS_MAX} decimals of a second; output is in UTC.",
        format_instant,
        parse_instant,
    ),
    date: _scalar("Date", 'A UTC day as ISO 8601 text: "2026-01-31".', date.isoformat, parse_day),
}
