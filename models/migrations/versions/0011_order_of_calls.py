"""Order of calls.

Revision ID: 0011
Revises: 0010
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    _put_on("started_at, call_no, account_id", "(call_no >> 17), number text_pattern_ops")


def downgrade() -> None:
    _put_on("account_id, started_at, call_no", "number text_pattern_ops")


def _put_on(key: str, numbers: str) -> None:
    """Both indexes anew, on all months; ten million calls take a quarter of a minute."""
    op.execute("ALTER TABLE calls DROP CONSTRAINT pk_calls")
    op.execute(f"ALTER TABLE calls ADD CONSTRAINT pk_calls PRIMARY KEY ({key})")
    op.execute("DROP INDEX ix_calls_number")
    op.execute(f"CREATE INDEX ix_calls_number ON calls ({numbers})")
