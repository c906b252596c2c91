"""The charging engine below the API: what each level pays and what is refused, in exact figures."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from billing import call_store
from billing.errors import ErrorCode
from models.database import Database
from tests.charging_tree import Tree, charging_tree
from tests.charging_world import ALWAYS_CHARGE, call, rate

MORNING = datetime(2026, 1, 31, 0, 0, tzinfo=UTC)


@pytest.fixture
async def tree(db: Database) -> AsyncIterator[Tree]:
    async with charging_tree(db) as tree:
        yield tree


async def test_each_ancestor_is_charged_at_its_own_rate(tree: Tree) -> None:
    ((booked, duplicate),) = await tree.world.booked(call(tree.keytyh, "c1", duration_s=91))
    assert not duplicate
    assert (booked.prefix, booked.duration_s, booked.billed_s, booked.charged_units) == ("43", 91, 120, 21_000)
    # 0.03 * 91 / 60 = 0.0455; 0.06 * 91 / 60 = 0.091; 0.01 + 0.10 * 120 / 60.
    assert await tree.balances() == ["-0.04550", "99.90900", "9.79000"]
    rows = await tree.world.select(
        "SELECT account_id, customer_id, amount_units, price_per_minute_e8, billed_s FROM charges ORDER BY account_id"
    )
    assert rows == [
        (tree.world.operator.id, tree.keytyh.id, 4_550, 3_000_000, 91),
        (tree.good.id, tree.keytyh.id, 9_100, 6_000_000, 91),
        (tree.keytyh.id, tree.keytyh.id, 21_000, 10_000_000, 120),
    ]


async def test_many_calls_are_written_as_a_few_are(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    # By one way what is nothing for the other: no caller's number, a price of nothing, a text with quotes.
    await tree.world.set_base_rates(rate("43", "0.03"), rate("4390", "0"), rate("44", "0.01"))
    numbers = ["431", "43901", "44123"]

    async def booked(prefix: str) -> list[tuple[object, ...]]:
        await tree.world.booked(
            *(
                call(tree.good, f"{prefix}{n}", number=number, duration_s=n, caller_number="+Ö'\\ \"x" if n else None)
                for n, number in enumerate(numbers)
            )
        )
        return await tree.world.select(
            "SELECT right(calls.call_id, 1), calls.account_id, calls.started_at, number, caller_number, prefix, "
            "destination, duration_s, calls.billed_s, charged_units, status, unrated_reason, overdrawn, "
            "calls.call_no = call_keys.call_no, calls.account_id = call_keys.account_id, "
            "calls.started_at = call_keys.started_at FROM calls JOIN call_keys USING (call_id) "
            "WHERE calls.call_id LIKE :prefix ORDER BY calls.call_id",
            prefix=f"{prefix}%",
        )

    few = await booked("few")
    monkeypatch.setattr(call_store, "FEW_CALLS", 2)
    assert await booked("many") == few
    assert len(few) == 3
    assert few[2][3:] == ("44123", "+Ö'\\ \"x", "44", None, 2, 2, 33, "CHARGED", None, False, True, True, True)


async def test_a_reseller_s_own_call_leaves_its_customers_alone(tree: Tree) -> None:
    await tree.world.booked(call(tree.good, "c1"))
    assert await tree.balances() == ["-0.03000", "99.94000", "10.00000"]


async def test_the_operator_goes_below_zero_without_limit(tree: Tree) -> None:
    await tree.world.set_base_rates(rate("43", "900000"))
    await tree.world.booked(call(tree.keytyh, "c1", started_at=datetime.now(UTC) + timedelta(hours=1)))
    assert await tree.balances() == ["-900000.00000", "99.94000", "9.89000"]


async def test_each_account_s_version_grows_by_one_with_a_batch_that_changes_it(tree: Tree) -> None:
    before = await tree.states()
    await tree.world.booked(call(tree.keytyh, "c1"), call(tree.keytyh, "c2"), call(tree.good, "c3"))
    assert [(after.version - before.version) for after, before in zip(await tree.states(), before, strict=True)] == [
        *(1, 1, 1)
    ]


async def test_a_call_of_0_s_costs_nothing_fee_included(tree: Tree) -> None:
    before = await tree.states()
    ((booked, _),) = await tree.world.booked(call(tree.keytyh, "c1", duration_s=0))
    assert (booked.status, booked.billed_s, booked.charged_units) == ("CHARGED", 0, 0)
    assert await tree.states() == before
    assert await tree.usage(tree.keytyh) == [("2026-01-31", 1, 0, 0)]


async def test_a_free_destination_is_called_without_credit(tree: Tree) -> None:
    poor = await tree.world.customer("poor", of=tree.world.operator)
    ((booked, _),) = await tree.world.booked(call(poor, "c1", number="43901"))
    assert (booked.status, booked.charged_units, booked.overdrawn) == ("CHARGED", 0, False)
    assert await tree.world.balances(poor) == ["0.00000"]


async def test_a_call_that_an_ancestor_cannot_pay_charges_nobody(tree: Tree) -> None:
    await tree.world.credit(tree.good, "-99.95")
    refusal = await tree.world.refused(call(tree.keytyh, "c1"))
    assert (refusal.code, refusal.account_id) == (ErrorCode.INSUFFICIENT_CREDIT, tree.good.id)


async def test_what_is_available_to_the_last_unit_is_enough_and_one_unit_less_is_not(tree: Tree) -> None:
    await tree.world.credit(tree.keytyh, "-9.89001")
    refusal = await tree.world.refused(call(tree.keytyh, "c1"))
    assert (refusal.code, refusal.account_id) == (ErrorCode.INSUFFICIENT_CREDIT, tree.keytyh.id)
    await tree.world.credit(tree.keytyh, "0.00001")
    await tree.world.booked(call(tree.keytyh, "c1"))
    assert (await tree.world.state(tree.keytyh)).balance == "0.00000"


async def test_a_credit_limit_lets_an_account_go_below_zero_as_far_as_it_reaches(tree: Tree) -> None:
    limited = await tree.world.customer("limited", of=tree.world.operator, credit_limit_units=3_000)
    await tree.world.booked(call(limited, "c1"))
    assert await tree.world.balances(limited) == ["-0.03000"]
    assert (await tree.world.refused(call(limited, "c2"))).code == ErrorCode.INSUFFICIENT_CREDIT


@pytest.mark.parametrize("blocked", ["op", "good*op", "keytyh*good"])
async def test_a_block_anywhere_on_the_path_refuses_new_calls(tree: Tree, blocked: str) -> None:
    await tree.world.execute(
        "UPDATE account_state SET blocked = true FROM accounts WHERE account_id = id AND username = :name", name=blocked
    )
    refusal = await tree.world.refused(call(tree.keytyh, "c1"))
    assert refusal.code == ErrorCode.ACCOUNT_BLOCKED
    # It was carried already: it is charged, block or no block.
    ((booked, _),) = await tree.world.booked(call(tree.keytyh, "c1", policy=ALWAYS_CHARGE))
    assert (booked.status, booked.overdrawn) == ("CHARGED", False)


@pytest.mark.parametrize("number", ["861234", "43911"], ids=["no prefix", "blocked destination"])
async def test_a_number_without_a_usable_rate_is_refused(tree: Tree, number: str) -> None:
    assert (await tree.world.refused(call(tree.good, "c1", number=number))).code == ErrorCode.NO_RATE


async def test_a_block_is_said_before_a_missing_rate_and_that_before_missing_credit(tree: Tree) -> None:
    poor = await tree.world.customer("poor", of=tree.world.operator)
    assert (await tree.world.refused(call(poor, "c1"))).code == ErrorCode.INSUFFICIENT_CREDIT
    assert (await tree.world.refused(call(poor, "c1", number="86"))).code == ErrorCode.NO_RATE
    await tree.world.execute("UPDATE account_state SET blocked = true WHERE account_id = :id", id=poor.id)
    assert (await tree.world.refused(call(poor, "c1", number="86"))).code == ErrorCode.ACCOUNT_BLOCKED


async def test_a_call_that_was_carried_is_charged_below_zero_and_flagged_overdrawn(tree: Tree) -> None:
    await tree.world.credit(tree.keytyh, "-9.95")
    ((booked, _),) = await tree.world.booked(call(tree.keytyh, "c1", policy=ALWAYS_CHARGE))
    assert (booked.status, booked.overdrawn, booked.charged_units) == ("CHARGED", True, 11_000)
    assert await tree.balances() == ["-0.03000", "99.94000", "-0.06000"]


async def test_a_carried_call_without_a_rate_is_kept_unrated_and_charges_nobody(tree: Tree) -> None:
    before = await tree.states()
    ((booked, _),) = await tree.world.booked(call(tree.keytyh, "c1", number="861234", policy=ALWAYS_CHARGE))
    assert (booked.status, booked.charged_units, booked.billed_s, booked.prefix) == ("UNRATED", 0, 0, None)
    assert booked.unrated_reason is not None
    assert "861234" in booked.unrated_reason
    assert await tree.states() == before
    assert await tree.world.select("SELECT amount_units, price_per_minute_e8 FROM charges") == [(0, None)] * 3
    assert await tree.usage(tree.good) == [("2026-01-31", 1, 60, 0)]


async def test_usage_is_counted_on_the_utc_day_of_the_call_s_start_on_every_level(tree: Tree) -> None:
    await tree.world.booked(
        call(tree.keytyh, "c1", started_at=MORNING),
        call(tree.keytyh, "c2", started_at=MORNING - timedelta(microseconds=1), duration_s=61),
        call(tree.keytyh, "c3", started_at=datetime.fromisoformat("2026-02-01T00:30:00+01:00")),
    )
    assert await tree.usage(tree.keytyh) == [("2026-01-30", 1, 61, 16_000), ("2026-01-31", 2, 120, 22_000)]
    assert await tree.usage(tree.world.operator) == [("2026-01-30", 1, 61, 3_050), ("2026-01-31", 2, 120, 6_000)]
