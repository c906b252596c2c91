"""Calls as the API reads them: by ``callId``, as pages of any account, and what each visible level paid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Select, Text, and_, any_, func, literal_column, select, text, true
from sqlalchemy.orm import aliased

from billing.charge_order import BookedCall, CallStatus
from billing.errors import InvalidNumber
from billing.phone_number import parse_number
from billing.texts import is_storable
from models.tables import Account, Call, CallKey, Charge
from resolvers.access import AccountPath, visible_path
from resolvers.accounts import visible_account
from resolvers.context import RequestContext
from resolvers.pages import Page, PageRequest, page_of, pages_of_each
from resolvers.request_errors import BadUserInput

CALLS_PAGE_SIZE_MAX = 500

_CALL_COLUMNS = [getattr(Call, name) for name in BookedCall._fields]

# The sort values of lists of calls.
CALL_COLUMNS_SORTED = (Charge.started_at.expression, Charge.call_no.expression)
CALL_SORT_KINDS = (datetime, int)

_CHARGES = text(
    "SELECT charges.account_id, charges.started_at, charges.call_no, charges.amount_units, "
    "charges.price_per_minute_e8 FROM unnest(CAST(:accounts AS bigint[]), CAST(:starts AS timestamptz[]), "
    "CAST(:numbers AS bigint[])) AS wanted (account_id, started_at, call_no) "
    "JOIN charges USING (account_id, started_at, call_no)"
)


class SortDirection(StrEnum):
    """ASC: the oldest first; DESC: the newest first."""

    ASC = "ASC"
    DESC = "DESC"


# The ``callId`` of no call, for texts that are none.
NO_CALL = ""


@dataclass(frozen=True, slots=True)
class OneCall:
    """A call by the switch's own id."""

    VALUES: ClassVar = ("call_id",)

    call_id: str


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


@dataclass(frozen=True, slots=True)
class CallsRequest:
    """One page of the calls of any account."""

    VALUES: ClassVar = ()

    page: PageRequest
    chosen: CallFilter


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


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """What one level paid for a call; no price where the call is unrated."""

    account_id: int
    amount_units: int
    price_per_minute_e8: int | None


def booked_call(row: Any) -> BookedCall:
    """A row with the columns of `BookedCall`; further columns are left out."""
    return BookedCall(*(row._mapping[name] for name in BookedCall._fields))


async def call_by_call_id(context: RequestContext, call_id: str) -> BookedCall | None:
    """The call, or None where there is none or the viewer may not see its account."""
    if not is_storable(call_id):
        return None
    async with context.services.db.read() as connection:
        rows = await connection.execute(select_call(call_id))
        row = rows.one_or_none()
    if row is None or await visible_account(context, row.account_id) is None:
        return None
    return booked_call(row)


def select_call(call_id: Any) -> Select[*tuple[Any, ...]]:
    """The statement of the one call with this ``callId``, whoever may see it."""
    return (
        select(*_CALL_COLUMNS)
        .select_from(CallKey)
        .join(
            Call,
            and_(
                Call.account_id == CallKey.account_id,
                Call.started_at == CallKey.started_at,
                Call.call_no == CallKey.call_no,
            ),
        )
        .where(CallKey.call_id == call_id)
    )


def select_calls_of(owner_id: ColumnElement[int], chosen: CallFilter) -> Select[*tuple[Any, ...]]:
    """The chosen calls of an account and of everything below it, in no order: the columns of `booked_call`, each call
    beside the account's own charge."""
    call = select(*_CALL_COLUMNS).where(
        Call.account_id == Charge.customer_id, Call.started_at == Charge.started_at, Call.call_no == Charge.call_no
    )
    if chosen.number_prefix is not None:
        call = call.where(Call.number.startswith(chosen.number_prefix))
    if chosen.destination is not None:
        call = call.where(func.strpos(func.lower(Call.destination), func.lower(chosen.destination)) > 0)
    if chosen.status is not None:
        call = call.where(Call.status == literal_column(f"'{chosen.status.value}'", Text))
    # Three equal columns are three coincidences to the planner: it expects one row of the whole join, and to find it
    # would read both tables from end to end. The limit tells it that a charge has one call, so a page stays a page.
    found = call.limit(1).correlate(Charge).lateral("call")
    account_id = _narrowed_to(chosen.account_id, owner_id)
    statement = select(found).select_from(Charge).join(found, true()).where(Charge.account_id == account_id)
    if chosen.since is not None:
        statement = statement.where(Charge.started_at >= chosen.since)
    if chosen.until is not None:
        statement = statement.where(Charge.started_at < chosen.until)
    return statement


async def calls_page(
    context: RequestContext, account_id: int, chosen: CallFilter, request: PageRequest
) -> Page[BookedCall]:
    """A page of the calls of an account and everything below it; batched with the pages of its siblings.

    Each account has a row in ``charges`` for every call below it, so the page is one range of that table's key. Calls
    narrowed to an account below are that account's own page, and none at all where it is not below.
    """

    async def load_many(account_ids: Sequence[int]) -> dict[int, Page[BookedCall]]:
        async with context.services.db.read() as connection:
            return await pages_of_each(
                connection,
                account_ids,
                request,
                lambda owner_id: select_calls_of(owner_id, chosen),
                CALL_COLUMNS_SORTED,
                booked_call,
                descending=chosen.descending,
            )

    page = await context.loaders.loader(("calls", chosen, request), load_many).load(account_id)
    return page if page is not None else page_of([], request, booked_call)


def _narrowed_to(account_id: Any, owner_id: ColumnElement[int]) -> ColumnElement[int]:
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


async def visible_charges(context: RequestContext, call: BookedCall) -> list[ChargeRow]:
    """What the levels from the viewer down to the caller paid, top down; empty where nobody was charged."""
    account = await visible_account(context, call.account_id)
    if account is None or context.viewer is None:
        return []
    path = visible_path(context.viewer, account.path)

    async def load_many(calls: Sequence[tuple[AccountPath, datetime, int]]) -> dict[Any, list[ChargeRow]]:
        wanted = [(account_id, at, number) for path, at, number in calls for account_id in path]
        async with context.services.db.read() as connection:
            rows = await connection.execute(
                _CHARGES,
                {
                    "accounts": [account_id for account_id, _, _ in wanted],
                    "starts": [at for _, at, _ in wanted],
                    "numbers": [number for _, _, number in wanted],
                },
            )
            found = {(row.account_id, row.started_at, row.call_no): row for row in rows}
        return {
            (path, at, number): [
                ChargeRow(account_id, row.amount_units, row.price_per_minute_e8)
                for account_id in path
                if (row := found.get((account_id, at, number))) is not None and row.price_per_minute_e8 is not None
            ]
            for path, at, number in calls
        }

    loader = context.loaders.loader("charges", load_many)
    return await loader.load((path, call.started_at, call.call_no)) or []
