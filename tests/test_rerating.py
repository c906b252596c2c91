"""Rerating: after a rate was mended every level pays what it should have paid, once, whatever happens meanwhile."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import text

from billing.hold_order import AuthorizeOrder, SettleOrder
from billing.price_book import PriceBook
from billing.rerating import RerateScope, count_calls, rerate_step
from models.database import Database
from resolvers.audit import audit
from tests.adjusting import (
    DAY,
    adjustments,
    books,
    charges,
    counts,
    refunded,
    refunds_of_usage,
    rerated,
    totals,
)
from tests.charging_tree import Tree, charging_tree
from tests.charging_world import ALWAYS_CHARGE, NOON, ChargingWorld, Member, call, charging_world, rate

MENDED = NOON - DAY


@pytest.fixture
async def tree(db: Database) -> AsyncIterator[Tree]:
    async with charging_tree(db) as tree:
        yield tree


async def mend(tree: Tree, per_minute: str) -> None:
    """The operator's price for 43 was another one since yesterday. The levels below have prices of their own."""
    await tree.world.set_base_rates(rate("43", per_minute, effective_from=MENDED))


async def test_a_price_mended_upward_charges_the_difference_on_the_level_that_pays_it(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "one"), call(tree.keytyh, "two", duration_s=100))
    assert await tree.balances() == ["-0.08000", "99.84000", "9.68000"]
    await mend(tree, "0.045")

    report = await rerated(world)

    assert counts(report) == {"CHANGED": 2}
    assert totals(report) == [(0, "0.04000", "0.00000"), (1, "0.00000", "0.00000"), (2, "0.00000", "0.00000")]
    assert await tree.balances() == ["-0.12000", "99.84000", "9.68000"]
    assert await charges(world, "two") == [
        ("0.07500", 4_500_000, 100),
        ("0.10000", 6_000_000, 100),
        ("0.21000", 10_000_000, 120),
    ]
    assert await adjustments(world, world.operator) == [
        ("RERATE", "0.01500", "0.04500"),
        ("RERATE", "0.02500", "0.07500"),
    ]
    assert await adjustments(world, tree.good) == []
    assert await refunds_of_usage(world, world.operator) == [("2026-01-31", "0.12000", "0.00000")]


async def test_prices_mended_downward_give_back_along_the_path_each_level_its_own_difference(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "one", duration_s=61))
    ((wholesale,), (retail,)) = await world.select(
        "SELECT id FROM rate_lists WHERE name IN ('wholesale', 'retail') ORDER BY id"
    )
    before = await tree.states()
    assert [state.balance for state in before] == ["-0.03050", "99.93900", "9.84000"]
    async with world.db.transaction() as tx:
        for rate_list_id, price, increment_s in ((wholesale, 5_000_000, 1), (retail, 8_000_000, 1)):
            await tx.execute(
                text(
                    "UPDATE rates SET price_per_minute_e8 = :price, connection_fee_e8 = 0, first_increment_s = :s, "
                    "next_increment_s = :s, epoch = 1 + (SELECT epoch FROM pricing_epoch) WHERE rate_list_id = :id"
                ),
                {"price": price, "s": increment_s, "id": rate_list_id},
            )
        await tx.execute(text("UPDATE pricing_epoch SET epoch = epoch + 1"))

    report = await rerated(world)

    assert totals(report) == [(0, "0.00000", "0.00000"), (1, "0.00000", "0.01017"), (2, "0.00000", "0.07867")]
    after = await tree.states()
    assert [state.balance for state in after] == ["-0.03050", "99.94917", "9.91867"]
    assert [new.version - old.version for old, new in zip(before, after, strict=True)] == [0, 1, 1]
    assert await charges(world, "one") == [
        ("0.03050", 3_000_000, 61),
        ("0.05083", 5_000_000, 61),
        ("0.08133", 8_000_000, 61),
    ]
    assert await world.select("SELECT charged_units, billed_s, status FROM calls") == [(8133, 61, "CHARGED")]
    # A correction is no refund: what is charged is less, nothing counts as given back.
    assert await refunds_of_usage(world, tree.keytyh) == [("2026-01-31", "0.08133", "0.00000")]


async def test_late_01_a_call_without_a_rate_is_charged_when_there_is_one(db: Database) -> None:
    # 3 s of an account with 10; the rate, 2 a second, comes later. In the source the call cost 6 and left 4.
    async with charging_world(db) as world:
        account = await world.customer("account", of=world.operator, credit="10")
        (first,) = await world.booked(call(account, "late", duration_s=3, policy=ALWAYS_CHARGE))
        assert (first.call.status, first.call.charged_units) == ("UNRATED", 0)
        assert (await world.state(account)).balance == "10.00000"
        await world.set_base_rates(rate("43", "120"))

        assert counts(await rerated(world)) == {"NEWLY_RATED": 1}

        assert (await world.state(account)).balance == "4.00000"
        assert await world.select("SELECT charged_units, status, prefix, unrated_reason FROM calls") == [
            (600_000, "CHARGED", "43", None)
        ]
        assert await adjustments(world, account) == [("RERATE", "6.00000", "6.00000")]
        assert counts(await rerated(world)) == {"RIGHT": 1}
        assert (await world.state(account)).balance == "4.00000"
        assert (await audit(db)).differences == ()


