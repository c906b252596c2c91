"""Parts of statements that add to the usage of accounts on days (docs/adr/0031).

Who carries them out has locked the operator's row. Charging, which changes the state of an account anyhow, adds to the
usage that is kept in it; whatever else adds goes to `usage_days`.
"""

from billing.call_rows import UsageColumns

# Of days since then: see docs/adr/0022 on what a date costs the driver.
DAY = "date '2000-01-01' + day"

# Of the two days of `account_state AS state` and a `change`, usage of the later one is kept in the state. A change
# without a day leaves it as it is.
_LATER = """
CASE WHEN state.usage_day = change.day THEN state.day_{0} + change.{0}
     WHEN state.usage_day > change.day OR change.day IS NULL THEN state.day_{0} ELSE change.{0} END
"""
IN_STATE = f"""
usage_day = GREATEST(state.usage_day, change.day),
day_calls = {_LATER.format("calls")},
day_duration_s = {_LATER.format("duration_s")},
day_charged_units = {_LATER.format("charged_units")}
"""

# And that of the earlier one is answered, by the name of what the row was before. No day where there is none, or they
# are the same: then the figures beside it mean nothing.
_EARLIER = "CASE WHEN {{was}}.usage_day < change.day THEN {{was}}.day_{0} ELSE change.{0} END AS {0}"
EARLIER = f"""
CASE WHEN {{was}}.usage_day <> change.day THEN LEAST({{was}}.usage_day, change.day) END AS day,
{_EARLIER.format("calls")}, {_EARLIER.format("duration_s")}, {_EARLIER.format("charged_units")}
"""

# A day of an account may come more than once among what is added.
_ADD = """
INSERT INTO usage_days AS usage (account_id, day, calls, duration_s, charged_units, refunded_units)
SELECT account_id, day, sum(calls), sum(duration_s), sum(charged_units), sum(refunded_units)
FROM ({parts}) AS part (account_id, day, calls, duration_s, charged_units, refunded_units)
GROUP BY account_id, day
ON CONFLICT (account_id, day) DO UPDATE
SET calls = usage.calls + EXCLUDED.calls,
    duration_s = usage.duration_s + EXCLUDED.duration_s,
    charged_units = usage.charged_units + EXCLUDED.charged_units,
    refunded_units = usage.refunded_units + EXCLUDED.refunded_units
"""

_CHANGED_AND_COLUMNS = f"""
SELECT account_id, day, calls, duration_s, charged_units, 0 FROM changed WHERE day IS NOT NULL
UNION ALL
SELECT account_id, {DAY}, calls, duration_s, charged_units, 0
FROM unnest(${{}}::text::bigint[], ${{}}::text::int[], ${{}}::text::bigint[], ${{}}::text::bigint[],
            ${{}}::text::bigint[]) AS usage (account_id, day, calls, duration_s, charged_units)
"""  # noqa: S608 - constants


def adding(parts: str) -> str:
    """The statement that adds all rows of another one: account, day, calls, seconds, charged and refunded units."""
    return _ADD.format(parts=parts)


def adding_earlier(first_parameter: int) -> str:
    """The statement that adds what a CTE `changed` answers as `EARLIER`, and `UsageColumns` from this parameter on."""
    numbers = range(first_parameter, first_parameter + len(UsageColumns._fields))
    return adding(_CHANGED_AND_COLUMNS.format(*numbers))
