"""What a call costs: prefix match, the price of each level, billed seconds, the charge, the longest duration.

Pure: whole numbers in, whole numbers out, no database and no clock. The rules and their source are design §3:
longest prefix among the rates that hold at the call's start; a list's percentage applied level by level, top down,
each level's price rounded half up to 8 decimals; a list's own entry replaces the price when its prefix is at least
as long as the one matched so far; the charge rounded once, half up, to 5 decimals.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from billing.money import HUNDRED_PERCENT_E4, RATE_E8_MAX, divide_half_up

PREFIX_DIGITS_MAX: Final = 15

# fee [1e-8] + price [1e-8 a minute] * seconds / 60, in 1e-5: the common denominator.
E8_SECONDS_PER_UNIT: Final = 60 * 1000
SECONDS_PER_MINUTE: Final = 60
_HALF_UNIT: Final = E8_SECONDS_PER_UNIT // 2


class Price(NamedTuple):
    """What one level pays for a destination. Price and fee in whole units of 0.00000001."""

    price_per_minute_e8: int
    connection_fee_e8: int
    first_increment_s: int
    next_increment_s: int
    prefix: str
    destination: str | None
    blocked: bool


class Entry(NamedTuple):
    """One rate of one list: a price and the instant it holds from (None: since ever). ``price`` None: withdrawn."""

    effective_from: datetime | None
    price: Price | None


@dataclass(slots=True)
class RateTable:
    """A rate list as rating needs it: its percentage and its entries by prefix, newest first.

    ``is_base`` marks the operator's deck, from which every price starts; its percentage is not applied.
    """

    discount_e4: int
    entries: Mapping[str, Sequence[Entry]]
    is_base: bool = False
    longest_prefix: int = 0
    _ordered: Sequence[str] | None = field(default=None, init=False, repr=False, compare=False)
    _names: Sequence[str | None] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.longest_prefix = max(map(len, self.entries), default=0)

    def ordered_prefixes(self) -> Sequence[str]:
        """Every prefix that has an entry, in order; worked out once."""
        if self._ordered is None:
            self._ordered = sorted(self.entries)
        return self._ordered

    def prefixes_named(self, name: str) -> Sequence[str]:
        """In order, the prefixes that ever had ``name`` (casefolded) in a destination's name, or an entry without one.

        An entry without a name goes by the upper level's.
        """
        ordered = self.ordered_prefixes()
        if self._names is None:
            self._names = [_names_of(self.entries[prefix]) for prefix in ordered]
        named = zip(ordered, self._names, strict=True)
        return [prefix for prefix, names in named if names is None or name in names]

    def holding(self, prefix: str, at: datetime) -> Entry | None:
        """The entry of exactly this prefix that holds at ``at``, be it a withdrawal; None where there is none."""
        for version in self.entries.get(prefix, ()):
            if version.effective_from is None or version.effective_from <= at:
                return version
        return None

    def match(self, number: str, at: datetime, *, shortest: int = 1) -> Price | None:
        """The price of the longest prefix of ``number``, of at least ``shortest`` digits, that holds at ``at``."""
        entries = self.entries
        for length in range(min(self.longest_prefix, len(number)), shortest - 1, -1):
            versions = entries.get(number[:length])
            if versions is None:
                continue
            for version in versions:
                if version.effective_from is None or version.effective_from <= at:
                    if version.price is not None:
                        return version.price
                    break
        return None


def _names_of(versions: Sequence[Entry]) -> str | None:
    """Every name that a prefix ever had, one a line; None where it also had none."""
    names = [version.price.destination for version in versions if version.price is not None]
    return None if None in names else "\n".join(filter(None, names)).casefold()


def price_path(base: RateTable, lists: Iterable[RateTable], number: str, at: datetime) -> list[Price | None]:
    """The price on each level, operator first; ``lists`` are the selected lists below it, top down.

    None stands for a level without a usable rate: none matches, the destination is blocked there, or markup on
    markup has made a price that cannot be booked (above `billing.money.RATE_E8_MAX`). A level whose upper level has
    no rate at all starts from its own list's entries alone; the call is refused anyway.
    """
    levels = price_levels(base, lists, number, at)
    return levels if all(map(is_usable, levels)) else [price if is_usable(price) else None for price in levels]


def price_levels(base: RateTable, lists: Iterable[RateTable], number: str, at: datetime) -> list[Price | None]:
    """`price_path` before it is decided what is usable: blocked prices are in it, None is where no rate matches."""
    current = base.match(number, at)
    prices = [current]
    for table in lists:
        # Most lists have nothing but a percentage.
        own = _own_price(table, current, number, at) if table.longest_prefix else None
        if own is not None:
            current = own
        elif current is not None and table.discount_e4:
            current = discounted(current, table.discount_e4)
        prices.append(current)
    return prices


def is_usable(price: Price | None) -> bool:
    """Whether a call can be charged at it: there is one, it is not blocked, and it can be booked."""
    return (
        price is not None
        and not price.blocked
        and price.price_per_minute_e8 <= RATE_E8_MAX
        and price.connection_fee_e8 <= RATE_E8_MAX
    )


def _own_price(table: RateTable, upper: Price | None, number: str, at: datetime) -> Price | None:
    """The list's own entry, if its prefix is as long as the upper level's or longer; without a name it takes that's."""
    own = table.match(number, at, shortest=1 if upper is None else len(upper.prefix))
    if own is None or own.destination or upper is None:
        return own
    return own._replace(destination=upper.destination)


