"""Low balance: the event, the part of `Account` that shows its threshold, and `setLowBalanceNotice`."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated

import strawberry

from resolvers.low_balance import change_watch, low_balance_threshold, watch_low_balances
from resolvers.low_balance_feed import LowBalance
from schema.account_row import HasAccountRow, LazyAccount, load_account
from schema.errors import UserError
from schema.info import Info
from schema.mutation import errors_field, mutation
from schema.node import number_of
from schema.scalars import Money


@strawberry.type(description="The available credit of an account has fallen below the viewer's threshold.")
class LowBalanceNotice:
    available: Money = strawberry.field(description="What was available right after the change.")
    threshold: Money = strawberry.field(description="The threshold it fell below.")
    at: datetime = strawberry.field(description="When it fell.")
    account_id: strawberry.Private[int]

    @strawberry.field(description="The account.")
    async def account(self, info: Info) -> LazyAccount:
        account = await load_account(info.context, self.account_id)
        assert account is not None, "only notices of visible accounts are told"
        return account

    @classmethod
    def of(cls, notice: LowBalance) -> "LowBalanceNotice":
        return cls(
            account_id=notice.account_id,
            available=Money(notice.available_units),
            threshold=Money(notice.threshold_units),
            at=notice.at,
        )


@strawberry.type
class AccountLowBalance(HasAccountRow):
    @strawberry.field(
        description="Below this much available credit the viewer is given notice, as it has asked for; null: it is not."
    )
    async def low_balance_threshold(self, info: Info) -> Money | None:
        threshold = await low_balance_threshold(info.context, self.row.id)
        return None if threshold is None else Money(threshold)


@strawberry.input(description="When to give the viewer notice of a low balance, and where to.")
class SetLowBalanceNoticeInput:
    account_id: strawberry.ID = strawberry.field(description="The viewer's own account, or one of its customers.")
    threshold: Money | None = strawberry.field(
        default=None, description="Give notice when less than this is available; null ends it."
    )
    webhook_url: str | None = strawberry.field(
        default=None, description="Where each notice is posted to as JSON, signed, and again until it is taken."
    )


@strawberry.type(description="Payload of `setLowBalanceNotice`.")
class SetLowBalanceNoticePayload:
    account: LazyAccount | None = strawberry.field(default=None, description="The account as it is now.")
    webhook_secret: str | None = strawberry.field(
        default=None,
        description="Signs what is posted: the header `Tollpath-Signature: t=SECONDS,v1=HEX` carries the HMAC-SHA-256 "
        "of `SECONDS.BODY` under this secret. It stays as long as the URL does.",
    )
    errors: list[UserError] = errors_field()


@strawberry.type
class LowBalanceMutations:
    @mutation(
        description="Watch an account for oneself: one notice when its available credit falls below the threshold, and "
        "the next only after it has been above it again. What others watch it for stays."
    )
    async def set_low_balance_notice(
        self, info: Info, input: Annotated[SetLowBalanceNoticeInput, strawberry.argument(description="The watch.")]
    ) -> SetLowBalanceNoticePayload:
        account_id = number_of("Account", input.account_id)
        secret = await change_watch(info.context, account_id, input.threshold, input.webhook_url)
        return SetLowBalanceNoticePayload(account=await load_account(info.context, account_id), webhook_secret=secret)


@strawberry.type
class LowBalanceSubscriptions:
    @strawberry.subscription(
        description="The notices that the viewer has asked for, as they are given, each once. What fell while the "
        "server could not listen is told when it can again, where it is still below."
    )
    async def balance_low(self, info: Info) -> AsyncGenerator[LowBalanceNotice, None]:
        async with watch_low_balances(info.context) as watcher:
            async for notice in watcher:
                yield LowBalanceNotice.of(notice)
