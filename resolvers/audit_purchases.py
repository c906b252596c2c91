"""The audit's statement on purchases; see `resolvers.audit_statements`.

A purchase is worked out again from the terms that it keeps: what was to pay, what it adds up to, which bonus it earned.
Its credit and its bonus are there as credit transactions of the same account, and each such one belongs to a purchase.
"""

from resolvers.audit_statements import of_each_check

_PURCHASES = """
WITH summed AS MATERIALIZED (
    SELECT purchase.*, sum(credit_units) OVER (PARTITION BY account_id, offer_id ORDER BY id) AS sum_units
    FROM purchases AS purchase
),
agreed AS (
    SELECT account_id, id, created_at, credit_units, total_units, sum_units, to_pay_cents, earned_units, bonus_id,
           bonus_created_at,
           div(2 * CAST(credit_units AS numeric) * price_cents + per_credit_units, 2 * per_credit_units)
               AS agreed_cents,
           CASE bonus_basis
               WHEN 'ONE_PURCHASE' THEN CASE WHEN credit_units >= bonus_threshold_units THEN bonus_units ELSE 0 END
               WHEN 'PURCHASES_ADDED_UP'
               THEN (div(sum_units, bonus_threshold_units) - div(sum_units - credit_units, bonus_threshold_units))
                    * bonus_units
               ELSE 0
           END AS agreed_units
    FROM summed
),
sold AS (
    SELECT account_id, created_at, id, 'PURCHASE' AS kind, id AS purchase_id, credit_units AS units FROM purchases
    UNION ALL
    SELECT account_id, bonus_created_at, bonus_id, 'BONUS', id, earned_units
    FROM purchases WHERE earned_units <> 0 OR bonus_id IS NOT NULL
),
booked AS (
    SELECT account_id, created_at, id, kind, amount_units FROM credit_transactions WHERE kind IN ('PURCHASE', 'BONUS')
)
"""

_DIFFERENCES = """
SELECT 'PURCHASE_TOTAL', account_id, CAST(id AS text), sum_units, CAST(NULL AS numeric), CAST(total_units AS numeric)
FROM agreed WHERE total_units <> sum_units
UNION ALL
SELECT 'PURCHASE_TO_PAY', account_id, CAST(id AS text), agreed_cents, NULL, to_pay_cents
FROM agreed WHERE to_pay_cents <> agreed_cents
UNION ALL
SELECT 'PURCHASE_EARNED', account_id, CAST(id AS text), agreed_units, NULL, earned_units
FROM agreed WHERE earned_units <> agreed_units
UNION ALL
SELECT CASE sold.kind WHEN 'BONUS' THEN 'PURCHASE_BONUS' ELSE 'PURCHASE_CREDIT' END, sold.account_id,
       CAST(sold.purchase_id AS text), sold.units, NULL, booked.amount_units
FROM sold LEFT JOIN booked USING (account_id, created_at, id, kind)
WHERE booked.amount_units IS DISTINCT FROM sold.units
UNION ALL
SELECT 'SOLD_WITHOUT_PURCHASE', booked.account_id, CAST(booked.id AS text), NULL, NULL, booked.amount_units
FROM booked LEFT JOIN sold USING (account_id, created_at, id, kind)
WHERE sold.purchase_id IS NULL
"""

PURCHASES = _PURCHASES + of_each_check(_DIFFERENCES)
