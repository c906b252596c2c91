"""How many accounts are below each, kept with every new account."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Locked from the top down, as every path begins with the operator: two new accounts never wait for each other.
_COUNT = text(
    "WITH above AS MATERIALIZED ("
    "SELECT account_id FROM account_counts WHERE account_id = ANY(CAST(:above AS bigint[])) "
    "ORDER BY account_id FOR NO KEY UPDATE) "
    "UPDATE account_counts AS counts SET descendants = descendants + 1, "
    "customers = customers + CASE WHEN counts.account_id = :parent_id THEN 1 ELSE 0 END "
    "FROM above WHERE counts.account_id = above.account_id"
)
_BEGIN = text("INSERT INTO account_counts (account_id) VALUES (:account_id)")


async def count_account(tx: AsyncConnection, *, account_id: int, parent_path: Sequence[int]) -> None:
    """Count a new account for everybody above it.

    Others that make accounts wait until the transaction ends, so this comes last in it.
    """
    await tx.execute(_BEGIN, {"account_id": account_id})
    if parent_path:
        await tx.execute(_COUNT, {"above": list(parent_path), "parent_id": parent_path[-1]})
