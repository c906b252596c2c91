"""The statements of the audit: what the books should say, worked out from their rows, beside what they say.

Each answers only rows that differ: ``(check, account_id, subject, expected, expected_max, found, found_in_all)``, at
most `DIFFERENCES_SHOWN_MAX` of each check, ``found_in_all`` being how many there are. They are set-based and read each
history table from one end to the other, once; nothing is asked row by row.
"""

from models.usage import USAGE_OF_DAYS

DIFFERENCES_SHOWN_MAX = 1000


def of_each_check(differences: str) -> str:
    """The statement that answers these differences, cut and counted as said above."""
    # Around every statement: a broken table must not fill the memory with millions of findings.
    return f"""
SELECT check_name, account_id, subject, expected, expected_max, found, found_in_all
FROM (
    SELECT differences.*,
           count(*) OVER (PARTITION BY check_name) AS found_in_all,
           row_number() OVER (PARTITION BY check_name ORDER BY account_id, subject) AS position
    FROM ({differences}) AS differences (check_name, account_id, subject, expected, expected_max, found)
) AS ranked
WHERE position <= {DIFFERENCES_SHOWN_MAX}
ORDER BY check_name, account_id, subject
"""  # noqa: S608 - both parts are constants of this file


# The calls of months that are closed are gone; a month that is being closed is still whole.
GONE = "(SELECT month FROM closed_months WHERE state <> 'CLOSING')"
MONTH_OF_DAY = "CAST(date_trunc('month', CAST(day AS timestamp)) AS date)"
# Of accounts on days of months that are not closed.
KEPT_USAGE = USAGE_OF_DAYS.format(of=f"day IS NOT NULL AND {MONTH_OF_DAY} NOT IN {GONE}")
_MONTH_OF_START = "CAST(date_trunc('month', started_at AT TIME ZONE 'UTC') AS date)"

