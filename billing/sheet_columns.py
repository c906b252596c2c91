"""What the columns of a carrier's rate sheet mean, by the names that the trade gives them. Pure.

A name is taken as it is known, or not at all: "Rate (cents)" is no price here, since guessing would cost a
hundredfold.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto


class Column(Enum):
    """What a column says of its row's prefix."""

    PREFIX = auto()
    DESTINATION = auto()
    PRICE = auto()
    FEE = auto()
    FIRST_INCREMENT = auto()
    NEXT_INCREMENT = auto()
    BOTH_INCREMENTS = auto()
    EFFECTIVE_FROM = auto()
    BLOCKED = auto()
    TIME_OF_DAY = auto()
    CURRENCY = auto()


# Names in lower case, words separated by one blank. In DESTINATION an earlier name is preferred to a later one.
_NAMES: dict[Column, str] = {
    Column.PREFIX: "prefix, prefixes, code, codes, dial code, dialcode, dialing code, dialling code, dial prefix, "
    "area code, destination code, dest code, country code, breakout code, number prefix, destination prefix, digits",
    Column.DESTINATION: "destination, destination name, dest, breakout, description, name, area, area name, zone, "
    "region, location, country, country name",
    Column.PRICE: "rate, price, rate per minute, rate per min, rate minute, rate min, price per minute, price per min, "
    "price minute, price min, per minute, per min, minute rate, minute price, cost, cost per minute, cost per min, "
    "charge per minute, initial rate per minute, increment rate per minute, initial rate, increment rate, new rate, "
    "new price, current rate, current price, peak rate, off peak rate, offpeak rate, weekend rate, sell rate, buy rate",
    Column.FEE: "connection fee, connect fee, setup fee, set up fee, connection charge, connect charge, setup charge, "
    "call setup fee, connection cost, connect cost, connectcost",
    Column.FIRST_INCREMENT: "first increment, initial increment, 1st increment, first interval, initial interval, "
    "interval 1, interval1, first increment seconds, minimum duration, min duration, minimum time, min time",
    Column.NEXT_INCREMENT: "next increment, subsequent increment, additional increment, 2nd increment, "
    "second increment, next interval, subsequent interval, interval n, intervaln, next increment seconds",
    Column.BOTH_INCREMENTS: "increment, increments, billing increment, billing increments, interval, intervals, "
    "billing interval, billing intervals, billing terms, rounding, billing, billing block",
    Column.EFFECTIVE_FROM: "effective from, effective date, effective, valid from, start date, date effective, "
    "effective from date, effectivefrom, activation date",
    Column.BLOCKED: "blocked, block, barred",
    Column.TIME_OF_DAY: "time of day, time band, timeband, time period, period, tod, time class",
    Column.CURRENCY: "currency, ccy",
}

_MEANING = {name: column for column, names in _NAMES.items() for name in names.split(", ")}
_DESTINATION_RANK = {name: rank for rank, name in enumerate(_NAMES[Column.DESTINATION].split(", "))}

_SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "CNY or JPY"}
# The codes that a column's name may carry; other words of three letters are words.
_CURRENCIES = frozenset(
    re.findall(
        r"[A-Z]{3}",
        "AED AUD BDT BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KES KRW MXN MYR NGN NOK NZD PHP PKR PLN "
        "RON RUB SAR SEK SGD THB TRY TWD UAH USD VND ZAR",
    )
)


@dataclass(frozen=True, slots=True)
class Header:
    """The recognised columns of a sheet: their positions by meaning.

    ``names`` are all columns' names as they come, ``ignored`` those without a meaning here, ``currencies`` what the
    names of price columns say.
    """

    names: Sequence[str]
    positions: dict[Column, list[int]]
    ignored: Sequence[str] = ()
    currencies: frozenset[str] = field(default_factory=frozenset)

    def first(self, column: Column) -> int | None:
        """The position of a column that a sheet has once."""
        found = self.positions.get(column)
        return found[0] if found else None


def read_header(cells: Sequence[str]) -> Header | None:
    """The header in a row's cells; None where the row has no prefix or no price column, so that it is no header."""
    positions: dict[Column, list[int]] = {}
    currencies: set[str] = set()
    ignored = []
    best_destination: tuple[int, int] | None = None
    for position, cell in enumerate(cells):
        name, currency = _normal(cell)
        column = _MEANING.get(name)
        if column is None:
            ignored.append(cell.strip())
            continue
        if column in (Column.PRICE, Column.FEE) and currency is not None:
            currencies.add(currency)
        if column is Column.DESTINATION:
            best_destination = min(best_destination or (99, 99), (_DESTINATION_RANK[name], position))
        positions.setdefault(column, []).append(position)
    if best_destination is not None:
        dropped = [p for p in positions[Column.DESTINATION] if p != best_destination[1]]
        ignored += [cells[position].strip() for position in dropped]
        positions[Column.DESTINATION] = [best_destination[1]]
    if Column.PREFIX not in positions or Column.PRICE not in positions:
        return None
    names = [cell.strip() for cell in cells]
    return Header(names, positions, [name for name in ignored if name], frozenset(currencies))


def repeated_column(header: Header) -> Column | None:
    """A meaning that two columns have though only prices may be given twice; None where there is none."""
    for column, positions in header.positions.items():
        if len(positions) > 1 and column is not Column.PRICE:
            return column
    return None


def _normal(cell: str) -> tuple[str, str | None]:
    """The name in lower case without punctuation and currency, and the currency."""
    currency = None
    for symbol, code in _SYMBOLS.items():
        if symbol in cell:
            currency = code
    words = []
    for word in re.findall(r"[^\W_]+", cell):
        if word.upper() in _CURRENCIES:
            currency = word.upper()
        else:
            words.append(word.lower())
    return " ".join(words), currency
