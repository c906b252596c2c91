"""Offers: on which terms a reseller sells credit; and what was sold under them."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Identity, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Offer(Base):
    """Credit for sale to the direct customers of ``owner_id``: ``per_credit_units`` of it cost ``price_cents``.

    Cents are whole hundredths of ``currency``. ``bonus_units`` come on top when ``bonus_threshold_units`` are bought,
    in the way that ``bonus_basis`` says. ``resale_price_min_cents``, for as much credit as the price, binds everybody
    below the owner. A closed offer keeps its row, for the purchases under it.
    """

    __tablename__ = "offers"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    price_cents: Mapped[int] = mapped_column(BigInteger)
    per_credit_units: Mapped[int] = mapped_column(BigInteger)
    credit_min_units: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    bonus_units: Mapped[int | None] = mapped_column(BigInteger)
    bonus_threshold_units: Mapped[int | None] = mapped_column(BigInteger)
    bonus_basis: Mapped[str | None] = mapped_column(Text)
    resale_price_min_cents: Mapped[int | None] = mapped_column(BigInteger)
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (
        Index("ix_offers_owner_id_id", owner_id, id),
        Index(
            "uq_offers_owner_id_name",
            owner_id,
            text("lower(name)"),
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
        CheckConstraint("price_cents > 0 AND per_credit_units > 0", name="price_positive"),
        CheckConstraint("credit_min_units >= 0", name="credit_min_not_negative"),
        CheckConstraint("bonus_units > 0 AND bonus_threshold_units > 0", name="bonus_positive"),
        CheckConstraint("num_nulls(bonus_units, bonus_threshold_units, bonus_basis) IN (0, 3)", name="bonus_whole"),
    )


class Purchase(Base):
    """Credit that an account has bought. History: its key is that of the credit transaction it was booked as.

    ``total_units`` is what the account has bought under the offer with this purchase included, ``earned_units`` the
    bonus that it brought (0: none), booked as the credit transaction of ``bonus_created_at`` and ``bonus_id``. Price,
    bonus and currency are those of the offer at that time.
    """

    __tablename__ = "purchases"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    offer_id: Mapped[int] = mapped_column(ForeignKey("offers.id"))
    credit_units: Mapped[int] = mapped_column(BigInteger)
    total_units: Mapped[int] = mapped_column(BigInteger)
    earned_units: Mapped[int] = mapped_column(BigInteger)
    to_pay_cents: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    price_cents: Mapped[int] = mapped_column(BigInteger)
    per_credit_units: Mapped[int] = mapped_column(BigInteger)
    bonus_units: Mapped[int | None] = mapped_column(BigInteger)
    bonus_threshold_units: Mapped[int | None] = mapped_column(BigInteger)
    bonus_basis: Mapped[str | None] = mapped_column(Text)
    bonus_created_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    bonus_id: Mapped[int | None] = mapped_column(BigInteger)
    created_by_id: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        Index("ix_purchases_account_id_offer_id_id", account_id, offer_id, id),
        Index("ix_purchases_id", id),
    )