async def test_a_call_that_gets_its_price_is_charged_below_zero_and_marked_where_somebody_is_short(
    tree: Tree,
) -> None:
    world = tree.world
    await world.booked(
        *(call(tree.keytyh, f"call {n}", number="861", policy=ALWAYS_CHARGE, duration_s=600) for n in range(3))
    )
    await world.set_base_rates(rate("86", "0.4"))
    assert counts(await rerated(world, unrated_only=True)) == {"NEWLY_RATED": 3}
    # 4.00 each: 10.00 covers two of them.
    assert await tree.balances() == ["-12.00000", "88.00000", "-2.00000"]
    rows = await world.select("SELECT call_id, overdrawn FROM calls ORDER BY call_id")
    assert rows == [("call 0", False), ("call 1", False), ("call 2", True)]


async def test_what_has_no_rate_still_is_left_and_counted(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "unrated", number="861", policy=ALWAYS_CHARGE))
    before = await books(world)
    await world.set_base_rates(rate("8", "0.2", blocked=True))
    assert counts(await rerated(world)) == {"STILL_UNRATED": 1}
    assert await books(world) == before


async def test_a_charged_call_whose_rate_is_gone_stays_as_it_was(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "charged"))
    before = await books(world)
    await world.set_base_rates(rate("431", "0.03", blocked=True, effective_from=MENDED))
    assert counts(await rerated(world)) == {"WITHOUT_RATE": 1}
    assert await books(world) == before


async def test_a_dry_run_says_what_would_change_and_changes_nothing(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "one"), call(tree.keytyh, "two", number="861", policy=ALWAYS_CHARGE))
    await mend(tree, "0.05")
    await world.set_base_rates(rate("86", "0.2"))
    before = await books(world)

    planned = await rerated(world, dry_run=True)

    assert await books(world) == before
    done = await rerated(world)
    assert counts(planned) == counts(done) == {"CHANGED": 1, "NEWLY_RATED": 1}
    assert (
        totals(planned)
        == totals(done)
        == [
            (0, "0.22000", "0.00000"),
            (1, "0.20000", "0.00000"),
            (2, "0.20000", "0.00000"),
        ]
    )
    assert [(item.before.amounts, item.after.amounts) for item in planned.sample] == [
        (item.before.amounts, item.after.amounts) for item in done.sample
    ]


async def test_rerating_again_changes_nothing_more(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "one"))
    await mend(tree, "0.05")
    await rerated(tree.world)
    before = await books(tree.world)
    assert counts(await rerated(tree.world)) == {"RIGHT": 1}
    assert await books(tree.world) == before


async def test_a_price_that_comes_to_the_same_amount_changes_nothing(tree: Tree) -> None:
    await tree.world.booked(call(tree.keytyh, "silent", duration_s=0))
    await mend(tree, "0.05")
    before = await books(tree.world)
    assert counts(await rerated(tree.world)) == {"RIGHT": 1}
    assert await books(tree.world) == before


async def test_a_call_is_rated_by_its_start_also_when_it_is_rerated(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "before"), call(tree.keytyh, "after", started_at=NOON + timedelta(hours=2)))
    await world.set_base_rates(rate("43", "0.05", effective_from=NOON + timedelta(hours=1)))
    assert counts(await rerated(world)) == {"RIGHT": 1, "CHANGED": 1}
    assert (await charges(world, "before"))[0] == ("0.03000", 3_000_000, 60)
    assert (await charges(world, "after"))[0] == ("0.05000", 5_000_000, 60)


async def test_the_list_that_is_selected_now_counts(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "one"))
    await world.execute(
        "UPDATE account_state SET rate_list_id = (SELECT id FROM rate_lists WHERE name = '(Predefined) 50% List') "
        "WHERE account_id = :id",
        id=tree.keytyh.id,
    )
    await rerated(world)
    assert await charges(world, "one") == [
        ("0.03000", 3_000_000, 60),
        ("0.06000", 6_000_000, 60),
        ("0.03000", 3_000_000, 60),
    ]
    assert (await world.state(tree.keytyh)).balance == "9.97000"


async def test_refunded_and_released_calls_are_never_rerated(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "returned"))
    await refunded(world, "returned")
    await world.batcher.submit([AuthorizeOrder("released", tree.keytyh.path, "431234", None, NOON)])
    await world.batcher.submit([SettleOrder("released", 0, None, world.operator.id, released=True)])
    await mend(tree, "0.05")
    before = await books(world)
    assert counts(await rerated(world)) == {}
    assert await books(world) == before


@dataclass
class Wide:
    """Calls of two customers, at two times, to two countries, all at 0.10 on both levels."""

    world: ChargingWorld
    one: Member
    other: Member


