"""Hold authorizer.

Revision ID: 0006
Revises: 0005
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("holds", sa.Column("authorizer_id", sa.BigInteger(), nullable=True))
    # Who asked for the calls that run now is not known: as before, every account on their path may end them.
    op.execute("UPDATE holds SET authorizer_id = account_id")
    op.alter_column("holds", "authorizer_id", nullable=False)


def downgrade() -> None:
    op.drop_column("holds", "authorizer_id")
