"""Amounts, prices and percentages are whole numbers with exact decimal text."""

import pytest

from billing.money import (
    MONEY_UNITS_MAX,
    RATE_E8_MAX,
    NumberError,
    divide_half_up,
    format_money,
    format_percent,
    format_rate,
    parse_money,
    parse_payment,
    parse_percent,
    parse_rate,
)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("9.25", 925_000),
        ("9.25000", 925_000),
        ("0", 0),
        ("-0", 0),
        ("-10", -1_000_000),
        ("0.00001", 1),
        ("-0.00001", -1),
        ("007.5", 750_000),
        ("999999999999.99999", MONEY_UNITS_MAX),
        ("-999999999999.99999", -MONEY_UNITS_MAX),
    ],
)
def test_an_amount_is_read_as_whole_units_of_0_00001(text: str, units: int) -> None:
    assert parse_money(text) == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1,234.56",
        "1.234,56",
        "1_000",
        "1 000",
        " 1",
        "1\n",
        "+1",
        "--1",
        "1e3",
        "1E-2",
        "NaN",
        "Infinity",
        "-inf",
        "0x10",
        ".5",
        "5.",
        "1.2.3",
        "١٢",
        "１２",
        "½",
        "1.000001",
        "0.000000",
        "1000000000000",
        "9" * 400,
        "EUR 1",
        "1€",
    ],
)
def test_text_that_is_no_plain_amount_is_refused_and_never_rounded(text: str) -> None:
    with pytest.raises(NumberError):
        parse_money(text)


@pytest.mark.parametrize("value", [1, 1.5, True, None, b"1", ["1"]])
def test_an_amount_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(NumberError, match="decimal text in quotes"):
        parse_money(value)  # type: ignore[arg-type]


def test_a_thousands_separator_never_books_a_thousandth() -> None:
    with pytest.raises(NumberError, match=r"not '1,234\.56'"):
        parse_money("1,234.56")


def test_too_many_decimals_are_named_in_the_message() -> None:
    with pytest.raises(NumberError, match=r"^An amount has at most 5 decimals, '0\.123456' has 6$"):
        parse_money("0.123456")


@pytest.mark.parametrize("text", ["99999999999999999", "-99999999999999999", "9" * 400])
def test_a_number_with_too_many_digits_is_told_what_an_amount_may_be(text: str) -> None:
    range_ = r"-999999999999\.99999 to 999999999999\.99999"
    with pytest.raises(NumberError, match=rf"^An amount is {range_}, not {text[:40]}$"):
        parse_money(text)


def test_every_kind_of_number_says_its_range() -> None:
    for parse, text, range_ in (
        (parse_rate, "-1", "A price is 0 to 1000000, not -1"),
        (parse_percent, "101", "A percentage is -10000 to 100, not 101"),
        (parse_payment, "-0.01", r"A payment is 0 to 999999999999\.99, not -0\.01"),
    ):
        with pytest.raises(NumberError, match=f"^{range_}$"):
            parse(text)


@pytest.mark.parametrize(
    ("units", "text"),
    [(925_000, "9.25000"), (0, "0.00000"), (-1, "-0.00001"), (-1_000_000, "-10.00000"), (123, "0.00123")],
)
def test_an_amount_is_shown_with_exactly_five_decimals(units: int, text: str) -> None:
    assert format_money(units) == text


def test_a_price_has_eight_decimals_and_is_never_negative() -> None:
    assert parse_rate("0.05") == 5_000_000
    assert parse_rate("0.00000001") == 1
    assert parse_rate("1000000") == RATE_E8_MAX
    assert format_rate(5_000_000) == "0.05000000"
    for text in ("-0.01", "0.000000001", "1000000.00000001", "Blocked", "4.5E-05", "0,05"):
        with pytest.raises(NumberError):
            parse_rate(text)


def test_a_percentage_is_at_most_100_and_may_be_a_markup() -> None:
    assert parse_percent("10") == 100_000
    assert parse_percent("-20") == -200_000
    assert parse_percent("33.3333") == 333_333
    assert parse_percent("100") == 1_000_000
    assert parse_percent("-10000") == -100_000_000
    for text in ("100.0001", "-10000.0001", "10%", "0.00001"):
        with pytest.raises(NumberError):
            parse_percent(text)


@pytest.mark.parametrize(
    ("e4", "text"),
    [
        (0, "0"),
        (100_000, "10"),
        (1_000_000, "100"),
        (333_333, "33.3333"),
        (-200_000, "-20"),
        (5_000, "0.5"),
        (1, "0.0001"),
    ],
)
def test_a_percentage_is_shown_as_its_shortest_text(e4: int, text: str) -> None:
    assert format_percent(e4) == text


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(5, 10, 1), (4, 10, 0), (-5, 10, -1), (-4, 10, 0), (15, 10, 2), (-15, 10, -2), (1, 3, 0), (2, 3, 1), (0, 7, 0)],
)
def test_halves_are_rounded_away_from_zero(numerator: int, denominator: int, rounded: int) -> None:
    assert divide_half_up(numerator, denominator) == rounded
