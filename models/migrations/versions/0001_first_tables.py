"""First tables.

Revision ID: 0001
Revises: none
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("path", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("is_reseller", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("email_address", sa.Text(), nullable=True),
        sa.Column("address_line1", sa.Text(), nullable=True),
        sa.Column("address_line2", sa.Text(), nullable=True),
        sa.Column("postal_code", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("telephone_numbers", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("other_details", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("path[cardinality(path)] = id", name=op.f("ck_accounts_path_ends_with_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["accounts.id"], name=op.f("fk_accounts_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_index("ix_accounts_parent_id_id", "accounts", ["parent_id", "id"], unique=False)
    op.create_index(
        "ix_accounts_parent_id_username",
        "accounts",
        ["parent_id", sa.literal_column("lower(username)"), "id"],
        unique=False,
    )
    op.create_index("ix_accounts_path", "accounts", ["path"], unique=True)
    op.create_index(
        "uq_accounts_operator",
        "accounts",
        [sa.literal_column("(parent_id IS NULL)")],
        unique=True,
        postgresql_where=sa.text("parent_id IS NULL"),
    )
    op.create_index("uq_accounts_username_folded", "accounts", [sa.literal_column("lower(username)")], unique=True)
    op.create_table(
        "call_keys",
        sa.Column("call_id", sa.Text(collation="C"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("call_no", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_call_keys")),
    )
    op.create_table(
        "calls",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("call_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("caller_number", sa.Text(), nullable=True),
        sa.Column("prefix", sa.Text(), nullable=True),
        sa.Column("destination", sa.Text(), nullable=True),
        sa.Column("duration_s", sa.Integer(), nullable=False),
        sa.Column("billed_s", sa.Integer(), nullable=False),
        sa.Column("charged_units", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("unrated_reason", sa.Text(), nullable=True),
        sa.Column("overdrawn", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "started_at", "call_no", name=op.f("pk_calls")),
    )
    op.create_index(
        "ix_calls_unrated",
        "calls",
        ["started_at", "call_no"],
        unique=False,
        postgresql_where=sa.text("status = 'UNRATED'"),
    )
    op.create_table(
        "charges",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("call_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_units", sa.BigInteger(), nullable=False),
        sa.Column("price_per_minute_e8", sa.BigInteger(), nullable=True),
        sa.Column("billed_s", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "started_at", "call_no", name=op.f("pk_charges")),
    )
    op.create_table(
        "pricing_epoch",
        sa.Column("singleton", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("singleton", name=op.f("ck_pricing_epoch_one_row")),
        sa.PrimaryKeyConstraint("singleton", name=op.f("pk_pricing_epoch")),
    )
    op.create_table(
        "usage_days",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("duration_s", sa.BigInteger(), nullable=False),
        sa.Column("charged_units", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "day", name=op.f("pk_usage_days")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "credit_transactions",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_units", sa.BigInteger(), nullable=False),
        sa.Column("balance_after_units", sa.BigInteger(), nullable=False),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.Column("private_remark", sa.Text(), nullable=True),
        sa.Column("created_by_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_credit_transactions_account_id")),
        sa.PrimaryKeyConstraint("account_id", "created_at", "id", name=op.f("pk_credit_transactions")),
    )
    op.create_index("ix_credit_transactions_id", "credit_transactions", ["id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("author_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("transaction_created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["author_id"], ["accounts.id"], name=op.f("fk_idempotency_keys_author_id")),
        sa.PrimaryKeyConstraint("author_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "rate_lists",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("discount_e4", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_base", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("discount_e4 <= 1000000", name=op.f("ck_rate_lists_discount_at_most_100_percent")),
        sa.ForeignKeyConstraint(["owner_id"], ["accounts.id"], name=op.f("fk_rate_lists_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_lists")),
    )
    op.create_index(
        "uq_rate_lists_is_base", "rate_lists", ["is_base"], unique=True, postgresql_where=sa.text("is_base")
    )
    op.create_index(
        "uq_rate_lists_owner_id_name",
        "rate_lists",
        ["owner_id", sa.literal_column("lower(name)")],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("secret_digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_tokens_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )
    op.create_index("ix_tokens_account_id", "tokens", ["account_id"], unique=False)
    op.create_index("uq_tokens_secret_digest", "tokens", ["secret_digest"], unique=True)
    op.create_table(
        "account_state",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("balance_units", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("held_units", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("credit_limit_units", sa.BigInteger(), server_default=sa.text("0"), nullable=True),
        sa.Column("rate_list_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("blocked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("credit_limit_units >= 0", name=op.f("ck_account_state_credit_limit_not_negative")),
        sa.CheckConstraint("held_units >= 0", name=op.f("ck_account_state_held_not_negative")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_account_state_account_id")),
        sa.ForeignKeyConstraint(["rate_list_id"], ["rate_lists.id"], name=op.f("fk_account_state_rate_list_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_state")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "rates",
        sa.Column("rate_list_id", sa.BigInteger(), nullable=False),
        sa.Column("prefix", sa.Text(collation="C"), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), server_default=sa.text("'-infinity'"), nullable=False),
        sa.Column("destination", sa.Text(), nullable=True),
        sa.Column("price_per_minute_e8", sa.BigInteger(), nullable=False),
        sa.Column("connection_fee_e8", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_increment_s", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("next_increment_s", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("blocked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("prefix ~ '^[0-9]{1,15}$'", name=op.f("ck_rates_prefix_is_digits")),
        sa.CheckConstraint(
            "first_increment_s >= 1 AND next_increment_s >= 1", name=op.f("ck_rates_increments_positive")
        ),
        sa.CheckConstraint(
            "price_per_minute_e8 >= 0 AND connection_fee_e8 >= 0", name=op.f("ck_rates_price_not_negative")
        ),
        sa.ForeignKeyConstraint(["rate_list_id"], ["rate_lists.id"], name=op.f("fk_rates_rate_list_id")),
        sa.PrimaryKeyConstraint("rate_list_id", "prefix", "effective_from", name=op.f("pk_rates")),
    )
    op.create_index("ix_rates_rate_list_id_epoch", "rates", ["rate_list_id", "epoch"], unique=False)
    op.execute(sa.schema.CreateSequence(sa.Sequence("call_no_blocks")))
    op.execute("INSERT INTO pricing_epoch DEFAULT VALUES")
    op.execute("INSERT INTO rate_lists (name, is_base) VALUES ('Base rates', true)")
    op.execute(
        "INSERT INTO rate_lists (name, discount_e4) "
        "SELECT '(Predefined) ' || percent || '% List', percent * 10000 "
        "FROM unnest(ARRAY[0, 5, 10, 15, 20, 25, 50, 100]) AS percent"
    )


def downgrade() -> None:
    op.drop_index("ix_rates_rate_list_id_epoch", table_name="rates")
    op.drop_table("rates")
    op.drop_table("account_state")
    op.drop_index("uq_tokens_secret_digest", table_name="tokens")
    op.drop_index("ix_tokens_account_id", table_name="tokens")
    op.drop_table("tokens")
    op.drop_index(
        "uq_rate_lists_owner_id_name",
        table_name="rate_lists",
        postgresql_where=sa.text("deleted_at IS NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.drop_index("uq_rate_lists_is_base", table_name="rate_lists", postgresql_where=sa.text("is_base"))
    op.drop_table("rate_lists")
    op.drop_table("idempotency_keys")
    op.drop_index("ix_credit_transactions_id", table_name="credit_transactions")
    op.drop_table("credit_transactions")
    op.drop_table("usage_days")
    op.drop_table("pricing_epoch")
    op.drop_table("charges")
    op.drop_index("ix_calls_unrated", table_name="calls", postgresql_where=sa.text("status = 'UNRATED'"))
    op.drop_table("calls")
    op.drop_table("call_keys")
    op.drop_index("uq_accounts_username_folded", table_name="accounts")
    op.drop_index("uq_accounts_operator", table_name="accounts", postgresql_where=sa.text("parent_id IS NULL"))
    op.drop_index("ix_accounts_path", table_name="accounts")
    op.drop_index("ix_accounts_parent_id_username", table_name="accounts")
    op.drop_index("ix_accounts_parent_id_id", table_name="accounts")
    op.drop_table("accounts")
    op.execute(sa.schema.DropSequence(sa.Sequence("call_no_blocks")))
