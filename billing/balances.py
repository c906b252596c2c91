"""The only module that changes a balance or a held amount, and with them the usage that is kept beside them.

Every change of one goes through a locked `account_state` row, adds one to its ``version``, and tells the listeners of
the channel ``tollpath_balance`` at commit, with one notification for many accounts; usage alone does neither. Rows are
locked in ascending ``account_id``; whoever locks more than one row at a time does it through `lock_states`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import asyncpg

from billing import usage_store
from billing.call_rows import NO_USAGE, UsageColumns, UsageOfDays
from billing.int_arrays import int_array
from billing.money import BALANCE_UNITS_MAX

if TYPE_CHECKING:
    from asyncpg.cursor import Cursor

BALANCE_CHANNEL = "tollpath_balance"
LOW_BALANCE_CHANNEL = "tollpath_low_balance"

# PostgreSQL refuses payloads of 8,000 bytes and more.
_PAYLOAD_BYTES_MAX = 7900

# Not FOR UPDATE: the keys do not change, so rows that refer to these accounts may still be written.
_LOCK = """
SELECT account_id, balance_units, held_units, credit_limit_units, rate_list_id, blocked,
       clock_timestamp() AS now
FROM account_state WHERE account_id = ANY($1::text::bigint[]) ORDER BY account_id FOR NO KEY UPDATE
"""

_LOCK_ONE = "SELECT FROM account_state WHERE account_id = $1 FOR NO KEY UPDATE"
# What a statement has to look at again costs more than one more answer once it is about as many rows.
_FEW_STATES = 20

_SELECTED = "SELECT account_id, rate_list_id FROM account_state WHERE account_id = ANY($1::text::bigint[])"

# Follows a CTE `changed` that answers account_id and available_units. A watch whose account is now below its
# threshold, or no longer, is marked so, and a notice is kept of the first.
_TELL_LOW = """
crossed AS (
    UPDATE low_balance_watches AS watch
    SET told = changed.available_units < watch.threshold_units
    FROM changed
    WHERE watch.account_id = changed.account_id
      AND watch.told IS DISTINCT FROM (changed.available_units < watch.threshold_units)
    RETURNING watch.account_id, watch.author_id, watch.told, watch.threshold_units, watch.webhook_url,
              changed.available_units
),
noticed AS (
    INSERT INTO low_balance_notices (account_id, author_id, available_units, threshold_units, next_attempt_at)
    SELECT account_id, author_id, available_units, threshold_units, CASE WHEN webhook_url IS NOT NULL THEN now() END
    FROM crossed WHERE told RETURNING id
)
"""


def _by_version(statement: str) -> tuple[str, str]:
    """The statement before PostgreSQL 18, and from it on: what a row was had to be looked for once more."""
    looked_for = "JOIN account_state AS was ON was.account_id = change.account_id"
    return statement.format(was="was", join=looked_for), statement.format(was="OLD", join="")


def _change_with_usage(columns: str) -> str:
    """What an account is changed by: two columns of the statement's own, $2 and $3, and usage of a day, $6 to $9."""
    return f"""(
        SELECT account_id, {columns}, {usage_store.DAY} AS day, calls, duration_s, charged_units
        FROM unnest($1::text::bigint[], $2::text::bigint[], $3::text::bigint[],
                    $6::text::int[], $7::text::bigint[], $8::text::bigint[], $9::text::bigint[])
             AS given (account_id, {columns}, day, calls, duration_s, charged_units)
    ) AS change {{join}}"""  # noqa: S608 - constants


def _applying(change: str, *, used: str = "", answered: str = "", added: str = "") -> str:
    return f"""
WITH changed AS (
    UPDATE account_state AS state
    SET balance_units = state.balance_units + change.balance_units,
        held_units = state.held_units + change.held_units,
        version = state.version + CASE WHEN change.balance_units = 0 AND change.held_units = 0 THEN 0 ELSE 1 END{used}
    FROM {change}
    WHERE state.account_id = change.account_id
    RETURNING state.account_id,
              state.balance_units + state.credit_limit_units - state.held_units AS available_units{answered}
),
{_TELL_LOW}{added}
SELECT pg_notify($4, payload) FROM unnest($5::text[]) AS payload
UNION ALL SELECT pg_notify('{LOW_BALANCE_CHANNEL}', id::text) FROM noticed
"""  # noqa: S608 - constants


