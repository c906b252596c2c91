"""Pages of rates: those of one list, and what an account pays for each destination.

They are worked out from the rate tables in memory, prefix by prefix in order, only as far as the page reaches.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge

from billing.rating import Entry, Price, RateTable, is_usable, price_levels
from resolvers.pages import Page, PageRequest, page_request
from resolvers.prices import ReadTables
from resolvers.request_errors import BadUserInput

RATES_PAGE_SIZE_MAX = 500
_SEARCH_CHARACTERS_MAX = 100

# The first character after the digits: every prefix that begins with P sorts below P + this.
_AFTER_DIGITS = ":"


@dataclass(frozen=True, slots=True)
class RateRow:
    """A rate as it holds at one instant. ``effective_from`` None: since ever."""

    price: Price
    effective_from: datetime | None


@dataclass(frozen=True, slots=True)
class RateFilter:
    """Prefixes that begin with ``prefix``; names of destinations with ``name`` in them (lower case)."""

    prefix: str = ""
    name: str = ""


def rate_filter(prefix: str | None, search: str | None) -> RateFilter:
    """What was asked for; a ``search`` of digits looks for prefixes, any other for names. Raises: BadUserInput."""
    prefix = (prefix or "").strip()
    search = (search or "").strip()
    if prefix and not (prefix.isascii() and prefix.isdigit()):
        raise BadUserInput("`prefix` must be digits: what the prefixes begin with.")
    if len(search) > _SEARCH_CHARACTERS_MAX:
        raise BadUserInput(f"`search` has at most {_SEARCH_CHARACTERS_MAX} characters.")
    if search.isascii() and search.isdigit():
        if search.startswith(prefix) or prefix.startswith(search):
            return RateFilter(max(prefix, search, key=len))
        # Both must be met, and cannot: a name never begins with this character.
        return RateFilter(_AFTER_DIGITS)
    return RateFilter(prefix, search.casefold())


def rates_page_request(*, first: int | None, after: str | None, last: int | None, before: str | None) -> PageRequest:
    """The page asked for, in the order of prefixes. Raises: BadUserInput."""
    return page_request(
        "rates", (str,), first=first, after=after, last=last, before=before, size_max=RATES_PAGE_SIZE_MAX
    )


async def rates_of_list(read: ReadTables, page: PageRequest, chosen: RateFilter, at: datetime | None) -> Page[RateRow]:
    """The list's own rates that hold at ``at``, by default when they were read."""
    return await _page(read, page, chosen, at, own=True)


async def rates_of_path(read: ReadTables, page: PageRequest, chosen: RateFilter, at: datetime | None) -> Page[RateRow]:
    """What the account at the end of the path pays at ``at`` for every prefix that any list on its path names.

    A prefix that a level above has no rate for is left out, since it cannot be called; one that is blocked on any
    level, or too dear to be booked, is blocked.
    """
    return await _page(read, page, chosen, at, own=False)


async def _page(
    read: ReadTables, page: PageRequest, chosen: RateFilter, at: datetime | None, *, own: bool
) -> Page[RateRow]:
    def work_out() -> Page[RateRow]:
        found: list[RateRow] = []
        for prefix in _prefixes(read.tables, chosen, page):
            row = _row(read.tables, prefix, chosen.name, at or read.read_at, own=own)
            if row is not None:
                found.append(row)
                if len(found) > page.size:
                    break
        return _page_of(found, page)

    # To look for a name, or at a time before most rates, may pass over a whole deck: not on the event loop.
    return await asyncio.to_thread(work_out) if chosen.name or at is not None else work_out()


def _prefixes(tables: Sequence[RateTable], chosen: RateFilter, page: PageRequest) -> Iterator[str]:
    """The prefixes of all tables that may be shown, each once, in the page's direction from its position on."""
    start = chosen.prefix
    position = None if page.position is None else str(page.position[0])
    runs = []
    for table in tables:
        ordered = table.prefixes_named(chosen.name) if chosen.name else table.ordered_prefixes()
        low, high = bisect_left(ordered, start), bisect_left(ordered, start + _AFTER_DIGITS)
        if position is not None and page.backward:
            high = min(high, bisect_left(ordered, position))
        elif position is not None:
            low = max(low, bisect_right(ordered, position))
        indexes = range(high - 1, low - 1, -1) if page.backward else range(low, high)
        runs.append(map(ordered.__getitem__, indexes))
    previous = None
    for prefix in merge(*runs, reverse=page.backward) if len(runs) > 1 else runs[0]:
        if prefix != previous:
            yield prefix
            previous = prefix


def _row(tables: Sequence[RateTable], prefix: str, name: str, at: datetime, *, own: bool) -> RateRow | None:
    entry = _last_entry(tables, prefix, at)
    if entry is None or entry.price is None:
        return None
    destination = entry.price.destination
    if name and destination is not None and name not in destination.casefold():
        return None
    if own:
        return RateRow(entry.price, entry.effective_from) if not name or destination is not None else None
    levels = price_levels(tables[0], tables[1:], prefix, at)
    price = levels[-1]
    if price is None or None in levels:
        return None
    if name and name not in (price.destination or "").casefold():
        return None
    return RateRow(price._replace(blocked=not all(map(is_usable, levels))), entry.effective_from)


def _last_entry(tables: Sequence[RateTable], prefix: str, at: datetime) -> Entry | None:
    """The entry that sets the price of a number which is this prefix: the lowest level's, as none can be longer."""
    for table in reversed(tables):
        entry = table.holding(prefix, at)
        if entry is not None and entry.price is not None:
            return entry
    return None


def _page_of(found: list[RateRow], page: PageRequest) -> Page[RateRow]:
    more = len(found) > page.size
    rows = found[: page.size]
    if page.backward:
        rows.reverse()
    beyond = page.position is not None
    return Page(
        rows=rows,
        positions=[(row.price.prefix,) for row in rows],
        has_next=beyond if page.backward else more,
        has_previous=more if page.backward else beyond,
    )
