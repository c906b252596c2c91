"""Adding to the usage of accounts on days. The caller has locked the operator's row."""

from typing import Any

import asyncpg

from billing.call_rows import UsageColumns

_MORE = """
unnest(${0}::bigint[], ${1}::int[], ${2}::bigint[], ${3}::bigint[], ${4}::bigint[])
    AS more (account_id, day, calls, duration_s, charged_units)
"""

# Nearly every account has been used on the day, and nobody adds a day without the operator's lock: an UPDATE, and an
# INSERT only where it did not find all of them, is half the work of an upsert. NOT IN is hashed; NOT EXISTS would be a
# loop in a loop here, where the planner knows nothing of how many there are.
_ADD = f"""
used AS (
    UPDATE usage_days AS usage
    SET calls = usage.calls + more.calls,
        duration_s = usage.duration_s + more.duration_s,
        charged_units = usage.charged_units + more.charged_units
    FROM {_MORE}
    WHERE usage.account_id = more.account_id AND usage.day = date '2000-01-01' + more.day
    RETURNING usage.account_id, usage.day
),
used_first AS (
    INSERT INTO usage_days (account_id, day, calls, duration_s, charged_units)
    SELECT account_id, date '2000-01-01' + day, calls, duration_s, charged_units
    FROM {_MORE}
    WHERE (SELECT count(*) FROM used) < cardinality(${{0}})
      AND (account_id, date '2000-01-01' + day) NOT IN (SELECT account_id, day FROM used)
)
"""  # noqa: S608 - constants


def adding(first_parameter: int) -> str:
    """The CTEs `used` and `used_first` that add `UsageColumns`, given from this parameter on; no day comes twice."""
    return _ADD.format(*range(first_parameter, first_parameter + len(UsageColumns._fields)))


_ADD_ALONE = f"WITH {adding(1)} SELECT"


async def add(connection: "asyncpg.Connection[Any]", usage: UsageColumns) -> None:
    """Add to the usage of days."""
    await connection.execute(_ADD_ALONE, *usage)