@pytest.fixture
async def wide(db: Database) -> AsyncIterator[Wide]:
    async with charging_world(db) as world:
        await world.set_base_rates(rate("43", "0.1"), rate("44", "0.1"))
        one = await world.customer("one", of=world.operator, credit="1000")
        other = await world.customer("other", of=world.operator, credit="1000")
        for member in (one, other):
            await world.booked(
                *(
                    call(
                        member,
                        f"{member.username} {number} {hour}",
                        number=number,
                        started_at=NOON + timedelta(hours=hour),
                    )
                    for number in ("431", "441")
                    for hour in (0, 1)
                ),
                call(member, f"{member.username} unrated", number="861", policy=ALWAYS_CHARGE),
            )
        await world.set_base_rates(
            *(rate(prefix, "0.2", effective_from=MENDED) for prefix in ("43", "44")), rate("86", "0.2")
        )
        yield Wide(world, one, other)
        assert (await audit(db)).differences == ()


async def test_only_calls_of_the_span_account_and_prefix_are_rerated(wide: Wide) -> None:
    world = wide.world
    assert counts(await rerated(world, since=NOON + timedelta(minutes=1), prefix="43", account=wide.one)) == {
        "CHANGED": 1
    }
    assert await world.select("SELECT call_id FROM calls WHERE charged_units <> 10000 AND status = 'CHARGED'") == [
        ("one*op 431 1",)
    ]
    # The end is not part of the span, the start is.
    assert counts(await rerated(world, until=NOON, dry_run=True)) == {}
    assert counts(await rerated(world, since=NOON, until=NOON + timedelta(microseconds=1), dry_run=True)) == {
        "CHANGED": 4,
        "NEWLY_RATED": 2,
    }


async def test_unrated_calls_alone_may_get_their_price(wide: Wide) -> None:
    world = wide.world
    assert counts(await rerated(world, account=wide.other, unrated_only=True)) == {"NEWLY_RATED": 1}
    assert await world.balances(world.operator, wide.one, wide.other) == ["-1.00000", "999.60000", "999.40000"]
    assert counts(await rerated(world, unrated_only=True, prefix="43")) == {}
    assert counts(await rerated(world, unrated_only=True)) == {"NEWLY_RATED": 1}


async def test_what_is_to_be_passed_through_is_known_before(wide: Wide) -> None:
    world = wide.world
    for scope, expected in (
        (RerateScope(NOON, NOON + DAY, world.operator.id), 10),
        (RerateScope(NOON + timedelta(minutes=1), NOON + DAY, wide.one.id), 2),
        (RerateScope(NOON, NOON + DAY, wide.one.id, unrated_only=True), 2),
    ):
        step = await rerate_step(world.db, PriceBook(), scope, None, author_id=None)
        assert await count_calls(world.db, scope) == step.scanned == expected


async def test_a_refund_after_a_rerating_gives_back_what_is_paid_now(tree: Tree) -> None:
    world = tree.world
    await world.booked(call(tree.keytyh, "one"))
    await mend(tree, "0.05")
    await rerated(world)
    await refunded(world, "one")
    assert await tree.balances() == ["0.00000", "100.00000", "10.00000"]
    assert await adjustments(world, world.operator) == [
        ("RERATE", "0.02000", "0.05000"),
        ("REFUND", "-0.05000", "0.00000"),
    ]
    assert await refunds_of_usage(world, world.operator) == [("2026-01-31", "0.00000", "0.05000")]


async def test_what_was_rerated_costs_every_level_what_the_same_call_costs_if_it_is_reported_now(tree: Tree) -> None:
    world, chosen = tree.world, Random(20260131)
    discounted = await world.rate_list(tree.good, "less", "12.5", rate("4312", "0.07", "0.003", 30, 6))
    member = await world.customer("member", of=tree.good, rate_list_id=discounted)
    orders = [
        call(
            chosen.choice((tree.keytyh, member)),
            f"call {n}",
            number=chosen.choice(("431", "4312", "43123", "861", "8612")),
            duration_s=chosen.choice((0, 1, 59, 60, 61, chosen.randrange(3600))),
            started_at=NOON + timedelta(minutes=chosen.randrange(-2000, 1000)),
            policy=ALWAYS_CHARGE,
        )
        for n in range(120)
    ]
    await world.booked(*orders)
    await world.set_base_rates(
        rate("43", "0.04321", "0.00007", 6, 6, effective_from=MENDED),
        rate("43123", "0.5", effective_from=NOON),
        rate("86", "0.0123"),
    )
    report = await rerated(world, since=NOON - 3 * DAY, until=NOON + 3 * DAY)
    assert counts(report).keys() == {"RIGHT", "CHANGED", "NEWLY_RATED"}
    await world.booked(*(order._replace(call_id=f"now: {order.call_id}") for order in orders))
    for order in orders:
        assert await amounts(world, order.call_id) == await amounts(world, f"now: {order.call_id}"), order


async def amounts(world: ChargingWorld, call_id: str) -> list[str]:
    return [amount for amount, _, _ in await charges(world, call_id)]
