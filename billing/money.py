"""Money, prices and percentages as whole numbers, and their decimal text.

    amount       whole units of 0.00001          ``Money``    "9.25000"
    price, fee   whole units of 0.00000001       ``Rate``     "0.05000000"
    percentage   whole units of 0.0001 %         ``Percent``  "10", "-20", "33.3333"
    payment      hundredths of any currency      ``Payment``  "90.00"

Text is ASCII: an optional minus, digits, and at most so many decimals. An exponent, a thousands separator, a plus,
spaces, NaN, infinity, digits of other scripts, more decimals or a value out of range raise `NumberError`; nothing
is ever rounded on the way in. The parsers are our own because ``Decimal`` accepts most of these.
"""

import re
from functools import partial

MONEY_DECIMALS = 5
RATE_DECIMALS = 8
PERCENT_DECIMALS = 4
PAYMENT_DECIMALS = 2

MONEY_UNITS_PER_WHOLE = 10**MONEY_DECIMALS
RATE_E8_PER_WHOLE = 10**RATE_DECIMALS
PERCENT_E4_PER_WHOLE = 10**PERCENT_DECIMALS
HUNDRED_PERCENT_E4 = 100 * PERCENT_E4_PER_WHOLE

# One amount that is typed in or charged. A bigint holds ninety times as much, so sums and balances have room.
MONEY_UNITS_MAX = 10**12 * MONEY_UNITS_PER_WHOLE - 1
# A balance may not leave this range: far inside a bigint, so that no statement can overflow.
BALANCE_UNITS_MAX = 9 * 10**18
# 1,000,000 a minute: with the longest call (a week) a charge stays below `MONEY_UNITS_MAX`.
RATE_E8_MAX = 10**6 * RATE_E8_PER_WHOLE
# What is paid for credit in one go, in whatever currency.
PAYMENT_CENTS_MAX = 10**12 * 10**PAYMENT_DECIMALS - 1
# A markup of 10,000 %.
PERCENT_E4_MIN = -10_000 * PERCENT_E4_PER_WHOLE

# Far more digits than anything has, so that a number with too many of them is told what is wrong with it.
_DECIMAL = re.compile(r"(-?)([0-9]{1,1000})(?:\.([0-9]{1,1000}))?", re.ASCII)


class NumberError(ValueError):
    """A text that is no acceptable amount, price or percentage. The message says why, for a person."""


def _parse(text: str, *, decimals: int, low: int, high: int, what: str) -> int:
    if not isinstance(text, str):
        raise NumberError(f"{what} must be decimal text in quotes, such as {_example(decimals)}")
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise NumberError(f"{what} must be decimal text such as {_example(decimals)}, not {text[:40]!r}")
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction) > decimals:
        raise NumberError(f"{what} has at most {decimals} decimals, {text[:40]!r} has {len(fraction)}")
    value: int = int(whole) * 10**decimals + int(fraction.ljust(decimals, "0"))
    value = -value if sign else value
    if not low <= value <= high:
        raise NumberError(f"{what} is {_shortest(low, decimals)} to {_shortest(high, decimals)}, not {text[:40]}")
    return value


def _example(decimals: int) -> str:
    return '"10"' if decimals == PERCENT_DECIMALS else f'"9.{"25".ljust(decimals, "0")}"'


def _format(value: int, *, decimals: int) -> str:
    digits = str(abs(value)).zfill(decimals + 1)
    return f"{'-' if value < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


def _shortest(value: int, decimals: int) -> str:
    return _format(value, decimals=decimals).rstrip("0").rstrip(".")


parse_money = partial(_parse, decimals=MONEY_DECIMALS, low=-MONEY_UNITS_MAX, high=MONEY_UNITS_MAX, what="An amount")
parse_money.__doc__ = "Decimal text to whole units of 0.00001. Raises `NumberError`."

parse_rate = partial(_parse, decimals=RATE_DECIMALS, low=0, high=RATE_E8_MAX, what="A price")
parse_rate.__doc__ = "Decimal text to whole units of 0.00000001, never negative. Raises `NumberError`."

parse_percent = partial(
    _parse, decimals=PERCENT_DECIMALS, low=PERCENT_E4_MIN, high=HUNDRED_PERCENT_E4, what="A percentage"
)
parse_percent.__doc__ = "Decimal text to whole units of 0.0001 %: -10000 to 100. Raises `NumberError`."

parse_payment = partial(_parse, decimals=PAYMENT_DECIMALS, low=0, high=PAYMENT_CENTS_MAX, what="A payment")
parse_payment.__doc__ = "Decimal text to hundredths of a currency, never negative. Raises `NumberError`."


def format_money(units: int) -> str:
    """Whole units of 0.00001 as text with exactly five decimals: ``925000`` is ``"9.25000"``."""
    return _format(units, decimals=MONEY_DECIMALS)


def format_rate(e8: int) -> str:
    """Whole units of 0.00000001 as text with exactly eight decimals."""
    return _format(e8, decimals=RATE_DECIMALS)


def format_percent(e4: int) -> str:
    """Whole units of 0.0001 % as the shortest text: ``100000`` is ``"10"``, ``333333`` is ``"33.3333"``."""
    return _shortest(e4, PERCENT_DECIMALS)


def format_payment(cents: int) -> str:
    """Hundredths of a currency as text with exactly two decimals."""
    return _format(cents, decimals=PAYMENT_DECIMALS)


def divide_half_up(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded to a whole number, halves away from zero. ``denominator`` > 0."""
    if numerator < 0:
        return -((-2 * numerator + denominator) // (2 * denominator))
    return (2 * numerator + denominator) // (2 * denominator)
