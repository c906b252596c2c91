-- What PostGraphile reads: the eight fields as columns of one view, which it inlines into its statement.
CREATE SCHEMA postgraphile;
CREATE VIEW postgraphile.accounts AS
SELECT a.id,
       a.parent_id,
       a.username,
       cardinality(a.path) - 1 AS depth,
       a.is_reseller,
       EXISTS (SELECT FROM account_state b WHERE b.account_id = ANY (a.path) AND b.blocked) AS blocked,
       s.balance_units * 0.00001 AS balance,
       (s.balance_units + s.credit_limit_units - s.held_units) * 0.00001 AS available,
       a.created_at
  FROM accounts a JOIN account_state s ON s.account_id = a.id;
COMMENT ON VIEW postgraphile.accounts IS E'@primaryKey id\n@foreignKey (parent_id) references accounts (id)|@foreignFieldName customers\n@behavior -connection +list';
