"""The rate lists in memory, kept exact by the pricing epoch.

Reading a price must not cost a statement: a process keeps every list it has needed as a `RateTable`. A change of
rates takes the next epoch and stamps it on what it writes (see `models.rate.PricingEpoch`), so a list that is exact
at epoch C and needed at epoch E takes only its rows stamped above C.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from billing.rate_rows import entry_of
from billing.rating import Entry, RateTable

_BASE_ID = "SELECT id FROM rate_lists WHERE is_base"

_EPOCH = "SELECT epoch FROM pricing_epoch"

_LISTS = """
SELECT pricing_epoch.epoch, rate_lists.id, rate_lists.discount_e4, rate_lists.is_base
FROM pricing_epoch LEFT JOIN rate_lists ON rate_lists.id = ANY($1::bigint[])
"""

# The columns are those of `billing.rate_rows.entry_of`.
_RATES = """
SELECT rates.rate_list_id, rates.prefix, NULLIF(rates.effective_from, '-infinity') AS effective_from,
       rates.destination, rates.price_per_minute_e8, rates.connection_fee_e8,
       rates.first_increment_s, rates.next_increment_s, rates.blocked, rates.withdrawn
FROM unnest($1::bigint[], $2::bigint[]) AS wanted (rate_list_id, above_epoch)
JOIN rates ON rates.rate_list_id = wanted.rate_list_id AND rates.epoch > wanted.above_epoch
"""

_NEVER_LOADED = -1

# Tables are built in a thread from this many rows on, so that an imported deck does not stop the event loop.
_ROWS_BUILT_IN_LOOP_MAX = 2_000


class PriceBook:
    """One process's rate tables. A table, once handed out, never changes: a refresh replaces whole tables."""

    def __init__(self) -> None:
        self._base_id: int | None = None
        self._tables: dict[int, RateTable] = {}
        self._epochs: dict[int, int] = {}
        self._lock = asyncio.Lock()

    @property
    def epoch(self) -> int:
        """The newest epoch that any list is exact at, -1 before the first refresh."""
        return max(self._epochs.values(), default=_NEVER_LOADED)

    @property
    def base_id(self) -> int:
        """The id of the operator's deck. Raises: LookupError: before the first refresh."""
        if self._base_id is None:
            raise LookupError("the price book has not been refreshed")
        return self._base_id

    @property
    def base(self) -> RateTable:
        """The operator's deck. Raises: LookupError: before the first refresh."""
        return self._tables[self.base_id]

    def table(self, list_id: int) -> RateTable:
        """The list as of its last refresh. Raises: KeyError: it was never asked for, or does not exist."""
        return self._tables[list_id]

    async def refresh(
        self, connection: "asyncpg.Connection[Any]", epoch_seen: int, list_ids: Iterable[int]
    ) -> Mapping[int, RateTable]:
        """Make the operator's deck and ``list_ids`` exact at ``epoch_seen`` or later, and return all tables by id.

        Without a change since the last refresh it runs no statement. ``epoch_seen`` must have been read on this
        connection, or on one that the connection's statements cannot be behind of. The mapping returned stays as
        it is whatever is refreshed later, and is the same object for as long as no list changes; ids that do not
        exist are missing in it.
        """
        wanted = set(list_ids)
        if self._base_id is None or self._stale(wanted, epoch_seen):
            async with self._lock:
                if self._base_id is None:
                    self._base_id = await connection.fetchval(_BASE_ID)
                stale = self._stale(wanted, epoch_seen)
                if stale:
                    await self._read(connection, stale)
        return self._tables

    async def refresh_now(
        self, connection: "asyncpg.Connection[Any]", list_ids: Iterable[int]
    ) -> Mapping[int, RateTable]:
        """`refresh` to the epoch that the connection sees now."""
        return await self.refresh(connection, await current_epoch(connection), list_ids)

    def _stale(self, wanted: set[int], epoch_seen: int) -> list[int]:
        epochs = self._epochs
        if self._base_id is not None:
            wanted.add(self._base_id)
        return [list_id for list_id in wanted if epochs.get(list_id, _NEVER_LOADED) < epoch_seen]

    async def _read(self, connection: "asyncpg.Connection[Any]", stale: list[int]) -> None:
        # The lists and the epoch come first: the rates read after it are at least as new, and a row that is newer
        # than the epoch is read once more at the next refresh, which changes nothing.
        lists = await connection.fetch(_LISTS, stale)
        above = [self._epochs.get(list_id, _NEVER_LOADED) for list_id in stale]
        rows = await connection.fetch(_RATES, stale, above)
        if len(rows) > _ROWS_BUILT_IN_LOOP_MAX:
            tables = await asyncio.to_thread(_merged, self._tables, lists, rows)
        else:
            tables = _merged(self._tables, lists, rows)
        epoch_now: int = lists[0]["epoch"]
        self._tables = {**self._tables, **tables}
        self._epochs = {**self._epochs, **{id_: max(epoch_now, self._epochs.get(id_, _NEVER_LOADED)) for id_ in stale}}


async def current_epoch(connection: "asyncpg.Connection[Any]") -> int:
    """The epoch of the newest change of rates or lists that this connection sees."""
    epoch: int = await connection.fetchval(_EPOCH)
    return epoch


def _merged(
    tables: Mapping[int, RateTable], lists: Sequence[asyncpg.Record], rows: Sequence[asyncpg.Record]
) -> dict[int, RateTable]:
    """New tables for ``lists``: their old entries with ``rows`` put in."""
    changed: dict[int, dict[str, list[Entry]]] = {row["id"]: {} for row in lists if row["id"] is not None}
    for row in rows:
        # A list made between the two statements has rates but no row yet: the next refresh reads it whole.
        if row["rate_list_id"] in changed:
            changed[row["rate_list_id"]].setdefault(row["prefix"], []).append(entry_of(row))
    merged = {}
    for row in lists:
        if row["id"] is None:
            continue
        old = tables[row["id"]].entries if row["id"] in tables else {}
        new = changed[row["id"]]
        entries = {**old, **{prefix: _versions(old.get(prefix, ()), added) for prefix, added in new.items()}}
        merged[row["id"]] = RateTable(row["discount_e4"], entries if new else old, row["is_base"])
    return merged


def _versions(old: Iterable[Entry], added: list[Entry]) -> tuple[Entry, ...]:
    """Entries of one prefix, newest first; of two that hold from the same instant the added one counts."""
    if len(added) == 1 and not old:
        return (added[0],)
    by_start = {entry.effective_from: entry for entry in (*old, *added)}
    return tuple(sorted(by_start.values(), key=_starts_at, reverse=True))


_SINCE_EVER = datetime.min.replace(tzinfo=UTC)


def _starts_at(entry: Entry) -> datetime:
    return entry.effective_from or _SINCE_EVER
