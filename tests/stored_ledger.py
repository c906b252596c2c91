"""The reference ledger as a database has it: rate lists, rates and accounts, read by plain SQL.

Nothing of the product's own code that reads or rates is used: it is the product that is checked by this.
"""

from collections.abc import Sequence
from fractions import Fraction

from tests.raw_connection import Connection
from tests.reference_ledger import EVER, Account, Ledger, Rate, RateList, Versions

_RATES = """
SELECT rate_list_id, prefix, NULLIF(effective_from, '-infinity') AS effective_from, price_per_minute_e8,
       connection_fee_e8, first_increment_s, next_increment_s, blocked, withdrawn
FROM rates
"""
_ACCOUNTS = """
SELECT id, username, parent_id, rate_list_id FROM accounts JOIN account_state ON account_id = id
WHERE id IN (SELECT unnest(path) FROM accounts WHERE id = ANY($1)) ORDER BY cardinality(path)
"""


async def stored_lists(connection: Connection) -> dict[int, RateList]:
    """Every rate list with its own rates, by its id in the database."""
    rows = await connection.fetch("SELECT id, discount_e4 FROM rate_lists")
    lists = {row["id"]: RateList(Fraction(row["discount_e4"], 10**4)) for row in rows}
    for row in await connection.fetch(_RATES):
        rate = Rate(
            row["prefix"],
            Fraction(row["price_per_minute_e8"], 10**8),
            Fraction(row["connection_fee_e8"], 10**8),
            row["first_increment_s"],
            row["next_increment_s"],
            row["blocked"],
            row["effective_from"],
        )
        versions = lists[row["rate_list_id"]].versions.setdefault(rate.prefix, {})
        versions[rate.effective_from or EVER] = None if row["withdrawn"] else rate
    return lists


async def stored_deck(connection: Connection) -> Versions:
    """The operator's own rates."""
    return (await stored_lists(connection))[await _base_id(connection)].versions


async def stored_ledger(connection: Connection, account_ids: Sequence[int]) -> Ledger:
    """A ledger with these accounts and all above them, with the lists that they have now. Balances begin at nothing."""
    lists = await stored_lists(connection)
    operator, *others = await connection.fetch(_ACCOUNTS, account_ids)
    ledger = Ledger(operator["username"])
    ledger.base.versions = lists[await _base_id(connection)].versions
    by_id = {operator["id"]: ledger.accounts[operator["username"]]}
    for row in others:
        account = Account(by_id[row["parent_id"]], lists[row["rate_list_id"]])
        by_id[row["id"]] = ledger.accounts[row["username"]] = account
    return ledger


async def _base_id(connection: Connection) -> int:
    found: int = await connection.fetchval("SELECT id FROM rate_lists WHERE is_base")
    return found
