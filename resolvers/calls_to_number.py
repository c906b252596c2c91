"""Calls to numbers that begin in one way, of any account.

There are two ways to them: through the account's own calls, or through all calls to the number, by whomever. Numbers
are sorted within each lot of calls (docs/adr/0014), so the second way looks into every lot of the months in question.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import isqrt
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    any_,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.charge_order import BookedCall
from models.call_month import month_bounds, month_of
from models.tables import Call, Charge
from resolvers.call_filter import (
    CALL_COLUMNS,
    CALL_COLUMNS_SORTED,
    ONE,
    CallFilter,
    between,
    booked_call,
    conditions_of,
    narrowed_to,
    select_calls_of,
)
from resolvers.call_spans import doubling_spans
from resolvers.pages import Page, PageRequest, keyset, page_of

# Both ends of an index. Asked of `usage_parts`, the planner now and then reads all days.
_DAYS = text(
    "SELECT LEAST((SELECT min(day) FROM usage_days WHERE account_id = :account_id), "
    "(SELECT usage_day FROM account_state WHERE account_id = :account_id)) AS first, "
    "GREATEST((SELECT max(day) FROM usage_days WHERE account_id = :account_id), "
    "(SELECT usage_day FROM account_state WHERE account_id = :account_id)) AS last"
)
# Of an account and of everybody, which is what the operator has, on the days of a span.
_HOW_MANY = text(
    "SELECT CAST(coalesce(sum(calls) FILTER (WHERE account_id = :account_id), 0) AS bigint) AS own, "
    "CAST(coalesce(sum(calls) FILTER (WHERE account_id = operator.id), 0) AS bigint) AS everybodys "
    "FROM (SELECT id FROM accounts WHERE parent_id IS NULL) AS operator "
    "JOIN usage_parts ON account_id IN (operator.id, :account_id) "
    "WHERE day BETWEEN CAST(CAST(:since AS timestamptz) AT TIME ZONE 'UTC' AS date) "
    "AND CAST(CAST(:until AS timestamptz) AT TIME ZONE 'UTC' AS date)"
)
_INSTANT = timedelta(microseconds=1)
# So many calls to a number are looked up at once, however long they lie apart.
_RARE = 500
_NONE = literal_column("0", BigInteger)


async def page_of_number(
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
            statement, columns = _select_by_number(owner_id, span, lots)
        else:
            statement, columns = select_calls_of(owner_id, span), CALL_COLUMNS_SORTED
        part = keyset(statement, replace(request, size=size), columns, descending=descending)
        return (await connection.execute(part)).all()

    if since >= until:
        return page_of([], request, booked_call)
    everything = replace(chosen, since=since, until=until)
    lots = await _lots(connection, everything)
    if await _are_at_most(connection, everything, lots, _RARE):
        return page_of(await rows_of(everything, request.size, by_number=True), request, booked_call)
    rows: list[Any] = []
    for start, end in doubling_spans(since, until, newest_first=newest_first):
        span, size = replace(chosen, since=start, until=end), request.size - len(rows)
        few = await _worth_looking_up(connection, account_id, span, size)
        rows += await rows_of(span, size, by_number=await _are_at_most(connection, span, lots, few))
        if len(rows) > request.size:
            break
    return page_of(rows, request, booked_call)


async def _worth_looking_up(connection: AsyncConnection, account_id: int, chosen: CallFilter, size: int) -> int:
    """Up to how many calls to a number, by whomever, are less to look up than to walk through the account's own."""
    span = {"account_id": account_id, "since": chosen.since, "until": chosen.until}
    calls = (await connection.execute(_HOW_MANY, span)).one()
    # Where M of everybody's N are to the number, evenly spread, one walks through N * size / M of them for a page.
    return int(min(calls.own, isqrt(calls.everybodys * (size + 1))))


async def _are_at_most(connection: AsyncConnection, chosen: CallFilter, lots: range, few: int) -> bool:
    """Whether no more than a few calls were made to the number, by whomever."""
    of_number = CallFilter(chosen.since, chosen.until, chosen.number_prefix)
    found = _calls_to_number([Call.call_no.expression], of_number, lots).limit(few + 1).subquery()
    return bool(await connection.scalar(select(func.count() <= few).select_from(found)))


async def _lots(connection: AsyncConnection, chosen: CallFilter) -> range:
    """The lots that may have calls of the span, in ascending order, by both ends of the index.

    One that has none of them costs a look.
    """
    since, until = cast("datetime", chosen.since), cast("datetime", chosen.until)
    # Of whole months, or calls at the ends of the index would be passed over until there is one within the span.
    months = between(Call.started_at, month_bounds(month_of(since))[0], month_bounds(month_of(until - _INSTANT))[1])
    first, last = (
        select(Call.lot).where(*months).order_by(end).limit(ONE).scalar_subquery()
        for end in (Call.lot.asc(), Call.lot.desc())
    )
    ends = (await connection.execute(select(first.label("first"), last.label("last")))).one()
    return range(0) if ends.first is None else range(ends.first, ends.last + 1)


def _calls_to_number(
    columns: Sequence[ColumnElement[Any]], chosen: CallFilter, lots: range
) -> Select[*tuple[Any, ...]]:
    """All calls to the number, by whomever, in these lots."""
    conditions = [*between(Call.started_at, chosen.since, chosen.until), *conditions_of(Call, chosen)]
    # Not as a value: the planner would estimate each of them in each month.
    ends = [literal(lot, BigInteger) for lot in (lots.start, lots.stop - 1)]
    of_lots = func.array(select(func.generate_series(*ends)).scalar_subquery())
    return select(*columns).where(Call.lot == any_(of_lots), *conditions)


def _select_by_number(
    owner_id: ColumnElement[int], chosen: CallFilter, lots: range
) -> tuple[Select[*tuple[Any, ...]], tuple[ColumnElement[Any], ColumnElement[Any]]]:
    """`select_calls_of` the other way round, with its sort columns: of each call to the number, whether the account has
    a charge for it."""
    # OFFSET keeps the planner from turning it round again, for the same reason as there.
    call = _calls_to_number(CALL_COLUMNS, chosen, lots).offset(_NONE).subquery("call")
    charge = (
        select(Charge.call_no)
        .where(
            Charge.account_id == narrowed_to(chosen.account_id, owner_id),
            Charge.started_at == call.c.started_at,
            Charge.call_no == call.c.call_no,
            Charge.customer_id == call.c.account_id,
        )
        .limit(ONE)
        .correlate(call)
        .lateral("charge")
    )
    return select(*call.c).select_from(call).join(charge, true()), (call.c.started_at, call.c.call_no)
