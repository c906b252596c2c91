"""The billing resolver: charges calls of accounts that the viewer may see, along their whole paths."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, cast

from billing.charge_order import Booked, ChargeOrder, ChargePolicy, Outcome, parse_order, parse_orders
from billing.columns import columns_of
from billing.errors import Refusal
from resolvers.access import AccountPath, Viewer
from resolvers.call_orders import paths_of, require_few, submit
from resolvers.context import RequestContext


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
    require_few(requests)
    path_of = await paths_of(context, viewer, requests)
    now = datetime.now(UTC)
    orders = _orders_together(requests, path_of, policy, now, viewer.account_id) if len(requests) > 1 else None
    if orders is not None:
        return await context.services.charging.charge(orders)

    def order_of(request: CallRequest) -> ChargeOrder:
        return parse_order(
            call_id=request.call_id,
            path=path_of(request),
            number=request.number,
            caller_number=request.caller_number,
            started_at=request.started_at,
            duration_s=request.duration_s,
            policy=policy,
            now=now,
            reporter_id=viewer.account_id,
        )

    return cast("list[Outcome]", await submit(context, requests, order_of))


def _orders_together(
    requests: Sequence[CallRequest],
    path_of: Callable[[CallRequest], AccountPath],
    policy: ChargePolicy,
    now: datetime,
    reporter_id: int,
) -> list[ChargeOrder] | None:
    """The orders of many requests; None where one of them may be refused, so that each has to be looked at."""
    try:
        paths = [path_of(request) for request in requests]
    except Refusal:
        return None
    given = columns_of(requests)
    return parse_orders(
        call_ids=given.call_id,
        paths=paths,
        numbers=given.number,
        caller_numbers=given.caller_number,
        started_at=given.started_at,
        durations_s=given.duration_s,
        policy=policy,
        now=now,
        reporter_id=reporter_id,
    )


async def charge_call(context: RequestContext, viewer: Viewer, request: CallRequest, policy: ChargePolicy) -> Booked:
    """Charge one call. Raises: the `Refusal` that kept it from being charged."""
    (outcome,) = await charge_calls(context, viewer, [request], policy)
    if isinstance(outcome, Refusal):
        if outcome.path:
            outcome.path = ("call", *outcome.path)
        raise outcome
    return outcome
