"""Holds: what a switch asks while calls run, of accounts that the viewer may see; and the holds of an account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import aliased

from billing.charge_order import Booked, check_call_id, check_caller_number, check_duration, check_started_at
from billing.errors import InvalidCall, NotFound, Refusal
from billing.hold_order import Authorization, AuthorizeOrder, EndPending, ExtendOrder, SettleOrder
from billing.phone_number import parse_number
from models.tables import Account, Hold
from resolvers.access import Viewer, may_see
from resolvers.account_lists import within
from resolvers.call_orders import paths_of, submit
from resolvers.context import RequestContext
from resolvers.pages import Page, PageRequest, page_of, pages_of_each

# The sort values of lists of holds.
HOLD_SORT_COLUMNS = (Hold.__table__.c.at, Hold.__table__.c.call_id)
HOLD_SORT_KINDS = (datetime, str)

# A sequence beyond this is no count of slices of one call.
SEQUENCE_MAX = 1_000_000


class AuthorizeRequest(NamedTuple):
    """A call that wants to start, of the account with this id or this full username."""

    call_id: str
    account_id: int | None
    username: str | None
    number: str
    caller_number: str | None
    at: datetime | None


class SettleRequest(NamedTuple):
    """A call that has ended."""

    call_id: str
    duration_s: int
    started_at: datetime | None


async def authorize_calls(
    context: RequestContext, viewer: Viewer, requests: Sequence[AuthorizeRequest]
) -> list[Authorization | Refusal]:
    """Hold a first slice of each call, in their sequence. Raises: BadUserInput: more than 1,000 calls."""
    path_of = await paths_of(context, viewer, requests)
    now = datetime.now(UTC)

    def order_of(request: AuthorizeRequest) -> AuthorizeOrder:
        check_call_id(request.call_id)
        check_caller_number(request.caller_number)
        if request.at is not None:
            check_started_at(request.at, now, field="at")
        number = parse_number(request.number)
        return AuthorizeOrder(
            request.call_id, path_of(request), number, request.caller_number, request.at, viewer.account_id
        )

    return cast("list[Authorization | Refusal]", await submit(context, requests, order_of))


async def extend_call(
    context: RequestContext, viewer: Viewer, call_id: str, sequence: int, talked_s: int | None
) -> Authorization:
    """Hold the next slice. Raises: the `Refusal` that kept it from being held; what was held stays."""

    def order_of(_: None) -> ExtendOrder:
        check_call_id(call_id)
        if talked_s is not None:
            check_duration(talked_s, field="talkedSeconds")
        if not 1 <= sequence <= SEQUENCE_MAX:
            raise InvalidCall("Extensions are counted from 1.", path=("sequence",))
        return ExtendOrder(call_id, sequence, talked_s, viewer.account_id)

    (answer,) = await _hidden(context, viewer, await submit(context, [None], order_of))
    if isinstance(answer, Refusal):
        raise answer
    return cast("Authorization", answer)


async def settle_calls(
    context: RequestContext, viewer: Viewer, requests: Sequence[SettleRequest], *, released: bool = False
) -> list[Booked | EndPending | Refusal]:
    """Charge the talked time of authorised calls and free their holds, in their sequence.

    Raises: BadUserInput: more than 1,000 calls.
    """
    now = datetime.now(UTC)

    def order_of(request: SettleRequest) -> SettleOrder:
        check_call_id(request.call_id)
        check_duration(request.duration_s)
        if request.started_at is not None:
            check_started_at(request.started_at, now)
        return SettleOrder(request.call_id, request.duration_s, request.started_at, viewer.account_id, released)

    answers = await _hidden(context, viewer, await submit(context, requests, order_of))
    return cast("list[Booked | EndPending | Refusal]", answers)


async def _hidden(context: RequestContext, viewer: Viewer, answers: Sequence[Any]) -> list[Any]:
    """The answers, with those about calls of accounts that the viewer may not see as if there were no such call.

    Who settles, releases or extends names nothing but a callId, and one that is in the books may be anybody's.
    """
    caller_ids = [_caller_id(answer) for answer in answers]
    callers = await context.services.directory.by_id(id_ for id_ in caller_ids if id_ is not None)
    return [
        NotFound("There is no such call.", path=("callId",))
        if caller_id is not None and not may_see(viewer, callers[caller_id].path)
        else answer
        for answer, caller_id in zip(answers, caller_ids, strict=True)
    ]


def _caller_id(answer: Any) -> int | None:
    """Whose call the answer is about, if that was in the books before."""
    if isinstance(answer, Booked):
        return answer.call.account_id if answer.duplicate else None
    return answer.caller_id if isinstance(answer, Refusal) else None


@dataclass(frozen=True, slots=True)
class HoldRow:
    """What is held of one account for a call of its own or of an account below it."""

    call_id: str
    customer_id: int
    number: str
    at: datetime
    held_s: int
    held_units: int
    expires_at: datetime


async def holds_page(context: RequestContext, account_id: int, request: PageRequest) -> Page[HoldRow]:
    """A page of what is held of an account, by the start of the calls; batched with the pages of its siblings.

    Each hold has an amount for every level of its path, so this is all that is held of the account.
    """
    context.require_viewer()

    async def load_many(account_ids: Sequence[int]) -> dict[int, Page[HoldRow]]:
        async with context.services.db.read() as connection:
            return await pages_of_each(connection, account_ids, request, select_holds_of, HOLD_SORT_COLUMNS, _hold_row)

    page = await context.loaders.loader(("holds", request), load_many).load(account_id)
    return page if page is not None else page_of([], request, _hold_row)


def select_holds_of(owner_id: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    """The statement of all holds of one account, without the page's range and order."""
    top = aliased(Account, name="top")
    return (
        select(
            Hold.call_id,
            Hold.account_id.label("customer_id"),
            Hold.number,
            Hold.at,
            Hold.granted_s.label("held_s"),
            Hold.held_units[func.cardinality(top.path)].label("held_units"),
            Hold.expires_at,
        )
        .select_from(Hold)
        .join(top, within(Hold.path, top))
        .where(top.id == owner_id, Hold.expires_at.is_not(None))
    )


def _hold_row(row: Any) -> HoldRow:
    return HoldRow(*(row._mapping[name] for name in HoldRow.__slots__))
