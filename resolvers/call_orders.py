"""From a switch's requests to orders and back: whose call it is, whether the viewer may, one answer a request."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from billing.errors import InvalidCall, NotFound, Refusal
from billing.orders import Answer, Order
from resolvers.access import AccountPath, Viewer, may_see
from resolvers.context import RequestContext
from resolvers.request_errors import BadUserInput

CALLS_MAX = 1000


class NamesAccount(Protocol):
    """A request that says whose call it is: by id or by full username."""

    @property
    def account_id(self) -> int | None: ...
    @property
    def username(self) -> str | None: ...


Request = TypeVar("Request")
Named = TypeVar("Named", bound=NamesAccount)


def require_few(requests: Sequence[object]) -> None:
    """Raises: BadUserInput: more than 1,000 requests."""
    if len(requests) > CALLS_MAX:
        raise BadUserInput(f"A request carries at most {CALLS_MAX} calls, not {len(requests)}.")


async def submit(
    context: RequestContext, requests: Sequence[Request], order_of: Callable[[Request], Order]
) -> list[Answer]:
    """Make an order of each request and carry them out in their sequence, in one batch with whatever else waits.

    ``order_of`` raises a `Refusal` for a request that cannot be an order; it becomes that request's answer. Raises:
    BadUserInput: more than 1,000 requests.
    """
    require_few(requests)
    answers: list[Answer | None] = []
    orders: list[Order] = []
    for request in requests:
        try:
            orders.append(order_of(request))
            answers.append(None)
        except Refusal as refusal:
            answers.append(refusal)
    submitted = iter(await context.services.charging.submit(orders))
    return [next(submitted) if answer is None else answer for answer in answers]


async def paths_of(
    context: RequestContext, viewer: Viewer, requests: Sequence[Named]
) -> Callable[[Named], AccountPath]:
    """A function that answers the path of a request's account. It raises InvalidCall or NotFound."""
    directory = context.services.directory
    by_id = await directory.by_id(request.account_id for request in requests if request.account_id is not None)
    by_username = await directory.by_username(
        request.username for request in requests if request.username is not None and request.account_id is None
    )

    def path_of(request: Named) -> AccountPath:
        if request.account_id is not None:
            if request.username is not None:
                raise InvalidCall("Give accountId or username, not both.", path=("accountId",))
            account = by_id.get(request.account_id)
        elif request.username is not None:
            account = by_username.get(request.username)
        else:
            raise InvalidCall("Say whose call it is: give accountId or username.", path=("accountId",))
        if account is None or not may_see(viewer, account.path):
            raise NotFound("There is no such account.", path=("accountId",))
        return account.path

    return path_of
