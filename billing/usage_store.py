"""Adding to the usage of accounts on days. The caller has locked the operator's row."""

from typing import Any

import asyncpg

from billing.call_rows import UsageColumns

# Nearly every account has been used on the day, and the caller has locked it: an UPDATE is half the work of an upsert.
_ADD = """
UPDATE usage_days AS usage
SET calls = usage.calls + more.calls,
    duration_s = usage.duration_s + more.duration_s,
    charged_units = usage.charged_units + more.charged_units
FROM unnest(${0}::bigint[], ${1}::int[], ${2}::bigint[], ${3}::bigint[], ${4}::bigint[])
     AS more (account_id, day, calls, duration_s, charged_units)
WHERE usage.account_id = more.account_id AND usage.day = date '2000-01-01' + more.day
"""

_BEGIN = """
INSERT INTO usage_days (account_id, day, calls, duration_s, charged_units)
SELECT account_id, date '2000-01-01' + day, calls, duration_s, charged_units
FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[])
     AS more (account_id, day, calls, duration_s, charged_units)
ON CONFLICT (account_id, day) DO NOTHING
"""


def adding(first_parameter: int) -> str:
    """The UPDATE that adds `UsageColumns`, given from this parameter on. What it does not find is left to `begin`."""
    return _ADD.format(*range(first_parameter, first_parameter + len(UsageColumns._fields)))


_ADD_ALONE = adding(1)


async def add(connection: "asyncpg.Connection[Any]", usage: UsageColumns) -> None:
    """Add to the usage of days."""
    if await connection.execute(_ADD_ALONE, *usage) != f"UPDATE {len(usage.account_ids)}":
        await begin(connection, usage)


async def begin(connection: "asyncpg.Connection[Any]", usage: UsageColumns) -> None:
    """Keep the usage of the days that had none; those to which it was added stay as they are."""
    await connection.execute(_BEGIN, *usage)
