"""Scalars: times with their zone, days, whole numbers beyond an Int. Money has tests of its own."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import graphql
import pytest
from graphql import GraphQLError

from schema.scalars import SCALARS, BigInt, Money, Percent, format_instant, parse_instant


def parse(kind: object, value: Any) -> Any:
    parser = SCALARS[kind].parse_value
    assert parser is not None
    return parser(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456-05:30", datetime(2026, 1, 31, 17, 30, 0, 123456, tzinfo=UTC)),
    ],
)
def test_a_time_with_its_zone_is_read_as_utc(text: str, expected: datetime) -> None:
    assert parse_instant(text) == expected
    assert parse_instant(text).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T12:00:00",
        "2026-01-31",
        "20260131T120000Z",
        "2026-W05-6T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T12:00:00.1234567Z",
        "0001-01-01T00:00:00+12:00",
        "٢٠٢٦-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\n",
        "now",
        "",
        1769860800,
        1.5,
        True,
        None,
        [],
    ],
)
def test_a_time_that_is_not_exact_is_refused(value: Any) -> None:
    with pytest.raises(GraphQLError):
        parse(datetime, value)


def test_who_gives_a_time_in_nanoseconds_is_told_what_is_wrong_with_it() -> None:
    with pytest.raises(GraphQLError, match=r"^A time has at most 6 decimals of a second$"):
        parse(datetime, "2026-01-31T12:00:00.123456789Z")


def test_a_time_leaves_in_utc_with_a_z_and_microseconds_only_where_there_are_some() -> None:
    vienna = timezone(timedelta(hours=2))
    assert format_instant(datetime(2026, 1, 31, 12, tzinfo=vienna)) == "2026-01-31T10:00:00Z"
    assert format_instant(datetime(2026, 1, 31, 12, 0, 0, 120, tzinfo=UTC)) == "2026-01-31T12:00:00.000120Z"
    with pytest.raises(ValueError, match="without zone"):
        format_instant(datetime(2026, 1, 31, 12))  # noqa: DTZ001


@pytest.mark.parametrize("value", ["2026-02-30", "2026-1-1", "20260101", "2026-01-01T00:00:00Z", 20260101, None])
def test_a_day_that_is_none_is_refused(value: Any) -> None:
    assert parse(date, "2026-01-31") == date(2026, 1, 31)
    with pytest.raises(GraphQLError):
        parse(date, value)


@pytest.mark.parametrize("value", [2**53, -(2**53), 1.0, "1", True, None])
def test_a_whole_number_that_json_might_change_is_refused(value: Any) -> None:
    assert parse(BigInt, 2**53 - 1) == 2**53 - 1
    with pytest.raises(GraphQLError):
        parse(BigInt, value)


@pytest.mark.parametrize("value", [1, 1.5, True, None, [], {}, "1e3", "1.000001"])
def test_only_exact_decimal_text_becomes_money(value: Any) -> None:
    assert parse(Money, "9.25") == 925_000
    with pytest.raises(GraphQLError):
        parse(Money, value)


def test_a_percentage_is_decimal_text_too() -> None:
    assert parse(Percent, "-20") == -200_000
    with pytest.raises(GraphQLError):
        parse(Percent, 10)


def test_a_wrong_value_in_the_document_is_pointed_at() -> None:
    document = graphql.parse('{ calls(since: "2026-01-31T12:00:00.123456789Z", least: "1e3", most: "2.5") }')
    schema = graphql.build_schema(
        "scalar DateTime scalar Money type Query { calls(since: DateTime, least: Money, most: Money): Int }"
    )
    for scalar in (datetime, Money):
        definition = SCALARS[scalar]
        schema.type_map[definition.name].parse_literal = definition.parse_literal
    errors = graphql.validate(schema, document)
    assert [(error.message, error.locations) for error in errors] == [
        ("A time has at most 6 decimals of a second", [graphql.SourceLocation(1, 16)]),
        ("An amount must be decimal text such as \"9.25000\", not '1e3'", [graphql.SourceLocation(1, 57)]),
    ]
