"""Changing the rates of a list: one transaction, whole sets at a time.

`billing.rate_changes` says which rows are written; this writes them.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.pricing_epoch import take_epoch
from billing.rate_changes import NewRate, RateRow, check_rates, rows_to_write
from billing.rate_lists import lock_changeable
from billing.rate_rows import COLUMNS, entry_of
from billing.rating import Entry
from models.tables import Rate

# Rows of one statement: its arrays stay below a few megabytes.
_ROWS_AT_ONCE = 5_000
# With more prefixes than this the whole list is read at once.
_PREFIXES_LOOKED_UP_MAX = 1_000

_WRITE = text(
    """
INSERT INTO rates (rate_list_id, epoch, prefix, effective_from, destination, price_per_minute_e8, connection_fee_e8,
                   first_increment_s, next_increment_s, blocked, withdrawn)
SELECT :rate_list_id, :epoch, prefix, COALESCE(effective_from, '-infinity'), destination, price, fee, first_s, next_s,
       blocked, withdrawn
FROM unnest(CAST(:prefixes AS text[]), CAST(:starts AS timestamptz[]), CAST(:destinations AS text[]),
            CAST(:prices AS bigint[]), CAST(:fees AS bigint[]), CAST(:firsts AS integer[]), CAST(:nexts AS integer[]),
            CAST(:blocked AS boolean[]), CAST(:withdrawn AS boolean[]))
     AS new (prefix, effective_from, destination, price, fee, first_s, next_s, blocked, withdrawn)
ON CONFLICT (rate_list_id, prefix, effective_from) DO UPDATE
SET epoch = excluded.epoch, destination = excluded.destination, price_per_minute_e8 = excluded.price_per_minute_e8,
    connection_fee_e8 = excluded.connection_fee_e8, first_increment_s = excluded.first_increment_s,
    next_increment_s = excluded.next_increment_s, blocked = excluded.blocked, withdrawn = excluded.withdrawn
"""
)


async def set_rates(
    tx: AsyncConnection,
    *,
    rate_list_id: int,
    rates: Sequence[NewRate],
    replace: bool = False,
    now: datetime | None = None,
    on_written: Callable[[int, int], None] | None = None,
) -> int:
    """Make ``rates`` hold in the list, and with ``replace`` nothing else; how many prefixes that changed.

    ``now`` is when a change without an instant of its own begins to hold: the database's clock behind the lock where
    None, so that of two changes at once the later one stays. ``on_written`` is told rows written and rows in all.
    Locks: pricing, the list. Raises: InvalidRate, NotFound, NotAllowed (predefined).
    """
    check_rates(rates)
    await lock_changeable(tx, rate_list_id)
    if now is None:
        now = await tx.scalar(select(func.clock_timestamp()))
        assert now is not None
    prefixes = {rate.price.prefix for rate in rates}
    whole_list = replace or len(prefixes) > _PREFIXES_LOOKED_UP_MAX
    existing = await _existing(tx, rate_list_id, None if whole_list else prefixes)
    rows = rows_to_write(existing, rates, replace=replace, now=now)
    if rows:
        epoch = await take_epoch(tx)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            await tx.execute(_WRITE, {"rate_list_id": rate_list_id, "epoch": epoch, **_columns(some)})
            if on_written is not None:
                on_written(start + len(some), len(rows))
    return len({row.prefix for row in rows})


async def _existing(tx: AsyncConnection, rate_list_id: int, prefixes: set[str] | None) -> dict[str, list[Entry]]:
    statement = select(*COLUMNS).where(Rate.rate_list_id == rate_list_id)
    if prefixes is not None:
        statement = statement.where(Rate.prefix.in_(prefixes))
    entries: dict[str, list[Entry]] = {}
    for row in await tx.execute(statement):
        entries.setdefault(row.prefix, []).append(entry_of(row))
    return entries


def _columns(rows: Sequence[RateRow]) -> dict[str, list[Any]]:
    prices = [row.entry.price for row in rows]
    return {
        "prefixes": [row.prefix for row in rows],
        "starts": [row.entry.effective_from for row in rows],
        "destinations": [price.destination if price else None for price in prices],
        "prices": [price.price_per_minute_e8 if price else 0 for price in prices],
        "fees": [price.connection_fee_e8 if price else 0 for price in prices],
        "firsts": [price.first_increment_s if price else 1 for price in prices],
        "nexts": [price.next_increment_s if price else 1 for price in prices],
        "blocked": [price is not None and price.blocked for price in prices],
        "withdrawn": [price is None for price in prices],
    }