# Credit and holds have no usage, and a call that asks whether it may start waits for no more than it needs.
_APPLY = _applying(
    "unnest($1::text::bigint[], $2::text::bigint[], $3::text::bigint[]) "
    "AS change (account_id, balance_units, held_units)"
)
_APPLY_WITH_USAGE = _by_version(
    _applying(
        _change_with_usage("balance_units, held_units"),
        used=f", {usage_store.IN_STATE}",
        answered=f", {usage_store.EARLIER}",
        added=f", used_earlier AS ({usage_store.adding_earlier(10)})",
    )
)

# Of the accounts: nobody is blocked or short, everybody has the list that is expected. Amounts are never negative.
_STANDS = """
NOT state.blocked AND state.rate_list_id = change.rate_list_id
AND (change.units = 0 OR state.balance_units + state.credit_limit_units - state.held_units {short}) IS NOT FALSE
"""

_IN_THE_WAY = f"""
SELECT account_id
FROM unnest($1::text::bigint[], $2::text::bigint[], $3::text::bigint[]) AS change (account_id, units, rate_list_id)
JOIN account_state AS state USING (account_id)
WHERE NOT ({_STANDS.format(short=">= change.units")})
"""  # noqa: S608 - constants

_CHARGE = _by_version(f"""
WITH changed AS (
    UPDATE account_state AS state
    SET balance_units = state.balance_units - change.units,
        version = state.version + CASE WHEN change.units = 0 THEN 0 ELSE 1 END,
        {usage_store.IN_STATE}
    FROM {_change_with_usage("units, rate_list_id")}
    WHERE state.account_id = change.account_id
    RETURNING state.account_id, state.balance_units + state.credit_limit_units - state.held_units AS available_units,
              {_STANDS.format(short=">= 0")} AS stands,
              {usage_store.EARLIER}
),
{_TELL_LOW},
told AS MATERIALIZED (
    SELECT pg_notify('{BALANCE_CHANNEL}', payload) FROM unnest($4::text[]) AS payload
    UNION ALL SELECT pg_notify('{LOW_BALANCE_CHANNEL}', id::text) FROM noticed
),
used_earlier AS ({usage_store.adding_earlier(10)})
SELECT (SELECT count(*) FROM changed WHERE stands) = $15
       AND NOT EXISTS (SELECT FROM holds WHERE call_id = ANY($5::text[]))
       AND NOT EXISTS (SELECT FROM early_ends WHERE call_id = ANY($5::text[])) AS all_stand,
       (SELECT epoch FROM pricing_epoch) AS pricing_epoch,
       (SELECT count(*) FROM told) AS told
""")  # noqa: S608 - constants

_SET_CREDIT_LIMIT = f"""
WITH changed AS (
    UPDATE account_state SET credit_limit_units = $2, version = version + 1
    WHERE account_id = $1 AND credit_limit_units IS DISTINCT FROM $2
    RETURNING account_id, balance_units + credit_limit_units - held_units AS available_units
),
{_TELL_LOW}
SELECT pg_notify($3, $4) FROM changed
UNION ALL SELECT pg_notify('{LOW_BALANCE_CHANNEL}', id::text) FROM noticed
"""  # noqa: S608 - constants


_NONE: Mapping[int, int] = MappingProxyType({})
_NO_FIGURES = (None, 0, 0, 0)


class Cause(StrEnum):
    """Why a balance, a held amount or a limit changed."""

    CALL = "CALL"
    CREDIT = "CREDIT"
    HOLD = "HOLD"
    LIMIT = "LIMIT"
    REFUND = "REFUND"


async def lock_states(connection: "asyncpg.Connection[Any]", account_ids: Iterable[int]) -> list[asyncpg.Record]:
    """Lock the state rows of these accounts until the transaction ends, in ascending id, and answer them.

    Each record also has ``now``, the database's clock. Where many are locked, the first is by itself: mostly it is the
    operator's, where everybody waits, and a statement that has waited asks again of each row that changed meanwhile
    whether it is among all of these (docs/adr/0022).
    """
    ids = sorted(account_ids)
    if len(ids) > _FEW_STATES:
        await connection.execute(_LOCK_ONE, ids[0])
    return await connection.fetch(_LOCK, int_array(ids))


async def operator_id(connection: "asyncpg.Connection[Any]") -> int:
    """The account at the top. There is one, made before anything can be charged."""
    found: int = await connection.fetchval("SELECT id FROM accounts WHERE parent_id IS NULL")
    return found


async def selected_lists(connection: "asyncpg.Connection[Any]", account_ids: Iterable[int]) -> dict[int, int]:
    """The selected rate list of each account, as of now and not locked."""
    rows = await connection.fetch(_SELECTED, int_array(list(account_ids)))
    return {row["account_id"]: row["rate_list_id"] for row in rows}


