"""Call limits.

Revision ID: 0003
Revises: 0002
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "call_limits",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("concurrent_calls_max", sa.Integer(), nullable=True),
        sa.Column("daily_spend_max_units", sa.BigInteger(), nullable=True),
        sa.Column("call_duration_max_s", sa.Integer(), nullable=True),
        sa.Column("allowed_prefixes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("forbidden_prefixes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("no_loss_calls", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("call_duration_max_s >= 1", name=op.f("ck_call_limits_call_duration_positive")),
        sa.CheckConstraint("concurrent_calls_max >= 0", name=op.f("ck_call_limits_concurrent_calls_not_negative")),
        sa.CheckConstraint("daily_spend_max_units >= 0", name=op.f("ck_call_limits_daily_spend_not_negative")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_call_limits_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_call_limits")),
    )


def downgrade() -> None:
    op.drop_table("call_limits")
