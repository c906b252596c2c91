"""Low balance.

Revision ID: 0004
Revises: 0003
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "low_balance_notices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("available_units", sa.BigInteger(), nullable=False),
        sa.Column("threshold_units", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_low_balance_notices_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_low_balance_notices")),
    )
    op.create_index("ix_low_balance_notices_at", "low_balance_notices", ["at"], unique=False)
    op.create_index(
        "ix_low_balance_notices_next_attempt_at",
        "low_balance_notices",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )
    op.create_table(
        "low_balance_watches",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("threshold_units", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("webhook_url", sa.Text(), nullable=True),
        sa.Column("webhook_secret", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(webhook_url IS NULL) = (webhook_secret IS NULL)", name=op.f("ck_low_balance_watches_secret_with_url")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_low_balance_watches_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_low_balance_watches")),
    )
    op.add_column(
        "accounts", sa.Column("credit_within_own", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("accounts", "credit_within_own")
    op.drop_table("low_balance_watches")
    op.drop_index(
        "ix_low_balance_notices_next_attempt_at",
        table_name="low_balance_notices",
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )
    op.drop_index("ix_low_balance_notices_at", table_name="low_balance_notices")
    op.drop_table("low_balance_notices")