# A charge that names its call's customer, stands on that customer's path, and whose call exists, is a
# different (call, level) from every other such charge, since (account, time, call number) is unique. So a customer's
# calls have all their charges exactly when there are as many as calls times levels: no grouping by call is needed.
_BOOKS = f"""
WITH booked AS MATERIALIZED (
    SELECT GROUPING(charges.account_id, charges.customer_id) AS grouping_set,
           charges.account_id,
           CAST(charges.started_at AT TIME ZONE 'UTC' AS date) AS day,
           charges.customer_id,
           count(*) AS charges,
           sum(calls.duration_s) AS duration_s,
           sum(charges.amount_units) AS amount_units,
           count(*) FILTER (
               WHERE calls.call_no IS NULL OR (charges.account_id = ANY(customers.path)) IS NOT TRUE
           ) AS misplaced,
           count(*) FILTER (
               WHERE charges.account_id = charges.customer_id
                 AND (charges.amount_units, charges.billed_s) IS DISTINCT FROM (calls.charged_units, calls.billed_s)
           ) AS unequal,
           count(*) FILTER (WHERE calls.status <> 'CHARGED' AND charges.amount_units <> 0) AS unfounded,
           count(*) FILTER (WHERE calls.status = 'REFUNDED') AS refunded
    FROM charges
    LEFT JOIN calls ON calls.account_id = charges.customer_id
                   AND calls.started_at = charges.started_at AND calls.call_no = charges.call_no
    LEFT JOIN accounts AS customers ON customers.id = charges.customer_id
    GROUP BY GROUPING SETS (
        (charges.account_id, CAST(charges.started_at AT TIME ZONE 'UTC' AS date)), (charges.customer_id), ()
    )
),
-- What the charges of closed months came to: their rows are gone.
closed AS MATERIALIZED (
    SELECT account_id, sum(own_calls) AS own_calls, sum(charged_units) AS charged_units,
           sum(given_back_units) AS given_back_units
    FROM closed_usage GROUP BY account_id
),
usage AS (
    SELECT account_id, day, charges AS calls, COALESCE(duration_s, 0) AS duration_s, amount_units AS charged_units
    FROM booked WHERE grouping_set = 1
),
charged AS MATERIALIZED (
    SELECT account_id, sum(charged_units) AS units
    FROM (SELECT account_id, charged_units FROM usage UNION ALL SELECT account_id, charged_units FROM closed) AS parts
    GROUP BY account_id
),
kept AS MATERIALIZED (
    SELECT GROUPING(COALESCE(calls.account_id, keys.account_id)) AS is_total,
           COALESCE(calls.account_id, keys.account_id) AS customer_id,
           count(calls.call_no) AS calls,
           count(keys.call_no) AS keys,
           count(*) FILTER (WHERE calls.call_no IS NULL OR keys.call_no IS NULL) AS unmatched
    FROM calls
    FULL JOIN (SELECT * FROM call_keys WHERE {_MONTH_OF_START} NOT IN {GONE}) AS keys
                                ON keys.account_id = calls.account_id AND keys.started_at = calls.started_at
                               AND keys.call_no = calls.call_no AND keys.call_id = calls.call_id
    GROUP BY GROUPING SETS ((COALESCE(calls.account_id, keys.account_id)), ())
),
closed_keys AS (
    SELECT account_id, count(*) AS keys FROM call_keys
    WHERE EXISTS {GONE} AND {_MONTH_OF_START} IN {GONE} GROUP BY account_id
),
closed_days AS (
    SELECT account_id, {MONTH_OF_DAY} AS month, sum(calls) AS calls, sum(duration_s) AS duration_s,
           sum(charged_units) AS charged_units, sum(refunded_units) AS refunded_units
    FROM usage_parts WHERE {MONTH_OF_DAY} IN {GONE} GROUP BY account_id, {MONTH_OF_DAY}
),
held AS (
    SELECT level.account_id, sum(level.units) AS units
    FROM holds CROSS JOIN LATERAL unnest(holds.path, holds.held_units) AS level (account_id, units)
    GROUP BY level.account_id
),
given_back AS (
    SELECT account_id, sum(units) AS units
    FROM (
        SELECT account_id, -amount_units AS units FROM call_adjustments WHERE amount_units < 0
        UNION ALL SELECT account_id, given_back_units FROM closed
    ) AS parts
    GROUP BY account_id
),
refunds AS (
    SELECT customer_id, count(*) AS levels,
           count(*) FILTER (WHERE calls.status IS DISTINCT FROM 'REFUNDED') AS misplaced
    FROM call_adjustments AS refund
    LEFT JOIN calls ON calls.account_id = refund.customer_id AND calls.started_at = refund.started_at
                   AND calls.call_no = refund.call_no
    WHERE refund.kind = 'REFUND' GROUP BY customer_id
),
credited AS (
    SELECT account_id, sum(amount_units) AS units FROM credit_transactions GROUP BY account_id
),
credit AS (
    SELECT account_id, id, balance_after_units,
           sum(amount_units) OVER (PARTITION BY account_id ORDER BY id) AS credited_units,
           lag(balance_after_units) OVER (PARTITION BY account_id ORDER BY id) + amount_units AS units_max
    FROM credit_transactions
),
spent AS (
    SELECT account_id, id, balance_after_units,
           credited_units - COALESCE(charged.units, 0) - COALESCE(given_back.units, 0) AS units_min,
           COALESCE(units_max, credited_units) + COALESCE(given_back.units, 0) AS units_max
    FROM credit LEFT JOIN charged USING (account_id) LEFT JOIN given_back USING (account_id)
)
"""  # noqa: S608 - constants

