"""Usage of the latest day.

Revision ID: 0012
Revises: 0011
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_FIGURES = ("day_calls", "day_duration_s", "day_charged_units")


def upgrade() -> None:
    op.add_column("account_state", sa.Column("usage_day", sa.Date(), nullable=True))
    for name in _FIGURES:
        op.add_column("account_state", sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    # Plain, so that the planner looks through it to the tables.
    op.execute(
        "CREATE VIEW usage_parts AS "
        "SELECT account_id, day, calls, duration_s, charged_units, refunded_units FROM usage_days "
        "UNION ALL "
        "SELECT account_id, usage_day, day_calls, day_duration_s, day_charged_units, CAST(0 AS bigint) "
        "FROM account_state"
    )


def downgrade() -> None:
    op.execute("DROP VIEW usage_parts")
    # Or a call could be charged between its reading and its end.
    op.execute("LOCK TABLE account_state IN ACCESS EXCLUSIVE MODE")
    op.execute(
        "INSERT INTO usage_days AS usage (account_id, day, calls, duration_s, charged_units) "
        "SELECT account_id, usage_day, day_calls, day_duration_s, day_charged_units "
        "FROM account_state WHERE usage_day IS NOT NULL "
        "ON CONFLICT (account_id, day) DO UPDATE SET calls = usage.calls + EXCLUDED.calls, "
        "duration_s = usage.duration_s + EXCLUDED.duration_s, "
        "charged_units = usage.charged_units + EXCLUDED.charged_units"
    )
    for name in ("usage_day", *_FIGURES):
        op.drop_column("account_state", name)
