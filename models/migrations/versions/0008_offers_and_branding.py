"""Offers, purchases, branding.

Revision ID: 0008
Revises: 0007
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "brandings",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("logo_url", sa.Text(), nullable=True),
        sa.Column("primary_colour", sa.Text(), nullable=True),
        sa.Column("secondary_colour", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(name, logo_url, primary_colour, secondary_colour) > 0",
            name=op.f("ck_brandings_something_set"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_brandings_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_brandings")),
    )
    op.create_table(
        "offers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("price_cents", sa.BigInteger(), nullable=False),
        sa.Column("per_credit_units", sa.BigInteger(), nullable=False),
        sa.Column("credit_min_units", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("bonus_units", sa.BigInteger(), nullable=True),
        sa.Column("bonus_threshold_units", sa.BigInteger(), nullable=True),
        sa.Column("bonus_basis", sa.Text(), nullable=True),
        sa.Column("resale_price_min_cents", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("price_cents > 0 AND per_credit_units > 0", name=op.f("ck_offers_price_positive")),
        sa.CheckConstraint("credit_min_units >= 0", name=op.f("ck_offers_credit_min_not_negative")),
        sa.CheckConstraint("bonus_units > 0 AND bonus_threshold_units > 0", name=op.f("ck_offers_bonus_positive")),
        sa.CheckConstraint(
            "num_nulls(bonus_units, bonus_threshold_units, bonus_basis) IN (0, 3)", name=op.f("ck_offers_bonus_whole")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["accounts.id"], name=op.f("fk_offers_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offers")),
    )
    op.create_index("ix_offers_owner_id_id", "offers", ["owner_id", "id"], unique=False)
    op.create_index(
        "uq_offers_owner_id_name",
        "offers",
        ["owner_id", sa.literal_column("lower(name)")],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "purchases",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("offer_id", sa.BigInteger(), nullable=False),
        sa.Column("credit_units", sa.BigInteger(), nullable=False),
        sa.Column("total_units", sa.BigInteger(), nullable=False),
        sa.Column("earned_units", sa.BigInteger(), nullable=False),
        sa.Column("to_pay_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("price_cents", sa.BigInteger(), nullable=False),
        sa.Column("per_credit_units", sa.BigInteger(), nullable=False),
        sa.Column("bonus_units", sa.BigInteger(), nullable=True),
        sa.Column("bonus_threshold_units", sa.BigInteger(), nullable=True),
        sa.Column("bonus_basis", sa.Text(), nullable=True),
        sa.Column("bonus_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("bonus_id", sa.BigInteger(), nullable=True),
        sa.Column("created_by_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_purchases_account_id")),
        sa.ForeignKeyConstraint(["offer_id"], ["offers.id"], name=op.f("fk_purchases_offer_id")),
        sa.PrimaryKeyConstraint("account_id", "created_at", "id", name=op.f("pk_purchases")),
    )
    op.create_index("ix_purchases_account_id_offer_id_id", "purchases", ["account_id", "offer_id", "id"], unique=False)
    op.create_index("ix_purchases_id", "purchases", ["id"], unique=False)


def downgrade() -> None:
    # The credit stays booked; that it was bought is forgotten.
    op.execute("UPDATE credit_transactions SET kind = 'CREDIT' WHERE kind IN ('PURCHASE', 'BONUS')")
    op.drop_index("ix_purchases_id", table_name="purchases")
    op.drop_index("ix_purchases_account_id_offer_id_id", table_name="purchases")
    op.drop_table("purchases")
    op.drop_index("uq_offers_owner_id_name", table_name="offers", postgresql_where=sa.text("closed_at IS NULL"))
    op.drop_index("ix_offers_owner_id_id", table_name="offers")
    op.drop_table("offers")
    op.drop_table("brandings")
