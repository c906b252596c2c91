"""Which rows a list of new rates adds to a rate list. Pure; design: rows are added, never removed.

A row holds from its instant until the next row of its prefix, so that a call is rated by its start, however late
it is reported. Hence:

    no instant given    the first rate of a prefix holds since ever; a later one from now on
    an instant given    the rate holds from then on, be it in the future (planned) or in the past (mended)
    identical           what would hold anyway adds nothing
    replace             prefixes left out are withdrawn now, and what was planned for them is withdrawn too
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from billing.errors import InvalidRate
from billing.money import RATE_E8_MAX, RATE_E8_PER_WHOLE
from billing.rating import PREFIX_DIGITS_MAX, Entry, Price

INCREMENT_S_MAX = 86_400
DESTINATION_CHARS_MAX = 200

_SINCE_EVER = datetime.min.replace(tzinfo=UTC)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class NewRate(NamedTuple):
    """A price for its prefix, from an instant on; None: since ever if it is the prefix's first, else from now on."""

    price: Price
    effective_from: datetime | None = None


class RateRow(NamedTuple):
    """A row to write: it replaces one of the same prefix and instant, if there is one."""

    prefix: str
    entry: Entry


def check_rates(rates: Sequence[NewRate]) -> None:
    """Raises: InvalidRate: the first rate that cannot be, or one that is given twice; its position is in ``path``."""
    seen: dict[tuple[str, datetime | None], int] = {}
    for index, rate in enumerate(rates):
        field, problem = problem_of(rate) or (None, None)
        if problem is not None:
            raise InvalidRate(f"Rate {index + 1}: {problem}", path=("rates", str(index), str(field)))
        first = seen.setdefault((rate.price.prefix, rate.effective_from), index)
        if first != index:
            raise InvalidRate(
                f"Rates {first + 1} and {index + 1} are for the same prefix {rate.price.prefix}.",
                path=("rates", str(index), "prefix"),
            )


def problem_of(rate: NewRate) -> tuple[str, str] | None:
    """The input field and what is wrong with it, as the end of a sentence; None where nothing is."""
    price = rate.price
    prefix = price.prefix
    if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= PREFIX_DIGITS_MAX):
        return "prefix", f"a prefix is 1 to {PREFIX_DIGITS_MAX} digits, not {prefix[:40]!r}."
    if not 0 <= price.price_per_minute_e8 <= RATE_E8_MAX:
        return "pricePerMinute", f"the price per minute is 0 to {RATE_E8_MAX // RATE_E8_PER_WHOLE}."
    if not 0 <= price.connection_fee_e8 <= RATE_E8_MAX:
        return "connectionFee", f"the connection fee is 0 to {RATE_E8_MAX // RATE_E8_PER_WHOLE}."
    for field, seconds in (
        ("firstIncrementSeconds", price.first_increment_s),
        ("nextIncrementSeconds", price.next_increment_s),
    ):
        if not 1 <= seconds <= INCREMENT_S_MAX:
            return field, f"an increment is 1 to {INCREMENT_S_MAX} seconds, not {seconds}."
    name = price.destination
    if name is not None and not (name.isprintable() and 0 < len(name) <= DESTINATION_CHARS_MAX):
        return "destination", f"a destination is 1 to {DESTINATION_CHARS_MAX} printable characters."
    start = rate.effective_from
    if start is not None and not _EARLIEST <= start <= _LATEST:
        return "effectiveFrom", f"the instant must lie between {_EARLIEST.year} and {_LATEST.year}."
    return None


def rows_to_write(
    existing: Mapping[str, Sequence[Entry]], rates: Iterable[NewRate], *, replace: bool, now: datetime
) -> list[RateRow]:
    """The rows that make ``rates`` hold in a list that has ``existing`` (by prefix, newest first).

    ``existing`` must have every prefix of the list if ``replace``, else those of ``rates`` are enough.
    """
    wanted: dict[str, list[NewRate]] = {}
    for rate in rates:
        wanted.setdefault(rate.price.prefix, []).append(rate)
    rows = []
    for prefix, new in wanted.items():
        new.sort(key=lambda rate: rate.effective_from or now)
        versions = {entry.effective_from: entry for entry in existing.get(prefix, ())}
        # First what gives way: a new rate must not be left out because the same would hold by it.
        changes = _planned_otherwise(versions, new, now) if replace else []
        changes += _changes({**versions, **{entry.effective_from: entry for entry in changes}}, new, now)
        rows += [RateRow(prefix, entry) for entry in changes]
    if replace:
        for prefix, entries in existing.items():
            if prefix not in wanted:
                rows += [RateRow(prefix, entry) for entry in _withdrawals(entries, now)]
    return rows


def _changes(versions: Mapping[datetime | None, Entry], new: list[NewRate], now: datetime) -> list[Entry]:
    known = dict(versions)
    changes = []
    for price, start in new:
        held = _held(known.values(), start or now)
        if held is not None and held.price == price:
            continue
        entry = Entry(start or (None if held is None else now), price)
        known[entry.effective_from] = entry
        changes.append(entry)
    return changes


def _planned_otherwise(versions: Mapping[datetime | None, Entry], new: list[NewRate], now: datetime) -> list[Entry]:
    """What was planned before for later than the new rates gives way to them."""
    given = {rate.effective_from for rate in new}
    changes = []
    for start in versions:
        if start is None or start <= now or start in given:
            continue
        before = [rate.price for rate in new if (rate.effective_from or now) <= start]
        if before and versions[start].price != before[-1]:
            changes.append(Entry(start, before[-1]))
    return changes


def _withdrawals(entries: Sequence[Entry], now: datetime) -> list[Entry]:
    planned = [entry for entry in entries if entry.effective_from is not None and entry.effective_from > now]
    withdrawn = [Entry(entry.effective_from, None) for entry in planned if entry.price is not None]
    held = _held(entries, now)
    if held is not None and held.price is not None:
        withdrawn.append(Entry(now, None))
    return withdrawn


def _held(entries: Iterable[Entry], at: datetime) -> Entry | None:
    """The entry that holds at an instant, be it a withdrawal."""
    started = [entry for entry in entries if entry.effective_from is None or entry.effective_from <= at]
    return max(started, key=lambda entry: entry.effective_from or _SINCE_EVER, default=None)
