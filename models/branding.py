"""How a reseller wants its back office to look, to itself and to everybody below it."""

from sqlalchemy import CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Branding(Base):
    """What one account has set. Accounts that have set nothing have no row, and take the nearest one above them."""

    __tablename__ = "brandings"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    name: Mapped[str | None] = mapped_column(Text)
    logo_url: Mapped[str | None] = mapped_column(Text)
    primary_colour: Mapped[str | None] = mapped_column(Text)
    secondary_colour: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("num_nonnulls(name, logo_url, primary_colour, secondary_colour) > 0", name="something_set"),
    )
