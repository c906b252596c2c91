"""What an account may do with calls beyond what its credit allows. State; most accounts have no row."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class CallLimits(Base):
    """Limits that are looked at when a call of the account, or of an account below it, wants to start or to go on.

    Null, or an empty array, sets no limit. ``no_loss_calls``: refuse a call for which a direct customer of the
    account would pay less than the account itself.
    """

    __tablename__ = "call_limits"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    concurrent_calls_max: Mapped[int | None] = mapped_column(Integer)
    daily_spend_max_units: Mapped[int | None] = mapped_column(BigInteger)
    call_duration_max_s: Mapped[int | None] = mapped_column(Integer)
    allowed_prefixes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    forbidden_prefixes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    no_loss_calls: Mapped[bool] = mapped_column(server_default=text("false"))

    __table_args__ = (
        CheckConstraint("concurrent_calls_max >= 0", name="concurrent_calls_not_negative"),
        CheckConstraint("daily_spend_max_units >= 0", name="daily_spend_not_negative"),
        CheckConstraint("call_duration_max_s >= 1", name="call_duration_positive"),
    )
