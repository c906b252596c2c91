"""Credit transactions, and the keys that make a repeated request book once."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class CreditTransaction(Base):
    """A change of one account's balance by a person. History: the key carries the account and the time."""

    __tablename__ = "credit_transactions"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), primary_key=True, server_default=func.clock_timestamp()
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    amount_units: Mapped[int] = mapped_column(BigInteger)
    balance_after_units: Mapped[int] = mapped_column(BigInteger)
    remark: Mapped[str | None] = mapped_column(Text)
    private_remark: Mapped[str | None] = mapped_column(Text)
    created_by_id: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_credit_transactions_id", id),)


class IdempotencyKey(Base):
    """One key of one author: what was asked under it (a digest) and the transaction that answered it. Kept for ever."""

    __tablename__ = "idempotency_keys"

    author_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    content_digest: Mapped[bytes] = mapped_column(LargeBinary)
    account_id: Mapped[int] = mapped_column(BigInteger)
    transaction_created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    transaction_id: Mapped[int] = mapped_column(BigInteger)
