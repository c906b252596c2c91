"""Calls as the API reads them: by ``callId``, as pages of any account, and what each visible level paid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import isqrt
from typing import Any, ClassVar, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    any_,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from billing.charge_order import BookedCall, CallStatus
from billing.errors import InvalidNumber
from billing.phone_number import parse_number
from billing.texts import is_storable
from models.call_month import month_bounds
from models.tables import Account, Call, CallKey, Charge
from resolvers.access import AccountPath, visible_path
from resolvers.accounts import visible_account
from resolvers.call_spans import doubling_spans
from resolvers.context import RequestContext
from resolvers.pages import Page, PageRequest, keyset, page_of, pages_of_each
from resolvers.request_errors import BadUserInput

CALLS_PAGE_SIZE_MAX = 500

_CALL_COLUMNS = [getattr(Call, name) for name in BookedCall._fields]

# The sort values of lists of calls.
CALL_COLUMNS_SORTED = (Charge.started_at.expression, Charge.call_no.expression)
CALL_SORT_KINDS = (datetime, int)

_DAYS = text("SELECT min(day) AS first, max(day) AS last FROM usage_days WHERE account_id = :account_id")
# Of an account and of everybody, which is what the operator has, on the days of a span.
_HOW_MANY = text(
    "SELECT CAST(coalesce(sum(calls) FILTER (WHERE account_id = :account_id), 0) AS bigint) AS own, "
    "CAST(coalesce(sum(calls) FILTER (WHERE account_id = operator.id), 0) AS bigint) AS everybodys "
    "FROM (SELECT id FROM accounts WHERE parent_id IS NULL) AS operator "
    "JOIN usage_days ON account_id IN (operator.id, :account_id) "
    "WHERE day BETWEEN CAST(CAST(:since AS timestamptz) AT TIME ZONE 'UTC' AS date) "
    "AND CAST(CAST(:until AS timestamptz) AT TIME ZONE 'UTC' AS date)"
)
_INSTANT = timedelta(microseconds=1)
# So many calls to a number are looked up at once, however long they lie apart.
_RARE = 500
_ONE = literal_column("1", BigInteger)

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


async def calls_page(
    context: RequestContext, account_id: int, chosen: CallFilter, request: PageRequest
) -> Page[BookedCall]:
    """A page of the calls of an account and everything below it; batched with the pages of its siblings.

    Each account has a row in ``charges`` for every call below it, so the page is one range of that table's key. Calls
    narrowed to an account below are that account's own page, and none at all where it is not below.
    """

    async def load_many(account_ids: Sequence[int]) -> dict[int, Page[BookedCall]]:
        db = context.services.db
        if chosen.number_prefix is not None and len(account_ids) == 1:
            async with db.read_by_value() as connection:
                return {account_ids[0]: await _page_of_number(connection, account_ids[0], chosen, request)}
        async with db.read() as connection:
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


def select_calls_of(owner_id: ColumnElement[int], chosen: CallFilter) -> Select[*tuple[Any, ...]]:
    """The chosen calls of an account and of everything below it, in no order: the columns of `booked_call`, each call
    beside the account's own charge. One look-up for each charge."""
    of_charge = and_(
        Call.account_id == Charge.customer_id, Call.started_at == Charge.started_at, Call.call_no == Charge.call_no
    )
    # Three equal columns are three coincidences to the planner: it expects one row of the whole join, and to find it
    # would read both tables from end to end. The limit tells it that a charge has one call; what is asked of that
    # call is asked outside, or it would be looked for by its number.
    call = select(*_CALL_COLUMNS).where(of_charge, *_between(Call.started_at, chosen.since, chosen.until)).limit(_ONE)
    lateral = call.correlate(Charge).lateral("call")
    return (
        select(*lateral.c)
        .select_from(Charge)
        .join(lateral, true())
        .where(
            Charge.account_id == _narrowed_to(chosen.account_id, owner_id),
            *_between(Charge.started_at, chosen.since, chosen.until),
            *_conditions(lateral.c, chosen),
        )
    )


