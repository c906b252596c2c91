"""Call months.

Revision ID: 0010
Revises: 0008
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Each with its primary key after (account_id, started_at, call_no), and its further indexes as (name, the rest).
_TABLES = {
    "calls": ("", (("ix_calls_unrated", "(started_at, call_no) WHERE status = 'UNRATED'"),)),
    "charges": ("", ()),
    "call_adjustments": (", id", ()),
}


def upgrade() -> None:
    for table, (more_of_key, indexes) in _TABLES.items():
        _set_aside(table, indexes)
        _make(table, more_of_key, indexes, "PARTITION BY RANGE (started_at)")
        _make_months(table)
        _take_over(table)
    op.execute("CREATE INDEX ix_calls_number ON calls (number text_pattern_ops)")
    op.create_table(
        "closed_months",
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "date_trunc('month', month::timestamp) = month", name=op.f("ck_closed_months_month_is_first_day")
        ),
        sa.CheckConstraint("state IN ('CLOSING', 'DROPPED', 'DETACHED')", name=op.f("ck_closed_months_state_is_known")),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_closed_months")),
    )
    op.create_table(
        "closed_usage",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("own_calls", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("duration_s", sa.BigInteger(), nullable=False),
        sa.Column("charged_units", sa.BigInteger(), nullable=False),
        sa.Column("refunded_units", sa.BigInteger(), nullable=False),
        sa.Column("given_back_units", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "month", name=op.f("pk_closed_usage")),
    )
    op.create_table(
        "account_counts",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customers", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("descendants", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_account_counts_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_counts")),
        postgresql_with={"fillfactor": "70"},
    )
    op.execute(
        "INSERT INTO account_counts (account_id, customers, descendants) "
        "SELECT above, count(*) FILTER (WHERE above = parent_id), count(*) - 1 "
        "FROM accounts CROSS JOIN LATERAL unnest(path) AS above GROUP BY above"
    )
    op.create_index(
        "ix_accounts_resellers",
        "accounts",
        ["parent_id", sa.text("lower(username)"), "id"],
        postgresql_where=sa.text("is_reseller"),
    )
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    op.execute(
        "CREATE INDEX ix_accounts_username_parts ON accounts USING gin (parent_id, lower(username) gin_trgm_ops)"
    )


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM closed_months)")):
        raise RuntimeError("months have been closed: their calls cannot be brought back")
    op.drop_index("ix_accounts_username_parts", table_name="accounts")
    op.drop_index("ix_accounts_resellers", table_name="accounts")
    # The extensions stay: they may have been there before.
    op.drop_table("account_counts")
    op.drop_table("closed_usage")
    op.drop_table("closed_months")
    for table, (more_of_key, indexes) in _TABLES.items():
        _set_aside(table, indexes)
        _make(table, more_of_key, indexes, "")
        _take_over(table)


def _set_aside(table: str, indexes: Sequence[tuple[str, str]]) -> None:
    op.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    op.execute(f"ALTER INDEX pk_{table} RENAME TO old_pk_{table}")
    for name, _ in indexes:
        op.execute(f"ALTER INDEX {name} RENAME TO old_{name}")


def _make(table: str, more_of_key: str, indexes: Sequence[tuple[str, str]], partitioning: str) -> None:
    """The table like the one set aside, without its rows; the identity goes on from where it was."""
    key = f"account_id, started_at, call_no{more_of_key}"
    op.execute(f"CREATE TABLE {table} (LIKE old_{table} INCLUDING DEFAULTS) {partitioning}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({key})")
    for name, rest in indexes:
        op.execute(f"CREATE INDEX {name} ON {table} {rest}")
    if more_of_key:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY")
        old, new = _sequence(f"old_{table}"), _sequence(table)
        op.execute(f"SELECT setval('{new}', last_value, is_called) FROM {old}")  # noqa: S608 - names of sequences


def _sequence(table: str) -> str:
    name = op.get_bind().scalar(sa.text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table})
    assert isinstance(name, str)
    return name


def _make_months(table: str) -> None:
    """A partition for each UTC month in which there are rows."""
    month = "CAST(date_trunc('month', started_at AT TIME ZONE 'UTC') AS date)"
    months = op.get_bind().scalars(sa.text(f"SELECT DISTINCT {month} FROM old_{table} ORDER BY 1"))  # noqa: S608
    for first in months.all():
        end = f"{first.year + first.month // 12}-{first.month % 12 + 1:02}-01"
        op.execute(
            f"CREATE TABLE {table}_{first:%Y_%m} PARTITION OF {table} "
            f"FOR VALUES FROM ('{first} 00:00+00') TO ('{end} 00:00+00')"
        )


def _take_over(table: str) -> None:
    key = "account_id, started_at, call_no"
    op.execute(f"INSERT INTO {table} SELECT * FROM old_{table} ORDER BY {key}")  # noqa: S608 - constants of this file
    op.execute(f"DROP TABLE old_{table}")
