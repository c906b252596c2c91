"""Which calls of an account are asked for, and the statement that finds them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ColumnElement, Select, Text, and_, any_, func, literal_column, select, true
from sqlalchemy.orm import aliased

from billing.charge_order import BookedCall, CallStatus
from billing.errors import InvalidNumber
from billing.phone_number import parse_number
from billing.texts import is_storable
from models.tables import Account, Call, Charge
from resolvers.request_errors import BadUserInput

CALL_COLUMNS = [getattr(Call, name) for name in BookedCall._fields]

# The sort values of lists of calls.
CALL_COLUMNS_SORTED = (Charge.started_at.expression, Charge.call_no.expression)
CALL_SORT_KINDS = (datetime, int)

# In a LIMIT: not a parameter, or the planner would not know how few rows it is.
ONE = literal_column("1", BigInteger)


class SortDirection(StrEnum):
    """ASC: the oldest first; DESC: the newest first."""

    ASC = "ASC"
    DESC = "DESC"


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls of an account: started at or after ``since`` and before ``until``, to numbers with this prefix, to
    destinations with this text in their name in any case, with this status, of ``account_id`` and what is below it."""

    VALUES: ClassVar = ("since", "until", "number_prefix", "destination", "account_id")

    since: datetime | None = None
    until: datetime | None = None
    number_prefix: str | None = None
    direction: SortDirection = SortDirection.DESC
    destination: str | None = None
    status: CallStatus | None = None
    account_id: int | None = None

    @property
    def order(self) -> str:
        """Names the list's order for its cursors."""
        return f"calls:{self.direction}"

    @property
    def descending(self) -> bool:
        """Whether the newest come first."""
        return self.direction is SortDirection.DESC


def call_filter(
    since: datetime | None,
    until: datetime | None,
    number: str | None,
    direction: SortDirection,
    *,
    destination: str | None = None,
    status: CallStatus | None = None,
    account_id: int | None = None,
) -> CallFilter:
    """A checked filter; ``number`` is the beginning of a called number in any form a number may be given in.

    Raises: BadUserInput.
    """
    if destination is not None and not is_storable(destination):
        raise BadUserInput("`destination` has characters that no destination has.")
    try:
        number_prefix = None if number is None else parse_number(number)
    except InvalidNumber as refusal:
        raise BadUserInput(refusal.message) from None
    return CallFilter(since, until, number_prefix, direction, destination or None, status, account_id)


def booked_call(row: Any) -> BookedCall:
    """A row with the columns of `BookedCall`; further columns are left out."""
    return BookedCall(*(row._mapping[name] for name in BookedCall._fields))


def narrowed_to(account_id: Any, owner_id: ColumnElement[int]) -> ColumnElement[int]:
    """The account of this number if it is the owner or below it, whose charges are then the whole list."""
    if account_id is None:
        return owner_id
    narrowed = aliased(Account, name="narrowed")
    return (
        select(narrowed.id)
        .where(narrowed.id == account_id, owner_id == any_(narrowed.path))
        .correlate_except(narrowed)
        .scalar_subquery()
    )


def select_calls_of(owner_id: ColumnElement[int], chosen: CallFilter) -> Select[*tuple[Any, ...]]:
    """The chosen calls of an account and of everything below it, in no order: the columns of `booked_call`, each call
    beside the account's own charge. One look-up for each charge."""
    of_charge = and_(
        Call.account_id == Charge.customer_id, Call.started_at == Charge.started_at, Call.call_no == Charge.call_no
    )
    # Three equal columns are three coincidences to the planner: it expects one row of the whole join, and to find it
    # would read both tables from end to end. The limit tells it that a charge has one call; what is asked of that
    # call is asked outside, or it would be looked for by its number.
    call = select(*CALL_COLUMNS).where(of_charge, *between(Call.started_at, chosen.since, chosen.until)).limit(ONE)
    lateral = call.correlate(Charge).lateral("call")
    return (
        select(*lateral.c)
        .select_from(Charge)
        .join(lateral, true())
        .where(
            Charge.account_id == narrowed_to(chosen.account_id, owner_id),
            *between(Charge.started_at, chosen.since, chosen.until),
            *conditions_of(lateral.c, chosen),
        )
    )


def conditions_of(call: Any, chosen: CallFilter) -> list[ColumnElement[bool]]:
    """What the filter asks of the call itself: number, destination, status."""
    conditions: list[ColumnElement[bool]] = []
    if chosen.number_prefix is not None:
        conditions.append(call.number.startswith(chosen.number_prefix))
    if chosen.destination is not None:
        conditions.append(func.strpos(func.lower(call.destination), func.lower(chosen.destination)) > 0)
    if chosen.status is not None:
        conditions.append(call.status == literal_column(f"'{chosen.status.value}'", Text))
    return conditions


def between(started_at: Any, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    """Said of both tables, so that no months but those within are opened."""
    after = [] if since is None else [started_at >= since]
    return after if until is None else [*after, started_at < until]