def _select_by_number(
    owner_id: ColumnElement[int], chosen: CallFilter
) -> tuple[Select[*tuple[Any, ...]], tuple[ColumnElement[Any], ColumnElement[Any]]]:
    """`select_calls_of` the other way round, with its sort columns: all calls to the number, and of each whether the
    account has a charge for it."""
    conditions = [*_between(Call.started_at, chosen.since, chosen.until), *_conditions(Call, chosen)]
    # OFFSET keeps the planner from turning it round again, for the same reason as above.
    call = select(*_CALL_COLUMNS).where(*conditions).offset(literal_column("0", BigInteger)).subquery("call")
    charge = (
        select(Charge.call_no)
        .where(
            Charge.account_id == _narrowed_to(chosen.account_id, owner_id),
            Charge.started_at == call.c.started_at,
            Charge.call_no == call.c.call_no,
            Charge.customer_id == call.c.account_id,
        )
        .limit(_ONE)
        .correlate(call)
        .lateral("charge")
    )
    return select(*call.c).select_from(call).join(charge, true()), (call.c.started_at, call.c.call_no)


def _conditions(call: Any, chosen: CallFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if chosen.number_prefix is not None:
        conditions.append(call.number.startswith(chosen.number_prefix))
    if chosen.destination is not None:
        conditions.append(func.strpos(func.lower(call.destination), func.lower(chosen.destination)) > 0)
    if chosen.status is not None:
        conditions.append(call.status == literal_column(f"'{chosen.status.value}'", Text))
    return conditions


def _between(started_at: Any, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    """Said of both tables, so that no months but those within are opened."""
    after = [] if since is None else [started_at >= since]
    return after if until is None else [*after, started_at < until]


async def _page_of_number(
    connection: AsyncConnection, account_id: int, chosen: CallFilter, request: PageRequest
) -> Page[BookedCall]:
    """A page of calls to numbers that begin in one way: from where it starts over spans that double.

    Of a span it is known how many calls the account has in it, and counted how many there are to the number, up to
    where it is cheaper to walk through the account's own. One statement would have to guess, and a wrong guess reads
    everything. A rare number is looked for over all spans at once.
    """
    days = (await connection.execute(_DAYS, {"account_id": account_id})).one()
    if days.first is None:
        return page_of([], request, booked_call)
    descending = chosen.descending
    newest_first = descending != request.backward
    since, until = month_bounds(days.first.replace(day=1))[0], month_bounds(days.last.replace(day=1))[1]
    since, until = max(since, chosen.since or since), min(until, chosen.until or until)
    if request.position is not None:
        position = cast("datetime", request.position[0])
        if not newest_first:
            since = max(since, position)
        elif position < until:
            until = position + _INSTANT
    owner_id = literal(account_id, BigInteger)

    async def rows_of(span: CallFilter, size: int, *, by_number: bool) -> Sequence[Any]:
        columns: Sequence[ColumnElement[Any]]
        if by_number:
            statement, columns = _select_by_number(owner_id, span)
        else:
            statement, columns = select_calls_of(owner_id, span), CALL_COLUMNS_SORTED
        part = keyset(statement, replace(request, size=size), columns, descending=descending)
        return (await connection.execute(part)).all()

    if since >= until:
        return page_of([], request, booked_call)
    everything = replace(chosen, since=since, until=until)
    if await _are_at_most(connection, everything, _RARE):
        return page_of(await rows_of(everything, request.size, by_number=True), request, booked_call)
    rows: list[Any] = []
    for start, end in doubling_spans(since, until, newest_first=newest_first):
        span, size = replace(chosen, since=start, until=end), request.size - len(rows)
        few = await _worth_looking_up(connection, account_id, span, size)
        rows += await rows_of(span, size, by_number=await _are_at_most(connection, span, few))
        if len(rows) > request.size:
            break
    return page_of(rows, request, booked_call)


async def _worth_looking_up(connection: AsyncConnection, account_id: int, chosen: CallFilter, size: int) -> int:
    """Up to how many calls to a number, by whomever, are less to look up than to walk through the account's own."""
    span = {"account_id": account_id, "since": chosen.since, "until": chosen.until}
    calls = (await connection.execute(_HOW_MANY, span)).one()
    # Where M of everybody's N are to the number, evenly spread, one walks through N * size / M of them for a page.
    return int(min(calls.own, isqrt(calls.everybodys * (size + 1))))


async def _are_at_most(connection: AsyncConnection, chosen: CallFilter, few: int) -> bool:
    """Whether no more than a few calls were made to the number, by whomever."""
    prefix = cast("str", chosen.number_prefix)
    of_number = and_(Call.number.startswith(prefix), *_between(Call.started_at, chosen.since, chosen.until))
    found = select(Call.call_no).where(of_number).limit(few + 1).subquery()
    return bool(await connection.scalar(select(func.count() <= few).select_from(found)))


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