# What an account has spent between two credit transactions is only known to lie between nothing and all that it was
# ever charged, less nothing or all that it was ever given back.
_BOOKS_DIFFERENCES = f"""
SELECT 'BALANCE', account_id, NULL, COALESCE(credited.units, 0) - COALESCE(charged.units, 0), CAST(NULL AS numeric),
       CAST(state.balance_units AS numeric)
FROM account_state AS state LEFT JOIN credited USING (account_id) LEFT JOIN charged USING (account_id)
WHERE state.balance_units <> COALESCE(credited.units, 0) - COALESCE(charged.units, 0)
UNION ALL
SELECT 'HELD', account_id, NULL, COALESCE(held.units, 0), NULL, state.held_units
FROM account_state AS state LEFT JOIN held USING (account_id)
WHERE state.held_units <> COALESCE(held.units, 0)
UNION ALL
SELECT figure.check_name, account_id, CAST(day AS text), figure.expected, NULL, figure.found
FROM usage FULL JOIN ({KEPT_USAGE}) AS usage_days
USING (account_id, day)
CROSS JOIN LATERAL (VALUES
    ('USAGE_CALLS', COALESCE(usage.calls, 0), COALESCE(usage_days.calls, 0)),
    ('USAGE_DURATION', COALESCE(usage.duration_s, 0), COALESCE(usage_days.duration_s, 0)),
    ('USAGE_CHARGED', COALESCE(usage.charged_units, 0), COALESCE(usage_days.charged_units, 0))
) AS figure (check_name, expected, found)
WHERE figure.expected <> figure.found
UNION ALL
SELECT figure.check_name, account_id, to_char(month, 'YYYY-MM'), figure.expected, NULL, figure.found
FROM closed_usage AS closed FULL JOIN closed_days AS days USING (account_id, month)
CROSS JOIN LATERAL (VALUES
    ('USAGE_CALLS', COALESCE(closed.calls, 0), COALESCE(days.calls, 0)),
    ('USAGE_DURATION', COALESCE(closed.duration_s, 0), COALESCE(days.duration_s, 0)),
    ('USAGE_CHARGED', COALESCE(closed.charged_units, 0), COALESCE(days.charged_units, 0)),
    ('USAGE_REFUNDED', COALESCE(closed.refunded_units, 0), COALESCE(days.refunded_units, 0))
) AS figure (check_name, expected, found)
WHERE figure.expected <> figure.found
UNION ALL
SELECT 'CLOSED_CALL_KEYS', account_id, NULL, COALESCE(closed.own_calls, 0), NULL, COALESCE(closed_keys.keys, 0)
FROM closed FULL JOIN closed_keys USING (account_id)
WHERE COALESCE(closed.own_calls, 0) <> COALESCE(closed_keys.keys, 0)
UNION ALL
SELECT 'BALANCE_AFTER', account_id, CAST(id AS text), units_min, units_max, balance_after_units
FROM spent WHERE balance_after_units NOT BETWEEN units_min AND units_max
UNION ALL
SELECT 'SUSPECT', customer_id, NULL, NULL, NULL, NULL
FROM (SELECT * FROM booked WHERE grouping_set = 2) AS booked
FULL JOIN (SELECT * FROM kept WHERE is_total = 0) AS kept USING (customer_id)
LEFT JOIN refunds USING (customer_id)
LEFT JOIN accounts ON accounts.id = customer_id
WHERE COALESCE(booked.charges, 0) <> COALESCE(kept.calls * cardinality(accounts.path), 0)
   OR booked.misplaced > 0 OR booked.unequal > 0 OR booked.unfounded > 0 OR kept.unmatched > 0
   OR COALESCE(booked.refunded, 0) <> COALESCE(refunds.levels, 0) OR refunds.misplaced > 0
UNION ALL
SELECT 'CHARGES_READ', NULL, NULL, NULL, NULL, charges FROM booked WHERE grouping_set = 3
UNION ALL
SELECT 'CALLS_READ', NULL, NULL, NULL, NULL, calls FROM kept WHERE is_total = 1
"""  # noqa: S608 - constants

