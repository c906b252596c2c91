"""The reseller tree: who an account is, and the narrow row of state that charging reads and writes."""

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Account(Base):
    """Who an account is. ``path`` runs from the operator down to the account itself and never changes.

    ``credit_within_own``: all that a reseller has promised its customers may not exceed its own credit.

    The subtree of an account is one range of the index on ``path``: PostgreSQL orders arrays element by
    element, so everything below ``{1,5}`` lies between ``{1,5}`` and ``{1,6}``, parents before children.
    """

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    username: Mapped[str] = mapped_column(Text)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    path: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    is_reseller: Mapped[bool] = mapped_column(server_default=text("false"))
    password_hash: Mapped[str] = mapped_column(Text)
    email_address: Mapped[str | None] = mapped_column(Text)
    address_line1: Mapped[str | None] = mapped_column(Text)
    address_line2: Mapped[str | None] = mapped_column(Text)
    postal_code: Mapped[str | None] = mapped_column(Text)
    city: Mapped[str | None] = mapped_column(Text)
    country: Mapped[str | None] = mapped_column(Text)
    telephone_numbers: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    other_details: Mapped[str | None] = mapped_column(Text)
    credit_within_own: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (
        Index("uq_accounts_username_folded", func.lower(username), unique=True),
        Index(
            "uq_accounts_operator",
            text("(parent_id IS NULL)"),
            unique=True,
            postgresql_where=text("parent_id IS NULL"),
        ),
        Index("ix_accounts_parent_id_username", parent_id, func.lower(username), id),
        Index("ix_accounts_parent_id_id", parent_id, id),
        Index("ix_accounts_path", path, unique=True),
        Index("ix_accounts_resellers", parent_id, func.lower(username), id, postgresql_where=text("is_reseller")),
        # Parts of usernames, of the customers of one account and of everybody.
        Index(
            "ix_accounts_username_parts",
            parent_id,
            func.lower(username).label("username_folded"),
            postgresql_using="gin",
            postgresql_ops={"username_folded": "gin_trgm_ops"},
        ),
        CheckConstraint("path[cardinality(path)] = id", name="path_ends_with_id"),
    )


class AccountState(Base):
    """What charging reads and writes of an account, in one narrow row that is updated in place (HOT).

    ``credit_limit_units`` is null where credit is unlimited (the operator). Available = balance + credit
    limit - held. ``version`` grows by one with each change of ``balance_units`` or ``held_units``. Rows are
    locked in ascending ``account_id``, always.

    ``day_*`` is usage of ``usage_day``, the latest UTC day it was charged for; it changes behind the operator's
    lock only. Charging changes this row anyhow, so usage costs no other one until a later day's first call
    (docs/adr/0031).
    """

    __tablename__ = "account_state"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    balance_units: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    held_units: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    credit_limit_units: Mapped[int | None] = mapped_column(BigInteger, server_default=text("0"))
    rate_list_id: Mapped[int] = mapped_column(ForeignKey("rate_lists.id"))
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    blocked: Mapped[bool] = mapped_column(server_default=text("false"))
    usage_day: Mapped[date | None] = mapped_column(Date)
    day_calls: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    day_duration_s: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    day_charged_units: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))

    __table_args__ = (
        CheckConstraint("held_units >= 0", name="held_not_negative"),
        CheckConstraint("credit_limit_units >= 0", name="credit_limit_not_negative"),
        # Room on each page for the new versions of its rows, so that an update touches no index.
        {"postgresql_with": {"fillfactor": "50"}},
    )


class AccountCount(Base):
    """How many accounts are below one: direct customers, and all at any depth. Written with each new account.

    Counting a million accounts takes a tenth of a second, each time that somebody looks.
    """

    __tablename__ = "account_counts"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    customers: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    descendants: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))

    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)
