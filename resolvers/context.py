"""What a request carries: the process's services, the viewer and the request's loaders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from billing.tokens import Scope
from resolvers.access import Viewer, require_viewer
from resolvers.loader import Loaders

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from billing.batcher import Batcher
    from billing.passwords import Passwords
    from billing.price_book import PriceBook
    from models.database import Database
    from resolvers.account_directory import AccountDirectory
    from resolvers.balance_feed import BalanceFeed
    from resolvers.low_balance_feed import LowBalanceFeed
    from resolvers.sign_in_throttle import SignInThrottle
    from resolvers.viewers import RememberedViewer


@dataclass(frozen=True, slots=True, kw_only=True)
class SipRules:
    """How telephones connect. ``codecs``: the preferred one first. ``softphones``: (name, address) of each."""

    domain: str
    port: int = 5060
    transport: str = "UDP"
    codecs: tuple[str, ...] = ()
    softphones: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The installation's settings that resolvers and rules need. The server fills it from its own settings.

    Times are whole seconds, costs nodes (see `schema.query_cost`). ``sip`` is None where no telephones connect here.
    """

    currency: str = "EUR"
    password_length_min: int = 4
    session_ttl_s: int = 30 * 24 * 3600
    call_duration_max_s: int = 4 * 3600
    hold_slice_s: int = 60
    hold_ttl_s: int = 120
    query_cost_max: int = 25_000
    sip: SipRules | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Built once per process by the server, shared by every request."""

    db: Database
    rules: Rules
    passwords: Passwords
    sign_in_throttle: SignInThrottle
    charging: Batcher
    feed: BalanceFeed
    low_balance_feed: LowBalanceFeed
    price_book: PriceBook
    directory: AccountDirectory


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """Strawberry's context: one per operation, also on a socket that carries many (the loaders remember).

    ``viewer`` is None where no good token was sent, and before `identify` where it is only ``remembered``. `login` and
    `logout` set it for the rest of their own request.
    ``client_address`` is where the request came from, empty where that is not known.
    ``push_event`` sends the text of an event at once, where the connection can; ``tell`` makes that text of an event
    first. Both answer False where the event has to wait its turn in the stream, and are None where all have to.
    """

    services: Services
    viewer: Viewer | None = None
    remembered: RememberedViewer | None = None
    request_id: str = ""
    client_address: str = ""
    loaders: Loaders = field(default_factory=Loaders)
    push_event: Callable[[str], bool] | None = None
    tell: Callable[[Any], bool] | None = None

    async def identify(self) -> None:
        """Look the viewer up, where that has been put off. Raises: a database outage."""
        if self.remembered is not None:
            remembered, self.remembered = self.remembered, None
            self.viewer = await remembered.confirm()

    def require_viewer(self, scope: Scope | None = Scope.READ) -> Viewer:
        """The signed-in viewer whose token carries ``scope``. Raises: Unauthenticated, Forbidden.

        None asks for no scope: for fields of what a mutation answers, which a token without READ may see. Lists ask
        for READ, so that such a token cannot walk the tree from there.
        """
        return require_viewer(self.viewer, scope)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """`Database.transaction`; afterwards the request forgets what it had loaded, which may have changed."""
        try:
            async with self.services.db.transaction() as tx:
                yield tx
        finally:
            self.loaders.forget()
