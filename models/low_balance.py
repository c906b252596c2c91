"""Low-balance notices: what an account is watched for, and every notice with the state of its delivery."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Identity, Index, Integer, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class LowBalanceWatch(Base):
    """What one author (the account itself, or who manages it) wants to be told of the account, beside other authors.

    A notice is due when what is available falls below ``threshold_units``, and the next one only after it has
    been at or above it again: ``told`` says that it is below and was told. ``webhook_secret`` signs what is posted
    to ``webhook_url``.
    """

    __tablename__ = "low_balance_watches"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    author_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    threshold_units: Mapped[int] = mapped_column(BigInteger)
    told: Mapped[bool]
    webhook_url: Mapped[str | None] = mapped_column(Text)
    webhook_secret: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (CheckConstraint("(webhook_url IS NULL) = (webhook_secret IS NULL)", name="secret_with_url"),)


class LowBalanceNotice(Base):
    """One notice for one author. ``next_attempt_at`` is null where nothing is to be posted, or nothing more."""

    __tablename__ = "low_balance_notices"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    author_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    available_units: Mapped[int] = mapped_column(BigInteger)
    threshold_units: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    next_attempt_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    delivered_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index(
            "ix_low_balance_notices_next_attempt_at",
            next_attempt_at,
            postgresql_where=text("next_attempt_at IS NOT NULL"),
        ),
        Index("ix_low_balance_notices_at", at),
        # The newest notice of a watch.
        Index("ix_low_balance_notices_author_id_account_id_id", author_id, account_id, id),
    )
