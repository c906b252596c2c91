"""Calls as the API reads them: by ``callId``, as pages of any account, and what each visible level paid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Select, and_, select, text

from billing.charge_order import BookedCall
from billing.texts import is_storable
from models.tables import Call, CallKey
from resolvers.access import AccountPath, visible_path
from resolvers.accounts import visible_account
from resolvers.call_filter import CALL_COLUMNS, CALL_COLUMNS_SORTED, CallFilter, booked_call, select_calls_of
from resolvers.calls_to_number import page_of_number
from resolvers.context import RequestContext
from resolvers.pages import Page, PageRequest, page_of, pages_of_each

CALLS_PAGE_SIZE_MAX = 500

_CHARGES = text(
    "SELECT charges.account_id, charges.started_at, charges.call_no, charges.amount_units, "
    "charges.price_per_minute_e8 FROM unnest(CAST(:accounts AS bigint[]), CAST(:starts AS timestamptz[]), "
    "CAST(:numbers AS bigint[])) AS wanted (account_id, started_at, call_no) "
    "JOIN charges USING (account_id, started_at, call_no)"
)

# The ``callId`` of no call, for texts that are none.
NO_CALL = ""


@dataclass(frozen=True, slots=True)
class OneCall:
    """A call by the switch's own id."""

    VALUES: ClassVar = ("call_id",)

    call_id: str


@dataclass(frozen=True, slots=True)
class CallsRequest:
    """One page of the calls of any account."""

    VALUES: ClassVar = ()

    page: PageRequest
    chosen: CallFilter


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """What one level paid for a call; no price where the call is unrated."""

    account_id: int
    amount_units: int
    price_per_minute_e8: int | None


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
        select(*CALL_COLUMNS)
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
                return {account_ids[0]: await page_of_number(connection, account_ids[0], chosen, request)}
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
