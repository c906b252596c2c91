"""`rerateCalls`, and what it answers."""

from datetime import datetime

import strawberry

from billing.call_adjustments import Adjustment
from billing.rerated_call import Finding
from resolvers.rerating import RerateReport, rerate_calls
from schema.account_row import LazyAccount, load_account
from schema.calls import Call
from schema.errors import UserError
from schema.info import Info
from schema.mutation import Input, errors_field, mutation
from schema.node import number_of
from schema.scalars import Money, Price


@strawberry.input(description="Which calls to rate anew.")
class RerateCallsInput:
    since: datetime = strawberry.field(description="Calls that began then or later.")
    until: datetime = strawberry.field(description="Calls that began before then.")
    prefix: str | None = strawberry.field(default=None, description="Only calls to numbers that begin like this.")
    account_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only calls of this account and of everything below it."
    )
    dry_run: bool = strawberry.field(
        default=True, description="Say what would change, and change nothing. Look at this first."
    )
    unrated_only: bool = strawberry.field(
        default=False, description="Only give unrated calls their price; leave charged ones alone."
    )
    after: str | None = strawberry.field(
        default=None, description="The `nextCursor` of an earlier request about the same calls: go on from there."
    )


@strawberry.type(description="What the accounts of one depth pay otherwise, summed over the calls.")
class RerateTotal:
    depth: int = strawberry.field(description="How many levels below the operator, who is at 0.")
    charged: Money = strawberry.field(description="What they are charged more.")
    given_back: Money = strawberry.field(description="What they are given back.")


@strawberry.type(description="What one level of the path pays for a rerated call.")
class RerateLevel:
    account_id: strawberry.Private[int]
    amount_before: Money = strawberry.field(description="What it paid.")
    amount_after: Money = strawberry.field(description="What it pays now, or, in a dry run, would pay.")
    price_per_minute_before: Price | None = strawberry.field(
        description="Its price per minute until now; null where the call had none."
    )
    price_per_minute_after: Price | None = strawberry.field(description="Its price per minute by the rates of now.")

    @strawberry.field(description="The level: an account from the operator down to the caller.")
    async def account(self, info: Info) -> LazyAccount:
        account = await load_account(info.context, self.account_id)
        assert account is not None, "the operator sees every level"
        return account


@strawberry.type(description="A call that is charged otherwise.")
class RerateChange:
    call: Call = strawberry.field(description="The call; in a dry run as it still is.")
    levels: list[RerateLevel] = strawberry.field(description="What each level pays, top down.")

    @classmethod
    def of(cls, adjustment: Adjustment, *, dry_run: bool) -> "RerateChange":
        before, after = adjustment
        levels = zip(before.path, before.amounts, after.amounts, before.prices_e8, after.prices_e8, strict=True)
        return cls(
            call=Call.of((before if dry_run else after).call),
            levels=[
                RerateLevel(
                    account_id=account_id,
                    amount_before=Money(amount_before),
                    amount_after=Money(amount_after),
                    price_per_minute_before=None if price_before is None else Price(price_before),
                    price_per_minute_after=None if price_after is None else Price(price_after),
                )
                for account_id, amount_before, amount_after, price_before, price_after in levels
            ],
        )


@strawberry.type(description="Payload of `rerateCalls`. It counts the calls of this request alone.")
class RerateCallsPayload:
    dry_run: bool = strawberry.field(default=True, description="Whether nothing was changed.")
    looked_at: int = strawberry.field(
        default=0, description="How many calls were compared; refunded and never answered ones are passed over."
    )
    changed: int = strawberry.field(default=0, description="How many charged calls cost some level more or less.")
    newly_rated: int = strawberry.field(default=0, description="How many unrated calls have a price now.")
    still_unrated: int = strawberry.field(default=0, description="How many unrated calls have none.")
    without_rate: int = strawberry.field(
        default=0, description="How many charged calls have no rate any more. They are left as they are."
    )
    totals: list[RerateTotal] = strawberry.field(
        default_factory=list, description="What changes on each depth of the tree where anything does, top down."
    )
    sample: list[RerateChange] = strawberry.field(
        default_factory=list, description="The first 20 calls that change, by their start."
    )
    has_more: bool = strawberry.field(default=False, description="Whether calls are left for another request.")
    next_cursor: str | None = strawberry.field(default=None, description="Where that one goes on, for `after`.")
    errors: list[UserError] = errors_field()

    @classmethod
    def of(cls, report: RerateReport, *, dry_run: bool) -> "RerateCallsPayload":
        return cls(
            dry_run=dry_run,
            looked_at=report.found.total(),
            changed=report.found[Finding.CHANGED],
            newly_rated=report.found[Finding.NEWLY_RATED],
            still_unrated=report.found[Finding.STILL_UNRATED],
            without_rate=report.found[Finding.WITHOUT_RATE],
            totals=[
                RerateTotal(depth=depth, charged=Money(total.charged_units), given_back=Money(total.given_back_units))
                for depth, total in sorted(report.totals.items())
            ],
            sample=[RerateChange.of(adjustment, dry_run=dry_run) for adjustment in report.sample],
            has_more=report.next_cursor is not None,
            next_cursor=report.next_cursor,
        )


@strawberry.type
class RerateMutations:
    @mutation(
        description="Rate booked calls anew, after a rate was mended: charge the difference, or give it back, on "
        "every level of the path; unrated calls get their price. The operator alone may. A call is rated by its start "
        "with the rates as they stand now, and with the rate lists that are selected now, since former selections are "
        "not kept: a customer that has changed its list since is rerated by the new one. Charged below zero if need "
        "be. A request looks at some 5,000 calls, in steps that are each kept at once; while `hasMore`, send it again "
        "with `after`. Sent twice it changes nothing the second time."
    )
    async def rerate_calls(self, info: Info, input: Input[RerateCallsInput]) -> RerateCallsPayload:
        viewer = info.context.require_viewer(None)
        report = await rerate_calls(
            info.context,
            since=input.since,
            until=input.until,
            prefix=input.prefix,
            account_id=viewer.account_id if input.account_id is None else number_of("Account", input.account_id),
            unrated_only=input.unrated_only,
            dry_run=input.dry_run,
            after=input.after,
        )
        return RerateCallsPayload.of(report, dry_run=input.dry_run)
