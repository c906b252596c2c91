"""How a row of ``rates`` is read as an entry of a rate table."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, literal_column

from billing.rating import Entry, Price
from models.tables import Rate

# -infinity is read as null: since ever. The price book has the same columns in a statement of its own.
COLUMNS = (
    Rate.rate_list_id,
    Rate.prefix,
    func.nullif(Rate.effective_from, literal_column("'-infinity'::timestamptz")).label("effective_from"),
    Rate.destination,
    Rate.price_per_minute_e8,
    Rate.connection_fee_e8,
    Rate.first_increment_s,
    Rate.next_increment_s,
    Rate.blocked,
    Rate.withdrawn,
)


def entry_of(row: Iterable[Any]) -> Entry:
    """The entry in a row of `COLUMNS`."""
    _, prefix, effective_from, destination, price, fee, first_s, next_s, blocked, withdrawn = row
    if withdrawn:
        return Entry(effective_from, None)
    return Entry(effective_from, Price(price, fee, first_s, next_s, prefix, destination, blocked))