# Only where customers are suspect: which of their calls it is.
_CALLS_OF_SUSPECTS = """
WITH charged AS MATERIALIZED (
    SELECT charges.customer_id AS account_id, charges.started_at, charges.call_no, count(*) AS charges,
           count(*) FILTER (WHERE charges.account_id = ANY(customers.path)) AS placed,
           min(charges.amount_units) FILTER (WHERE charges.account_id = charges.customer_id) AS amount_units,
           min(charges.billed_s) FILTER (WHERE charges.account_id = charges.customer_id) AS billed_s,
           max(charges.amount_units) AS largest_units
    FROM charges LEFT JOIN accounts AS customers ON customers.id = charges.customer_id
    WHERE charges.customer_id = ANY($1::bigint[])
    GROUP BY charges.customer_id, charges.started_at, charges.call_no
),
refunds_of_suspects AS MATERIALIZED (
    SELECT customer_id AS account_id, started_at, call_no, count(*) AS refunds FROM call_adjustments
    WHERE kind = 'REFUND' AND customer_id = ANY($1::bigint[])
    GROUP BY customer_id, started_at, call_no
),
calls_of_suspects AS MATERIALIZED (
    SELECT account_id, started_at, calls.call_no, COALESCE(calls.call_id, 'call number ' || call_no) AS subject,
           calls.call_id, calls.charged_units, calls.billed_s AS call_billed_s, cardinality(customers.path) AS levels,
           calls.status, charged.charges, charged.placed, charged.amount_units, charged.billed_s, charged.largest_units,
           COALESCE(refunds_of_suspects.refunds, 0) AS refunds
    FROM (SELECT * FROM calls WHERE account_id = ANY($1::bigint[])) AS calls
    FULL JOIN charged USING (account_id, started_at, call_no)
    LEFT JOIN refunds_of_suspects USING (account_id, started_at, call_no)
    LEFT JOIN accounts AS customers ON customers.id = account_id
)
"""

_CALLS_DIFFERENCES = f"""
SELECT 'CHARGE_ROWS', account_id, subject, CASE WHEN call_id IS NULL THEN 0 ELSE COALESCE(levels, 0) END,
       CAST(NULL AS bigint), COALESCE(CASE WHEN call_id IS NULL THEN charges ELSE placed END, 0)
FROM calls_of_suspects
WHERE call_id IS NULL OR placed IS DISTINCT FROM levels
UNION ALL
SELECT 'CHARGE_ROWS_ELSEWHERE', account_id, subject, 0, NULL, charges - placed
FROM calls_of_suspects WHERE call_id IS NOT NULL AND charges > placed
UNION ALL
SELECT 'CALL_CHARGED', account_id, subject, amount_units, NULL, charged_units
FROM calls_of_suspects WHERE amount_units <> charged_units
UNION ALL
SELECT 'CALL_BILLED', account_id, subject, billed_s, NULL, call_billed_s
FROM calls_of_suspects WHERE billed_s <> call_billed_s
UNION ALL
SELECT 'CALL_STATUS', account_id, subject, 0, NULL, largest_units
FROM calls_of_suspects WHERE status <> 'CHARGED' AND largest_units <> 0
UNION ALL
SELECT 'REFUND_ROWS', account_id, subject, CASE status WHEN 'REFUNDED' THEN levels ELSE 0 END, NULL, refunds
FROM calls_of_suspects WHERE refunds <> CASE status WHEN 'REFUNDED' THEN levels ELSE 0 END
UNION ALL
SELECT 'CALL_KEY', calls.account_id, calls.subject, 1, NULL, 0
FROM calls_of_suspects AS calls
WHERE call_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM call_keys AS keys
    WHERE (keys.call_id, keys.account_id, keys.started_at, keys.call_no)
        = (calls.call_id, calls.account_id, calls.started_at, calls.call_no))
UNION ALL
SELECT 'KEY_WITHOUT_CALL', keys.account_id, keys.call_id, 0, NULL, 1
FROM call_keys AS keys
WHERE keys.account_id = ANY($1::bigint[]) AND {_MONTH_OF_START} NOT IN {GONE} AND NOT EXISTS (
    SELECT FROM calls
    WHERE (keys.call_id, keys.account_id, keys.started_at, keys.call_no)
        = (calls.call_id, calls.account_id, calls.started_at, calls.call_no))
"""  # noqa: S608 - constants

