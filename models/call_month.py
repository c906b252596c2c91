"""The months that calls are kept by.

`calls`, `charges` and `call_adjustments` are divided by the UTC month of a call's start: ``calls_2026_01`` holds the
calls of January 2026. A month is named by its first day. The tables of months are made and closed in
`billing.call_months` and `billing.closing`; migrations leave them alone.
"""

import re
from datetime import UTC, date, datetime, time

from sqlalchemy import BigInteger, CheckConstraint, Date, DateTime, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

MONTHLY_TABLES = ("calls", "charges", "call_adjustments")

_MONTH_TABLE = re.compile(rf"({'|'.join(MONTHLY_TABLES)})_[0-9]{{4}}_(0[1-9]|1[0-2])")


def month_of(instant: datetime) -> date:
    """The UTC month in which the instant lies."""
    return instant.astimezone(UTC).date().replace(day=1)


def next_month(month: date) -> date:
    """The month after it."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def month_bounds(month: date) -> tuple[datetime, datetime]:
    """The first instant of the month, and the first one after it."""
    return datetime.combine(month, time(), UTC), datetime.combine(next_month(month), time(), UTC)


def month_table(table: str, month: date) -> str:
    """The name of the part of a monthly table, attached or kept after it was detached."""
    return f"{table}_{month:%Y_%m}"


def is_month_table(name: str | None) -> bool:
    """Whether a table of this name is the part of a monthly table."""
    return name is not None and _MONTH_TABLE.fullmatch(name) is not None


class ClosedMonth(Base):
    """A month whose calls are not kept any more, or (CLOSING) are about to go: nothing is written into it.

    DROPPED: its tables are gone; DETACHED: they are kept beside the books. ``calls`` is how many there were.
    """

    __tablename__ = "closed_months"

    month: Mapped[date] = mapped_column(Date, primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    calls: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    closed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (
        CheckConstraint("date_trunc('month', month::timestamp) = month", name="month_is_first_day"),
        CheckConstraint("state IN ('CLOSING', 'DROPPED', 'DETACHED')", name="state_is_known"),
    )


class ClosedUsage(Base):
    """What the charges of one account in one closed month came to, summed when it was closed.

    ``own_calls`` are those it made itself, ``calls`` also those below it. ``given_back_units`` is what refunds and
    rerating gave back, ``refunded_units`` what refunds alone did. The audit takes these for the rows that are gone.
    """

    __tablename__ = "closed_usage"

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    month: Mapped[date] = mapped_column(Date, primary_key=True)
    own_calls: Mapped[int] = mapped_column(BigInteger)
    calls: Mapped[int] = mapped_column(BigInteger)
    duration_s: Mapped[int] = mapped_column(BigInteger)
    charged_units: Mapped[int] = mapped_column(BigInteger)
    refunded_units: Mapped[int] = mapped_column(BigInteger)
    given_back_units: Mapped[int] = mapped_column(BigInteger)