def available_units(state: asyncpg.Record) -> int | None:
    """Balance + credit limit - held; None where credit is unlimited."""
    if state["credit_limit_units"] is None:
        return None
    return int(state["balance_units"] + state["credit_limit_units"] - state["held_units"])


async def apply_to_locked(
    connection: "asyncpg.Connection[Any]",
    balance_changes: Mapping[int, int],
    cause: Cause,
    held_changes: Mapping[int, int] = _NONE,
    usage: UsageOfDays = NO_USAGE,
) -> None:
    """Add to balances, held amounts and usage of accounts that the caller has locked; for usage the operator's, too.

    Who watches an account is told ``cause`` where its balance changes, and HOLD where only what is held does. One of
    which neither changes keeps its version, and nobody is told.
    """
    figures = {account_id: row for account_id, *row in zip(*usage.latest, strict=True)}
    paying = [account_id for account_id, units in balance_changes.items() if units]
    holding = [
        account_id for account_id, units in held_changes.items() if units and not balance_changes.get(account_id)
    ]
    account_ids = [*paying, *holding, *(figures.keys() - {*paying, *holding})]
    if not account_ids:
        return
    changes = (
        int_array(account_ids),
        int_array([balance_changes.get(account_id, 0) for account_id in account_ids]),
        int_array([held_changes.get(account_id, 0) for account_id in account_ids]),
        BALANCE_CHANNEL,
        [*notification_payloads(cause, paying), *notification_payloads(Cause.HOLD, holding)],
    )
    if not figures:
        await connection.execute(_APPLY, *changes)
        return
    latest = zip(*(figures.get(account_id, _NO_FIGURES) for account_id in account_ids), strict=True)
    await connection.execute(
        _of_server(_APPLY_WITH_USAGE, connection), *changes, *_usage_parameters(latest, usage.earlier)
    )


async def in_the_way(
    connection: "asyncpg.Connection[Any]", totals: Mapping[int, int], selections: Mapping[int, int]
) -> frozenset[int]:
    """The accounts that would be in the way of a `BatchCharge`, as of now and with nothing locked."""
    return frozenset(id_ for (id_,) in await connection.fetch(_IN_THE_WAY, *_columns(totals, selections)))


def _of_server(by_version: tuple[str, str], connection: "asyncpg.Connection[Any]") -> str:
    return by_version[connection.get_server_version().major >= 18]


def _columns(totals: Mapping[int, int], selections: Mapping[int, int]) -> tuple[str, str, str]:
    list_ids = [selections[account_id] for account_id in totals]
    return int_array(list(totals)), int_array(list(totals.values())), int_array(list_ids)


def _usage_parameters(latest: Iterable[Sequence[int | None]], earlier: UsageColumns) -> Iterator[str]:
    """The parameters of `_change_with_usage` and `usage_store.adding_earlier`."""
    return map(int_array, chain(latest, earlier))


class BatchCharge:
    """What a batch of calls takes off balances and adds to usage, if nothing stands in the way of any of it.

    ``totals`` are in ascending id and never negative; ``usage``, the latest in the same order of the same accounts, is
    added to the usage of days. ``selections`` are the selected lists by which they were rated, ``call_ids`` the calls
    that they are for.
    """

    def __init__(
        self,
        connection: "asyncpg.Connection[Any]",
        totals: Mapping[int, int],
        selections: Mapping[int, int],
        call_ids: Sequence[str],
        usage: UsageOfDays,
    ) -> None:
        self._connection = connection
        self._statement = _of_server(_CHARGE, connection)
        _, *latest = usage.latest
        self._arguments = (
            *_columns(totals, selections),
            notification_payloads(Cause.CALL, (account_id for account_id, units in totals.items() if units)),
            call_ids,
            *_usage_parameters(latest, usage.earlier),
            len(totals),
        )
        self._bound: Cursor[asyncpg.Record] | None = None

    async def bind(self) -> None:
        """Give the server all of it in this transaction, before anything is locked that others would wait for.

        It may be left out: a few calls are sent faster than an answer is waited for.
        """
        self._bound = await self._connection.cursor(self._statement, *self._arguments)

    async def carry_out(self) -> int | None:
        """Charge, on what stands now: a statement that changes rows takes its snapshot here and not when it is bound.

        Answers the pricing epoch, or None if an account is blocked, short of credit or has another list, or a call is
        held or has ended before its authorisation: then the caller has to roll back. It has locked the operator's row
        since; this locks the other rows, in ascending id.
        """
        if self._bound is not None:
            found = await self._bound.fetchrow()
        else:
            found = await self._connection.fetchrow(self._statement, *self._arguments)
        assert found is not None
        if not found["all_stand"]:
            return None
        epoch: int = found["pricing_epoch"]
        return epoch


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
