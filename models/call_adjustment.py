"""What has changed about the charges of a call since it was booked. History: rows are only ever added."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Identity, Integer, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class CallAdjustment(Base):
    """One change of what one account on the path pays for one call: a refund, or a call that was rated anew.

    The key is that of the charge and the order of its changes. ``amount_units`` is the signed change of the charge,
    ``amount_after_units`` the charge from then on; ``charges`` and ``calls`` hold what is paid now. A refund writes a
    row for every level; it leaves price and billed seconds as they were. No price before: the call had none.
    """

    __tablename__ = "call_adjustments"

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    call_no: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    customer_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Text)
    amount_units: Mapped[int] = mapped_column(BigInteger)
    amount_after_units: Mapped[int] = mapped_column(BigInteger)
    price_per_minute_before_e8: Mapped[int | None] = mapped_column(BigInteger)
    price_per_minute_after_e8: Mapped[int | None] = mapped_column(BigInteger)
    billed_before_s: Mapped[int] = mapped_column(Integer)
    billed_after_s: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str | None] = mapped_column(Text)
    created_by_id: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = ({"postgresql_partition_by": "RANGE (started_at)"},)
