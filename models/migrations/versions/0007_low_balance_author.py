"""Low balance author.

Revision ID: 0007
Revises: 0006
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("low_balance_watches", sa.Column("author_id", sa.BigInteger(), nullable=True))
    op.add_column("low_balance_notices", sa.Column("author_id", sa.BigInteger(), nullable=True))
    op.execute("UPDATE low_balance_watches SET author_id = account_id")
    op.execute("UPDATE low_balance_notices SET author_id = account_id")
    op.alter_column("low_balance_watches", "author_id", nullable=False)
    op.alter_column("low_balance_notices", "author_id", nullable=False)
    op.drop_constraint("pk_low_balance_watches", "low_balance_watches", type_="primary")
    op.create_primary_key("pk_low_balance_watches", "low_balance_watches", ["account_id", "author_id"])
    # Who set a watch was not kept: the account or its reseller. Each gets it, so that nobody's notices end.
    op.execute(
        "INSERT INTO low_balance_watches (account_id, author_id, threshold_units, told, webhook_url, webhook_secret) "
        "SELECT account_id, parent_id, threshold_units, told, webhook_url, webhook_secret "
        "FROM low_balance_watches JOIN accounts ON accounts.id = account_id"
    )
    for table in ("low_balance_watches", "low_balance_notices"):
        op.create_foreign_key(op.f(f"fk_{table}_author_id"), table, "accounts", ["author_id"], ["id"])
    op.create_index(
        "ix_low_balance_notices_author_id_account_id_id", "low_balance_notices", ["author_id", "account_id", "id"]
    )


def downgrade() -> None:
    op.drop_index("ix_low_balance_notices_author_id_account_id_id", table_name="low_balance_notices")
    # Of several watches of an account that of the author nearest to it stays: accounts are younger further down.
    op.execute(
        "DELETE FROM low_balance_watches AS watch USING low_balance_watches AS nearer "
        "WHERE nearer.account_id = watch.account_id AND nearer.author_id > watch.author_id"
    )
    op.execute(
        "UPDATE low_balance_notices AS notice SET next_attempt_at = NULL WHERE next_attempt_at IS NOT NULL "
        "AND NOT EXISTS (SELECT FROM low_balance_watches AS watch "
        "WHERE watch.account_id = notice.account_id AND watch.author_id = notice.author_id)"
    )
    op.drop_constraint("pk_low_balance_watches", "low_balance_watches", type_="primary")
    op.create_primary_key("pk_low_balance_watches", "low_balance_watches", ["account_id"])
    op.drop_column("low_balance_notices", "author_id")
    op.drop_column("low_balance_watches", "author_id")
