"""Rate lists, their rates, and the pricing epoch that tells a price cache when it is out of date."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Identity, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class RateList(Base):
    """A percentage on the upper level's price, and own rates.

    Three kinds: the operator's deck (``is_base``; exactly one; it starts every price), the predefined lists
    (no owner, no rates) and a reseller's own. ``discount_e4`` is the percentage in whole units of 0.0001 %:
    100000 is 10 % off, -200000 a markup of 20 %. A deleted list keeps its row, unselectable.
    """

    __tablename__ = "rate_lists"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str] = mapped_column(Text)
    discount_e4: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    is_base: Mapped[bool] = mapped_column(server_default=text("false"))
    epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))

    __table_args__ = (
        Index("uq_rate_lists_is_base", is_base, unique=True, postgresql_where=text("is_base")),
        Index(
            "uq_rate_lists_owner_id_name",
            owner_id,
            text("lower(name)"),
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("discount_e4 <= 1000000", name="discount_at_most_100_percent"),
    )


class Rate(Base):
    """What one prefix costs in one list from ``effective_from`` on, until the next row of that prefix.

    ``-infinity`` means since ever. A ``withdrawn`` row says that from then on the list has no rate of its own
    for the prefix. Rows are never deleted: a call is rated by its start, however late it is reported.
    ``price_per_minute_e8`` and ``connection_fee_e8`` are whole units of 0.00000001.
    """

    __tablename__ = "rates"

    rate_list_id: Mapped[int] = mapped_column(ForeignKey("rate_lists.id"), primary_key=True)
    prefix: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    effective_from: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), primary_key=True, server_default=text("'-infinity'")
    )
    destination: Mapped[str | None] = mapped_column(Text)
    price_per_minute_e8: Mapped[int] = mapped_column(BigInteger)
    connection_fee_e8: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    first_increment_s: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    next_increment_s: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    blocked: Mapped[bool] = mapped_column(server_default=text("false"))
    withdrawn: Mapped[bool] = mapped_column(server_default=text("false"))
    epoch: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        Index("ix_rates_rate_list_id_epoch", rate_list_id, epoch),
        CheckConstraint("prefix ~ '^[0-9]{1,15}$'", name="prefix_is_digits"),
        CheckConstraint("price_per_minute_e8 >= 0 AND connection_fee_e8 >= 0", name="price_not_negative"),
        CheckConstraint("first_increment_s >= 1 AND next_increment_s >= 1", name="increments_positive"),
    )


class PricingEpoch(Base):
    """One row that counts changes of rates and lists. Its row lock puts them in commit order.

    A change takes the next epoch and stamps it on the rows it writes, so whoever sees epoch E sees every row
    stamped E or less, and a cache at epoch C needs only the rows stamped above C.
    """

    __tablename__ = "pricing_epoch"

    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))

    __table_args__ = (CheckConstraint("singleton", name="one_row"),)
