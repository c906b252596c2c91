"""`balanceChanged`: balances as they change."""

from collections.abc import AsyncGenerator
from dataclasses import field
from datetime import datetime
from typing import Annotated, Any

import strawberry

from resolvers.balance_state import BalanceState, LiveCause
from resolvers.balance_watcher import SUBTREE_ACCOUNTS_MAX
from resolvers.live_balances import ACCOUNTS_MAX, watch_balances
from schema.account_row import LazyAccount
from schema.enums import graphql_enum
from schema.info import Info
from schema.node import number_of
from schema.scalars import BigInt, Money

BalanceCause = graphql_enum(
    LiveCause,
    name="BalanceCause",
    description="Why a balance is told.",
    values={
        "PRESENT": "How the account stands, by no particular change: its first state, and the first after an "
        "interruption, unless a change has overtaken it.",
        "CALL": "A call was charged, or charged differently.",
        "CREDIT": "A credit transaction was made.",
        "HOLD": "An amount was held for a running call, or freed.",
        "LIMIT": "The credit limit was set.",
        "REFUND": "The charges of a call were given back.",
    },
)


@strawberry.type(description="How an account stands after a change of its balance, held amount or credit limit.")
class BalanceChange:
    state: strawberry.Private[BalanceState]
    # What `schema.event_writer` has made of it, by who did.
    texts: strawberry.Private[dict[Any, str]] = field(default_factory=dict)
    balance: Money = strawberry.field(description="Its balance.")
    held: Money = strawberry.field(description="What is held of it for running calls.")
    available: Money | None = strawberry.field(
        description="Balance + credit limit - held: what new calls can cost. Null where credit is unlimited."
    )
    version: BigInt = strawberry.field(
        description="The account's version. Of one account it grows from event to event."
    )
    cause: BalanceCause = strawberry.field(  # type: ignore[valid-type]
        description="The newest change known; where several came together, the amounts show them all."
    )
    at: datetime = strawberry.field(description="When the account stood like this, right after the change.")

    @strawberry.field(description="The account.")
    async def account(self) -> LazyAccount:
        from schema.account import Account

        return Account.of(await self.state.account_row())

    @classmethod
    def of(cls, state: BalanceState) -> "BalanceChange":
        available = state.available_units
        return cls(
            state=state,
            balance=Money(state.balance_units),
            held=Money(state.held_units),
            available=None if available is None else Money(available),
            version=BigInt(state.version),
            cause=state.cause,
            at=state.at,
        )


@strawberry.type
class BalanceSubscriptions:
    @strawberry.subscription(
        description="The present state of each account first (its newest, with the cause of a change that came "
        "meanwhile), then every change. Whoever reads slowly gets fewer, "
        "newer states. It ends with UNAUTHENTICATED when the token is revoked or expires."
    )
    async def balance_changed(
        self,
        info: Info,
        account_ids: Annotated[
            list[strawberry.ID] | None,
            strawberry.argument(
                description=f"Accounts that the viewer may see, at most {ACCOUNTS_MAX}; its own when left out."
            ),
        ] = None,
        include_descendants: Annotated[
            bool,
            strawberry.argument(
                description="Also everything below these accounts, at any depth. An account created meanwhile is told "
                f"with its first change. Below more than {SUBTREE_ACCOUNTS_MAX:,} accounts, a slow reader or an "
                "interruption brings the whole subtree again, with versions that may have been told before."
            ),
        ] = False,
    ) -> AsyncGenerator[BalanceChange, None]:
        wanted = None if account_ids is None else [number_of("Account", account_id) for account_id in account_ids]
        tell_event = info.context.tell
        tell = None if tell_event is None else lambda state: tell_event(_shown(state))
        watching = watch_balances(info.context, wanted, include_descendants=include_descendants, tell=tell)
        async with watching as watcher:
            async for state in watcher:
                yield _shown(state)


def _shown(state: BalanceState) -> BalanceChange:
    """Made once for all who are told of the state."""
    if state.shown is None:
        state.shown = BalanceChange.of(state)
    shown: BalanceChange = state.shown
    return shown
