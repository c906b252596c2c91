"""Reading and changing the limits of accounts, and how far they are used."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.call_limits import Limits
from billing.charge_order import DURATION_S_MAX
from billing.errors import InvalidInput, InvalidNumber
from billing.phone_number import parse_number
from models.tables import CallLimits

PREFIXES_MAX = 500
CONCURRENT_CALLS_MAX = 1_000_000

# Counting running calls costs an index entry each, so only where there is such a limit.
_FIND = """
SELECT accounts.id AS account_id, concurrent_calls_max, daily_spend_max_units, call_duration_max_s, allowed_prefixes,
       forbidden_prefixes, no_loss_calls,
       CASE WHEN concurrent_calls_max IS NULL THEN 0 ELSE (
           SELECT count(*) FROM holds
           WHERE holds.expires_at IS NOT NULL AND holds.path >= accounts.path
             AND holds.path < trim_array(accounts.path, 1) || (accounts.id + 1)
       ) END AS running_calls,
       account_state.held_units + COALESCE((
           SELECT sum(charged_units) FROM usage_parts
           WHERE usage_parts.account_id = accounts.id
             AND day = CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date)
       ), 0) AS spent_today_units
FROM accounts
JOIN account_state ON account_state.account_id = accounts.id
{join} call_limits ON call_limits.account_id = accounts.id
WHERE {wanted} = ANY($1::bigint[])
"""
# Charging asks for all the accounts of a batch, of which few have limits: those are looked for first.
_FIND_SET = _FIND.format(join="JOIN", wanted="call_limits.account_id")
_FIND_ALL = _FIND.format(join="LEFT JOIN", wanted="accounts.id")


async def find_limits(
    connection: "asyncpg.Connection[Any]", account_ids: Iterable[int], *, also_unlimited: bool = False
) -> dict[int, Limits]:
    """The limits of those of these accounts that have any, and their use so far, expired holds not yet freed included.

    ``also_unlimited``: the use of the others too. Where the caller has locked the accounts, it cannot change.
    """
    rows = await connection.fetch(_FIND_ALL if also_unlimited else _FIND_SET, list(account_ids))
    return {
        row["account_id"]: Limits(
            row["concurrent_calls_max"],
            row["daily_spend_max_units"],
            row["call_duration_max_s"],
            tuple(row["allowed_prefixes"] or ()),
            tuple(row["forbidden_prefixes"] or ()),
            bool(row["no_loss_calls"]),
            row["running_calls"],
            int(row["spent_today_units"]),
        )
        for row in rows
    }


async def set_limits(tx: AsyncConnection, *, account_id: int, changes: Mapping[str, Any]) -> None:
    """Change the named columns of `models.call_limits.CallLimits`; calls that start from then on meet them.

    Prefixes may be given in any form a number has. Raises: InvalidInput, InvalidNumber.
    """
    checked = {name: _checked(name, value) for name, value in changes.items()}
    if checked:
        statement = insert(CallLimits).values(account_id=account_id, **checked)
        await tx.execute(statement.on_conflict_do_update(index_elements=[CallLimits.account_id], set_=checked))


def _checked(name: str, value: Any) -> Any:
    match name:
        case "concurrent_calls_max" if value is not None and not 0 <= value <= CONCURRENT_CALLS_MAX:
            raise InvalidInput(
                f"Give 0 to {CONCURRENT_CALLS_MAX} calls, or null for no limit.", path=("concurrentCallsMax",)
            )
        case "daily_spend_max_units" if value is not None and value < 0:
            raise InvalidInput("Give an amount of 0 or more, or null for no limit.", path=("dailySpendMax",))
        case "call_duration_max_s" if value is not None and not 1 <= value <= DURATION_S_MAX:
            raise InvalidInput(
                f"Give 1 to {DURATION_S_MAX} seconds, or null for no limit.", path=("callDurationSecondsMax",)
            )
        case "allowed_prefixes" | "forbidden_prefixes":
            return _checked_prefixes(
                value or (), "allowedPrefixes" if name.startswith("allowed") else "forbiddenPrefixes"
            )
        case "no_loss_calls":
            return bool(value)
    return value


def _checked_prefixes(prefixes: Sequence[str], field: str) -> list[str]:
    if len(prefixes) > PREFIXES_MAX:
        raise InvalidInput(f"Give at most {PREFIXES_MAX} prefixes.", path=(field,))
    try:
        return sorted({parse_number(prefix) for prefix in prefixes})
    except InvalidNumber as refusal:
        refusal.path = (field,)
        raise
