"""Refunding and rerating below the API, for tests; and what is kept of it."""

from datetime import datetime, timedelta
from typing import Any

from billing.charge_order import Booked, Outcome
from billing.errors import Refusal
from billing.money import format_money
from billing.price_book import PriceBook
from billing.refunds import refund_call
from billing.rerated_call import Finding
from billing.rerating import RerateScope, rerate_step
from resolvers.rerating import RerateReport
from tests.charging_world import NOON, ChargingWorld, Member

DAY = timedelta(days=1)


async def outcome_of_refund(world: ChargingWorld, call_id: str, reason: str = "a bad line") -> Outcome:
    """What a refund by the operator came to."""
    async with world.db.charging_connection() as connection:
        return await refund_call(connection, call_id=call_id, reason=reason, author_id=world.operator.id)


async def refunded(world: ChargingWorld, call_id: str, reason: str = "a bad line") -> Booked:
    """A refund that is not refused."""
    outcome = await outcome_of_refund(world, call_id, reason)
    assert isinstance(outcome, Booked), outcome
    return outcome


async def refusal_of_refund(world: ChargingWorld, call_id: str, reason: str = "a bad line") -> Refusal:
    """The refusal of a refund; nothing in the books has changed."""
    before = await books(world)
    outcome = await outcome_of_refund(world, call_id, reason)
    assert isinstance(outcome, Refusal), outcome
    assert await books(world) == before
    return outcome


async def rerated(
    world: ChargingWorld,
    *,
    since: datetime = NOON - DAY,
    until: datetime = NOON + DAY,
    account: Member | None = None,
    dry_run: bool = False,
    steps_max: int | None = None,
    price_book: PriceBook | None = None,
    **scope: Any,
) -> RerateReport:
    """Rerate by the operator, all steps or the first few."""
    wanted = RerateScope(since, until, (account or world.operator).id, **scope)
    price_book = price_book or PriceBook()
    report, after, steps = RerateReport(), None, 0
    while steps_max is None or steps < steps_max:
        author_id = None if dry_run else world.operator.id
        step = await rerate_step(world.db, price_book, wanted, after, author_id=author_id)
        report.add(step)
        after, steps = step.after, steps + 1
        if after is None:
            break
    return report


def counts(report: RerateReport) -> dict[str, int]:
    """How often each finding was made, where it was."""
    return {finding.value: report.found[finding] for finding in Finding if report.found[finding]}


def totals(report: RerateReport) -> list[tuple[int, str, str]]:
    """(depth, charged more, given back)."""
    return [
        (depth, format_money(total.charged_units), format_money(total.given_back_units))
        for depth, total in sorted(report.totals.items())
    ]


async def charges(world: ChargingWorld, call_id: str) -> list[tuple[str, str | None, int]]:
    """(amount, price per minute in whole units of 0.00000001, billed seconds) of each level, operator first."""
    rows = await world.select(
        "SELECT charges.amount_units, charges.price_per_minute_e8, charges.billed_s FROM call_keys "
        "JOIN charges ON charges.started_at = call_keys.started_at AND charges.call_no = call_keys.call_no "
        "WHERE call_id = :call_id ORDER BY charges.account_id",
        call_id=call_id,
    )
    return [(format_money(units), price, billed_s) for units, price, billed_s in rows]


async def adjustments(world: ChargingWorld, member: Member) -> list[tuple[str, str, str]]:
    """(kind, amount, amount after) of what changed about one level's charges."""
    rows = await world.select(
        "SELECT kind, amount_units, amount_after_units FROM call_adjustments WHERE account_id = :id ORDER BY id",
        id=member.id,
    )
    return [(kind, format_money(amount), format_money(after)) for kind, amount, after in rows]


async def refunds_of_usage(world: ChargingWorld, member: Member) -> list[tuple[str, str, str]]:
    """(day, charged, refunded) of an account."""
    rows = await world.select(
        "SELECT CAST(day AS text), CAST(sum(charged_units) AS bigint), CAST(sum(refunded_units) AS bigint) "
        "FROM usage_parts WHERE account_id = :id GROUP BY day ORDER BY day",
        id=member.id,
    )
    return [(day, format_money(charged), format_money(refunded)) for day, charged, refunded in rows]


async def books(world: ChargingWorld) -> dict[str, list[Any]]:
    """Every row of the books, the record of changes included."""
    rows = await world.select("SELECT t::text FROM call_adjustments AS t")
    return {**await world.books(), "call_adjustments": sorted(rows)}
