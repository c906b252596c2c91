"""The audit's statement on what has changed about the charges of calls; see `resolvers.audit_statements`."""

from resolvers.audit_statements import KEPT_USAGE, of_each_check

# A refund is the end: nothing is paid after it, and nothing changes any more.
_CHAINS = """
WITH chained AS (
    SELECT adjustment.*, lag(amount_after_units) OVER charge AS amount_before_units,
           row_number() OVER charge = 1 AS is_first, lead(id) OVER charge IS NULL AS is_last
    FROM call_adjustments AS adjustment
    WINDOW charge AS (PARTITION BY account_id, started_at, call_no ORDER BY id)
),
last AS MATERIALIZED (
    SELECT chained.id, account_id, chained.amount_after_units, chained.price_per_minute_after_e8,
           chained.billed_after_s, charges.amount_units, charges.price_per_minute_e8, charges.billed_s
    FROM chained LEFT JOIN charges USING (account_id, started_at, call_no)
    WHERE chained.is_last
),
refunded AS (
    SELECT account_id, CAST(started_at AT TIME ZONE 'UTC' AS date) AS day, -sum(amount_units) AS units
    FROM call_adjustments WHERE kind = 'REFUND'
    GROUP BY account_id, CAST(started_at AT TIME ZONE 'UTC' AS date)
)
"""

# What was paid before the first change is known only of a call that had no price: nothing.
_DIFFERENCES = f"""
SELECT 'ADJUSTMENT', account_id, CAST(id AS text),
       CASE WHEN kind = 'REFUND' THEN 0
            WHEN is_first THEN CASE WHEN price_per_minute_before_e8 IS NULL THEN amount_units
                                    ELSE greatest(amount_after_units, amount_units) END
            ELSE amount_before_units + amount_units END AS expected,
       CAST(NULL AS bigint), amount_after_units
FROM chained
WHERE (kind = 'REFUND' AND (amount_after_units <> 0 OR amount_units > 0))
   OR (is_first AND (amount_after_units < amount_units
                     OR (price_per_minute_before_e8 IS NULL AND amount_after_units <> amount_units)))
   OR (NOT is_first AND amount_before_units + amount_units <> amount_after_units)
UNION ALL
SELECT 'AFTER_REFUND', account_id, CAST(id AS text), 0, NULL, 1 FROM chained WHERE kind = 'REFUND' AND NOT is_last
UNION ALL
SELECT 'ADJUSTED_AMOUNT', account_id, CAST(id AS text), amount_after_units, NULL, amount_units
FROM last WHERE amount_after_units IS DISTINCT FROM amount_units
UNION ALL
SELECT 'ADJUSTED_PRICE', account_id, CAST(id AS text), price_per_minute_after_e8, NULL, price_per_minute_e8
FROM last WHERE price_per_minute_after_e8 IS DISTINCT FROM price_per_minute_e8
UNION ALL
SELECT 'ADJUSTED_BILLED', account_id, CAST(id AS text), billed_after_s, NULL, billed_s
FROM last WHERE billed_after_s IS DISTINCT FROM billed_s
UNION ALL
SELECT 'USAGE_REFUNDED', account_id, CAST(day AS text), CAST(COALESCE(refunded.units, 0) AS bigint), NULL,
       COALESCE(usage_days.refunded_units, 0)
FROM refunded FULL JOIN ({KEPT_USAGE}) AS usage_days
USING (account_id, day)
WHERE COALESCE(refunded.units, 0) <> COALESCE(usage_days.refunded_units, 0)
"""  # noqa: S608 - constants

ADJUSTMENTS = _CHAINS + of_each_check(_DIFFERENCES)
