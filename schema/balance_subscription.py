"""`balanceChanged`: balances as they change."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, cast

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


async def _account(state: strawberry.Parent[BalanceState]) -> LazyAccount:
    from schema.account import Account

    return Account.of(await state.account_row())


# Nobody makes one: a `BalanceState` has all of its attributes, and making something of each event would cost as much
# as writing it does.
@strawberry.type(description="How an account stands after a change of its balance, held amount or credit limit.")
class BalanceChange:
    balance_units: Money = strawberry.field(name="balance", description="Its balance.")
    held_units: Money = strawberry.field(name="held", description="What is held of it for running calls.")
    available_units: Money | None = strawberry.field(
        name="available",
        description="Balance + credit limit - held: what new calls can cost. Null where credit is unlimited.",
    )
    version: BigInt = strawberry.field(
        description="The account's version. Of one account it grows from event to event."
    )
    cause: BalanceCause = strawberry.field(  # type: ignore[valid-type]
        description="The newest change known; where several came together, the amounts show them all."
    )
    at: datetime = strawberry.field(description="When the account stood like this, right after the change.")

    account: LazyAccount = strawberry.field(
        resolver=_account,
        description="The account as it is when the event is told: it may have changed once more since `at`.",
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
        watching = watch_balances(info.context, wanted, include_descendants=include_descendants, tell=info.context.tell)
        async with watching as watcher:
            async for state in watcher:
                yield cast("BalanceChange", state)
