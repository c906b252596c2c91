"""Calls that may be running, and ends that came before their authorisation. State: rows go when calls end."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Index, Integer, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Hold(Base):
    """What is set aside on each level of ``path`` (operator first) for one call, up to ``granted_s`` seconds of it.

    ``authorizer_id`` is the account on the path whose switch asked. ``expires_at`` is null once the hold has expired;
    then nothing is held, and the row waits for a late settle.
    """

    __tablename__ = "holds"

    call_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger)
    path: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    number: Mapped[str] = mapped_column(Text)
    caller_number: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    sequence: Mapped[int] = mapped_column(Integer)
    granted_s: Mapped[int] = mapped_column(Integer)
    max_duration_s: Mapped[int] = mapped_column(Integer)
    held_units: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    authorizer_id: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        Index("ix_holds_expires_at", expires_at, postgresql_where=text("expires_at IS NOT NULL")),
        Index("ix_holds_path", path),
        {"postgresql_with": {"fillfactor": "70"}},
    )


class EarlyEnd(Base):
    """The end of a call that nobody has authorised yet, kept until that arrives.

    Whose call it is only the authorisation says, so each account may report one under the same ``call_id``.
    """

    __tablename__ = "early_ends"

    call_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    reporter_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    duration_s: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    released: Mapped[bool]
    reported_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
