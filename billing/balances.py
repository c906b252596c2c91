"""The only module that changes a balance or a held amount.

Every change here goes through a locked `account_state` row, adds one to its ``version``, and tells the listeners of
the channel ``tollpath_balance`` at commit, with one notification for many accounts. Rows are locked in ascending
``account_id``; whoever locks more than one row at a time does it through `lock_states`.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import asyncpg

from billing.money import BALANCE_UNITS_MAX

BALANCE_CHANNEL = "tollpath_balance"

# PostgreSQL refuses payloads of 8,000 bytes and more.
_PAYLOAD_BYTES_MAX = 7900

# Not FOR UPDATE: the keys do not change, so rows that refer to these accounts may still be written.
_LOCK = """
SELECT account_id, balance_units, held_units, credit_limit_units, rate_list_id, blocked,
       (SELECT epoch FROM pricing_epoch) AS pricing_epoch
FROM account_state WHERE account_id = ANY($1::bigint[]) ORDER BY account_id FOR NO KEY UPDATE
"""

_SELECTED = "SELECT account_id, rate_list_id FROM account_state WHERE account_id = ANY($1::bigint[])"

_APPLY = """
WITH changed AS (
    UPDATE account_state AS state
    SET balance_units = state.balance_units + change.balance_units, version = state.version + 1
    FROM unnest($1::bigint[], $2::bigint[]) AS change (account_id, balance_units)
    WHERE state.account_id = change.account_id
)
SELECT pg_notify($3, payload) FROM unnest($4::text[]) AS payload
"""

_SET_CREDIT_LIMIT = """
WITH changed AS (
    UPDATE account_state SET credit_limit_units = $2, version = version + 1
    WHERE account_id = $1 AND credit_limit_units IS DISTINCT FROM $2 RETURNING account_id
)
SELECT pg_notify($3, $4) FROM changed
"""


class Cause(StrEnum):
    """Why a balance, a held amount or a limit changed."""

    CALL = "CALL"
    CREDIT = "CREDIT"
    HOLD = "HOLD"
    LIMIT = "LIMIT"
    REFUND = "REFUND"


async def lock_states(connection: "asyncpg.Connection[Any]", account_ids: Iterable[int]) -> list[asyncpg.Record]:
    """Lock the state rows of these accounts until the transaction ends, in ascending id, and answer them.

    Each record also has ``pricing_epoch``, as of the start of the statement.
    """
    return await connection.fetch(_LOCK, sorted(account_ids))


async def selected_lists(connection: "asyncpg.Connection[Any]", account_ids: Iterable[int]) -> dict[int, int]:
    """The selected rate list of each account, as of now and not locked."""
    rows = await connection.fetch(_SELECTED, list(account_ids))
    return {row["account_id"]: row["rate_list_id"] for row in rows}


def available_units(state: asyncpg.Record) -> int | None:
    """Balance + credit limit - held; None where credit is unlimited."""
    if state["credit_limit_units"] is None:
        return None
    return int(state["balance_units"] + state["credit_limit_units"] - state["held_units"])


async def apply_to_locked(
    connection: "asyncpg.Connection[Any]", balance_changes: Mapping[int, int], cause: Cause
) -> None:
    """Add to the balances of accounts that the caller has locked; changes of zero are left out, version included."""
    changes = {account_id: units for account_id, units in balance_changes.items() if units}
    if changes:
        await connection.execute(
            _APPLY, list(changes), list(changes.values()), BALANCE_CHANNEL, notification_payloads(cause, changes)
        )


async def set_credit_limit_of(connection: "asyncpg.Connection[Any]", account_id: int, credit_limit_units: int) -> None:
    """Set one account's credit limit, in whole units. What is available changes with it, so the version grows."""
    await connection.execute(
        _SET_CREDIT_LIMIT, account_id, credit_limit_units, BALANCE_CHANNEL, f"{Cause.LIMIT} {account_id}"
    )


def notification_payloads(cause: Cause, account_ids: Iterable[int]) -> list[str]:
    """``"CALL 1,2,3"``: as few payloads as hold all the ids."""
    payloads: list[str] = []
    ids: list[str] = []
    size = room = _PAYLOAD_BYTES_MAX - len(cause) - 1
    for account_id in map(str, account_ids):
        if len(account_id) + 1 > room:
            payloads.append(f"{cause} {','.join(ids)}")
            ids, room = [], size
        ids.append(account_id)
        room -= len(account_id) + 1
    if ids:
        payloads.append(f"{cause} {','.join(ids)}")
    return payloads


def fits_a_balance(units: int) -> bool:
    """Whether a balance may have this value."""
    return -BALANCE_UNITS_MAX <= units <= BALANCE_UNITS_MAX
