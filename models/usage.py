"""What was called of an account, everything below it included, on each UTC day."""

from datetime import date

from sqlalchemy import BigInteger, Date, column, table, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class UsageDay(Base):
    """Calls, talked seconds and charged amount of one account on one UTC day, but for what `AccountState` has of it.

    ``charged_units`` is what the account pays for them now; ``refunded_units`` what refunds of them gave back. Either
    may be of calls that are counted in the account's state, so ``charged_units`` may be negative here.
    """

    __tablename__ = "usage_days"

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    duration_s: Mapped[int] = mapped_column(BigInteger)
    charged_units: Mapped[int] = mapped_column(BigInteger)
    refunded_units: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))

    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)


# The view of both: one or two rows for an account and a day, whose sum is the usage. One without a day is all zero.
usage_parts = table(
    "usage_parts",
    column("account_id", BigInteger),
    column("day", Date),
    column("calls", BigInteger),
    column("duration_s", BigInteger),
    column("charged_units", BigInteger),
    column("refunded_units", BigInteger),
)

# The usage of an account on a day in one row; to be put in parentheses.
USAGE_OF_DAYS = """
SELECT account_id, day, CAST(sum(calls) AS bigint) AS calls, CAST(sum(duration_s) AS bigint) AS duration_s,
       CAST(sum(charged_units) AS bigint) AS charged_units, CAST(sum(refunded_units) AS bigint) AS refunded_units
FROM usage_parts WHERE {of} GROUP BY account_id, day
"""
