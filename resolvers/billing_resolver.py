"""The billing resolver: charges calls of accounts that the viewer may see, along their whole paths."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from billing.charge_order import Booked, ChargeOrder, ChargePolicy, Outcome, parse_order
from billing.errors import InvalidCall, NotFound, Refusal
from resolvers.access import Viewer, may_see
from resolvers.account_directory import AccountRef
from resolvers.context import RequestContext
from resolvers.request_errors import BadUserInput

CALLS_MAX = 1000


class CallRequest(NamedTuple):
    """A finished call as a switch reports it, of the account with this id or this full username."""

    call_id: str
    account_id: int | None
    username: str | None
    number: str
    caller_number: str | None
    started_at: datetime
    duration_s: int


async def charge_calls(
    context: RequestContext, viewer: Viewer, requests: Sequence[CallRequest], policy: ChargePolicy
) -> list[Outcome]:
    """Charge the calls in their sequence, each on its own; answers one outcome a request.

    Raises: BadUserInput: more than 1,000 calls.
    """
    if len(requests) > CALLS_MAX:
        raise BadUserInput(f"A request carries at most {CALLS_MAX} calls, not {len(requests)}.")
    directory = context.services.directory
    by_id = await directory.by_id(request.account_id for request in requests if request.account_id is not None)
    by_username = await directory.by_username(
        request.username for request in requests if request.username is not None and request.account_id is None
    )
    now = datetime.now(UTC)
    outcomes: list[Outcome | None] = []
    orders: list[ChargeOrder] = []
    for request in requests:
        try:
            account = _account(request, by_id, by_username)
            if account is None or not may_see(viewer, account.path):
                raise NotFound("There is no such account.", path=("accountId",))
            orders.append(
                parse_order(
                    call_id=request.call_id,
                    path=account.path,
                    number=request.number,
                    caller_number=request.caller_number,
                    started_at=request.started_at,
                    duration_s=request.duration_s,
                    policy=policy,
                    now=now,
                )
            )
            outcomes.append(None)
        except Refusal as refusal:
            outcomes.append(refusal)
    charged = iter(await context.services.charging.charge(orders))
    return [next(charged) if outcome is None else outcome for outcome in outcomes]


async def charge_call(context: RequestContext, viewer: Viewer, request: CallRequest, policy: ChargePolicy) -> Booked:
    """Charge one call. Raises: the `Refusal` that kept it from being charged."""
    (outcome,) = await charge_calls(context, viewer, [request], policy)
    if isinstance(outcome, Refusal):
        if outcome.path:
            outcome.path = ("call", *outcome.path)
        raise outcome
    return outcome


def _account(
    request: CallRequest, by_id: dict[int, AccountRef], by_username: dict[str, AccountRef]
) -> AccountRef | None:
    if request.account_id is not None:
        if request.username is not None:
            raise InvalidCall("Give accountId or username, not both.", path=("accountId",))
        return by_id.get(request.account_id)
    if request.username is None:
        raise InvalidCall("Say whose call it is: give accountId or username.", path=("accountId",))
    return by_username.get(request.username)