def discounted(price: Price, discount_e4: int) -> Price:
    """The price and fee less a percentage (1e-4 %), each rounded half up to 8 decimals."""
    share = HUNDRED_PERCENT_E4 - discount_e4
    per_minute_e8, fee_e8, first_s, next_s, prefix, destination, blocked = price
    return Price(
        divide_half_up(per_minute_e8 * share, HUNDRED_PERCENT_E4),
        divide_half_up(fee_e8 * share, HUNDRED_PERCENT_E4),
        first_s,
        next_s,
        prefix,
        destination,
        blocked,
    )


def billed_seconds(duration_s: int, first_increment_s: int, next_increment_s: int) -> int:
    """0 for a call of 0 s; else the first increment, then the rest in whole next increments.

    The "remainder" school: 560 s at 60/11 bills 60 + 46 * 11 = 566 s.
    """
    if duration_s <= 0:
        return 0
    if duration_s <= first_increment_s:
        return first_increment_s
    return first_increment_s - (first_increment_s - duration_s) // next_increment_s * next_increment_s


def charge_units(price: Price, billed_s: int) -> int:
    """Connection fee + price per minute * billed seconds / 60, exact, rounded once, half up, to units of 0.00001.

    A call of 0 s costs nothing, fee included.
    """
    if billed_s == 0:
        return 0
    exact = price.connection_fee_e8 * SECONDS_PER_MINUTE + price.price_per_minute_e8 * billed_s
    return (exact + _HALF_UNIT) // E8_SECONDS_PER_UNIT


def charge(price: Price, duration_s: int) -> tuple[int, int]:
    """Billed seconds and charge (units of 0.00001) of a call at one level's price."""
    billed_s = billed_seconds(duration_s, price.first_increment_s, price.next_increment_s)
    return billed_s, charge_units(price, billed_s)


def max_duration_s(price: Price, available_units: int, cap_s: int) -> int:
    """The longest duration whose charge ``available_units`` covers, at most ``cap_s``.

    It is the first increment and whole next ones; 0 where not even the fee and the first increment are covered;
    ``cap_s`` for a free destination.
    """
    first_s, next_s = price.first_increment_s, price.next_increment_s
    # A free call needs no credit, not even where the balance is below zero.
    available_units = max(available_units, 0)
    if price.price_per_minute_e8 == 0:
        return cap_s if charge_units(price, first_s) <= available_units else 0
    # charge <= available  <=>  2 * exact + D < 2 * D * (available + 1), so the largest `exact` is:
    exact_max = (2 * E8_SECONDS_PER_UNIT * (available_units + 1) - E8_SECONDS_PER_UNIT - 1) // 2
    billed_max = (exact_max - price.connection_fee_e8 * SECONDS_PER_MINUTE) // price.price_per_minute_e8
    if billed_max < first_s:
        return 0
    return min(first_s + (billed_max - first_s) // next_s * next_s, cap_s)