_TREE_DIFFERENCES = """
SELECT 'PATH', account.id, NULL, CAST(parent.path || account.id AS text), NULL, CAST(account.path AS text)
FROM accounts AS account LEFT JOIN accounts AS parent ON parent.id = account.parent_id
WHERE account.path IS DISTINCT FROM parent.path || account.id
UNION ALL
SELECT 'USERNAME', account.id, NULL,
       split_part(account.username, '*', 1) || COALESCE('*' || split_part(parent.username, '*', 1), ''), NULL,
       account.username
FROM accounts AS account LEFT JOIN accounts AS parent ON parent.id = account.parent_id
WHERE account.username
   <> split_part(account.username, '*', 1) || COALESCE('*' || split_part(parent.username, '*', 1), '')
UNION ALL
SELECT DISTINCT 'RESELLER', parent.id, NULL, 'a reseller, since it has customers', NULL, 'no reseller'
FROM accounts AS account JOIN accounts AS parent ON parent.id = account.parent_id WHERE NOT parent.is_reseller
UNION ALL
SELECT 'STATE', account.id, NULL, 'a row of state', NULL, 'none'
FROM accounts AS account LEFT JOIN account_state ON account_state.account_id = account.id
WHERE account_state.account_id IS NULL
UNION ALL
SELECT figure.check_name, account_id, NULL, CAST(figure.expected AS text), NULL, CAST(figure.found AS text)
FROM account_counts AS kept
FULL JOIN (
    SELECT accounts.parent_id AS account_id, count(*) AS customers,
           sum(1 + COALESCE(below.descendants, 0)) AS descendants
    FROM accounts LEFT JOIN account_counts AS below ON below.account_id = accounts.id
    WHERE accounts.parent_id IS NOT NULL GROUP BY accounts.parent_id
) AS counted USING (account_id)
CROSS JOIN LATERAL (VALUES
    ('CUSTOMER_COUNT', COALESCE(counted.customers, 0), COALESCE(kept.customers, 0)),
    ('DESCENDANT_COUNT', COALESCE(counted.descendants, 0), COALESCE(kept.descendants, 0))
) AS figure (check_name, expected, found)
WHERE figure.expected <> figure.found
UNION ALL
SELECT 'HOLD_PATH', holds.account_id, holds.call_id, CAST(accounts.path AS text), NULL, CAST(holds.path AS text)
FROM holds LEFT JOIN accounts ON accounts.id = holds.account_id
WHERE holds.path IS DISTINCT FROM accounts.path OR cardinality(holds.held_units) <> cardinality(accounts.path)
UNION ALL
SELECT 'HOLD_OF_ENDED_CALL', holds.account_id, holds.call_id, 'nothing held', NULL, 'a hold'
FROM holds JOIN call_keys USING (call_id)
UNION ALL
SELECT 'EARLY_END_OF_ENDED_CALL', reporter_id, early_ends.call_id, 'nothing kept', NULL, 'an early end'
FROM early_ends JOIN call_keys USING (call_id)
UNION ALL
SELECT 'HOLD_EXPIRED', account_id, call_id, 'nothing held', NULL, CAST(held_units AS text)
FROM holds WHERE expires_at IS NULL AND 0 <> ANY(held_units)
UNION ALL
SELECT 'CREDIT_KEY', keys.account_id, keys.key, 'a credit transaction', NULL, 'none'
FROM idempotency_keys AS keys
LEFT JOIN credit_transactions AS credit
       ON (credit.account_id, credit.created_at, credit.id)
        = (keys.account_id, keys.transaction_created_at, keys.transaction_id)
WHERE credit.id IS NULL
"""

TREE = of_each_check(_TREE_DIFFERENCES)
BOOKS = _BOOKS + of_each_check(_BOOKS_DIFFERENCES)
CALLS_OF_SUSPECTS = _CALLS_OF_SUSPECTS + of_each_check(_CALLS_DIFFERENCES)
USERNAMES = "SELECT id, username FROM accounts WHERE id = ANY($1::bigint[])"
COUNTS = (
    "SELECT (SELECT count(*) FROM accounts) AS accounts, (SELECT count(*) FROM credit_transactions) AS credit, "
    "(SELECT count(*) FROM holds) AS holds, "
    "(SELECT count(*) FROM usage_days) + (SELECT count(*) FROM account_state AS state WHERE usage_day IS NOT NULL "
    "AND NOT EXISTS (SELECT FROM usage_days AS usage WHERE (usage.account_id, usage.day) = "
    "(state.account_id, state.usage_day))) AS usage_days"
)
