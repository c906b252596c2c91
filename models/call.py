"""Calls, and what each level paid for them."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Sequence,
    Text,
    func,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column

from models.base import Base

# Handed out in blocks, so a process numbers its calls without asking for each one; gaps mean nothing.
CALL_NO_BLOCK = 1000
call_no_blocks = Sequence("call_no_blocks", metadata=Base.metadata)

# Successive call numbers make a lot of 131,072. Calls are found by the number called lot by lot (docs/adr/0014).
_CALL_NO_BITS_OF_LOT = literal_column("17", Integer)


class CallKey(Base):
    """The one place that knows which ``callId`` has been booked, and where its call is (state, not history)."""

    __tablename__ = "call_keys"

    call_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    call_no: Mapped[int] = mapped_column(BigInteger)


class Call(Base):
    """One call of one account. History: the key carries the account and the time, to be split by either.

    The time comes first in it: who looks for one call knows all three, and new calls are written side by side.
    """

    __tablename__ = "calls"

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    call_no: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    call_id: Mapped[str] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    caller_number: Mapped[str | None] = mapped_column(Text)
    prefix: Mapped[str | None] = mapped_column(Text)
    destination: Mapped[str | None] = mapped_column(Text)
    duration_s: Mapped[int] = mapped_column(Integer)
    billed_s: Mapped[int] = mapped_column(Integer)
    charged_units: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(Text)
    unrated_reason: Mapped[str | None] = mapped_column(Text)
    overdrawn: Mapped[bool] = mapped_column(server_default=text("false"))
    booked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    # The calls of one lot were booked at about the same time.
    lot = column_property(call_no.bitwise_rshift(_CALL_NO_BITS_OF_LOT), deferred=True)

    __table_args__ = (
        PrimaryKeyConstraint("started_at", "call_no", "account_id"),
        Index("ix_calls_unrated", "started_at", "call_no", postgresql_where=text("status = 'UNRATED'")),
        # Numbers by their beginnings, whatever the collation; within a lot, since a number lands anywhere in an index
        # of all calls, and those pages are in no cache.
        Index("ix_calls_number", lot.columns[0], "number", postgresql_ops={"number": "text_pattern_ops"}),
        {"postgresql_partition_by": "RANGE (started_at)"},
    )


class Charge(Base):
    """What one account on the path pays for one call. Its key is also the index of "latest calls of any account".

    The amount is net of everything in `models.call_adjustment`, so that a balance is credit less charges.
    ``customer_id`` is the account that made the call. An unrated call has a
    row of amount 0 and no price on every level, so that lists and usage need no second source.
    """

    __tablename__ = "charges"

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    call_no: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    customer_id: Mapped[int] = mapped_column(BigInteger)
    amount_units: Mapped[int] = mapped_column(BigInteger)
    price_per_minute_e8: Mapped[int | None] = mapped_column(BigInteger)
    billed_s: Mapped[int] = mapped_column(Integer)

    __table_args__ = ({"postgresql_partition_by": "RANGE (started_at)"},)
