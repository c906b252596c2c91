"""Chains, late and repeated calls whose figures other systems, their manuals and their bug reports give.

Left out: the figures that need something we do not do.
    a call of -60 s, clamped to 0 (CGRateS)        a negative duration is refused: a clear error, no silent repair
    reverse-billed 3.999, price -110, price null   prices are never negative nor missing; the two calls of 10 are below
    (Yeti, one batch)
    "no loss calls" as a rule of the rating        a limit that a reseller sets; without it a loss is booked, below
    (MOR 218)
    rerating the call of an account made later     there is nothing to rerate: such a call is not kept, and is
    (CGRateS)                                      charged when it is reported again, below
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.batcher import Batcher
from billing.charge_order import parse_order
from billing.charging import ChargingEngine
from billing.errors import ErrorCode, InvalidCall, Refusal
from billing.hold_order import Authorization, AuthorizeOrder, HoldRules
from billing.price_book import PriceBook
from models.database import Database
from tests.charging_world import ALWAYS_CHARGE, NOON, ChargingWorld, Member, call, charging_world, rate
from tests.graphql_client import Api


@pytest.fixture
async def world(db: Database) -> AsyncIterator[ChargingWorld]:
    async with charging_world(db) as world:
        yield world


async def chain(world: ChargingWorld, *levels: tuple[str, str]) -> list[Member]:
    """One account below the other, top down, each with its balance and its price of a minute; operator first."""
    members = [world.operator]
    for depth, (balance, per_minute) in enumerate(levels, 1):
        rate_list_id = await world.rate_list(members[-1], "own", "0", rate("43", per_minute))
        members.append(await world.reseller(f"r{depth}", of=members[-1], credit=balance, rate_list_id=rate_list_id))
    return members


async def test_mor_provider_0_3_reseller_1_2_customer_2_a_minute(world: ChargingWorld) -> None:
    await world.set_base_rates(rate("43", "0.3"))
    members = await chain(world, ("10", "1.2"), ("10", "2"))
    await world.booked(call(members[-1], "c1", duration_s=60))
    # The owner earns 1.2 - 0.3 = 0.9, the reseller 2 - 1.2 = 0.8.
    assert await world.balances(*members) == ["-0.30000", "8.80000", "8.00000"]


async def test_each_parent_at_its_own_rate_90_s_at_0_10_0_06_and_0_03(world: ChargingWorld) -> None:
    await world.set_base_rates(rate("43", "0.03"))
    members = await chain(world, ("100", "0.06"), ("10", "0.10"))
    await world.booked(call(members[-1], "c1", duration_s=90))
    assert await world.balances(*members) == ["-0.04500", "99.91000", "9.85000"]


async def test_astpp_192_admin_r1_r1_1_and_c1_all_decrease_each_by_its_own_rate(world: ChargingWorld) -> None:
    await world.set_base_rates(rate("43", "0.01"))
    members = await chain(world, ("100", "0.02"), ("50", "0.03"), ("10", "0.04"))
    await world.booked(call(members[-1], "c1", duration_s=60))
    assert await world.balances(*members) == ["-0.01000", "99.98000", "49.97000", "9.96000"]


async def test_sippy_a_customer_with_a_rate_whose_reseller_has_none_is_rejected(world: ChargingWorld) -> None:
    members = await chain(world, ("100", "0.06"))
    customer = await world.customer(
        "c", of=members[-1], credit="10", rate_list_id=await world.rate_list(members[-1], "c", "0", rate("49", "1"))
    )
    refusal = await world.refused(call(customer, "c1", number="491234"))
    assert (refusal.code, refusal.account_id) == (ErrorCode.NO_RATE, members[-1].id)


async def test_mor_218_a_child_that_pays_less_than_its_parent_is_booked_as_a_loss(world: ChargingWorld) -> None:
    await world.set_base_rates(rate("43", "0.01"))
    members = await chain(world, ("10", "0.06"), ("10", "0.05"))
    await world.booked(call(members[-1], "c1", duration_s=60))
    assert await world.balances(*members) == ["-0.01000", "9.94000", "9.95000"]


async def test_portabilling_four_calls_that_start_together_lock_3_3_3_and_1_and_the_fifth_is_rejected(
    world: ChargingWorld,
) -> None:
    await world.set_base_rates(rate("43", "1"))
    customer = await world.customer("c", of=world.operator, credit="10")
    three_minutes = Batcher(world.db, ChargingEngine(PriceBook(), HoldRules(slice_s=180)))
    answers: list[Any] = await three_minutes.submit(
        [AuthorizeOrder(f"c{number}", customer.path, "431234", None, NOON) for number in range(5)]
    )
    await three_minutes.close()
    assert [answer.held_s for answer in answers if isinstance(answer, Authorization)] == [180, 180, 180, 60]
    assert [answer.code for answer in answers if isinstance(answer, Refusal)] == [ErrorCode.INSUFFICIENT_CREDIT]
    state = await world.state(customer)
    assert (state.balance, state.held) == ("10.00000", "10.00000")


async def test_astpp_markups_of_20_and_25_percent_on_0_05_are_0_06_and_0_075(world: ChargingWorld) -> None:
    await world.set_base_rates(rate("43", "0.05"))
    first = await world.rate_list(world.operator, "20", "-20")
    reseller = await world.reseller("r", of=world.operator, credit="10", rate_list_id=first)
    second = await world.rate_list(reseller, "25", "-25")
    customer = await world.customer("c", of=reseller, credit="10", rate_list_id=second)
    await world.booked(call(customer, "c1", duration_s=60))
    assert await world.balances(world.operator, reseller, customer) == ["-0.05000", "9.94000", "9.92500"]


async def test_ivozprovider_703_the_same_call_id_twice_is_one_charge(world: ChargingWorld) -> None:
    await world.set_base_rates(rate("43", "100"))
    customer = await world.customer("c", of=world.operator, credit="100")
    await world.booked(call(customer, "c1", policy=ALWAYS_CHARGE), call(customer, "c1", policy=ALWAYS_CHARGE))
    assert await world.balances(customer) == ["0.00000"]


async def test_yeti_two_calls_of_10_in_one_batch_go_below_zero_without_a_look_at_the_balance(
    world: ChargingWorld,
) -> None:
    await world.set_base_rates(rate("43", "10"))
    customer = await world.customer("c", of=world.operator, credit="5")
    await world.booked(*(call(customer, f"c{number}", policy=ALWAYS_CHARGE) for number in range(2)))
    assert await world.balances(customer) == ["-15.00000"]


async def test_cgrates_a_call_of_an_account_made_later_is_charged_when_it_is_reported_again(api: Api) -> None:
    world = ChargingWorld(api.db)
    ((world.base_list_id,),) = await world.select("SELECT id FROM rate_lists WHERE is_base")
    await world.set_base_rates(rate("43", "120"))
    reported = {
        "callId": "c1",
        "username": "late*operator",
        "number": "+43 1 234",
        "startedAt": NOON.isoformat(),
        "durationSeconds": 3,
    }
    error = await api.refused("chargeCall", {"call": reported, "policy": "ALWAYS_CHARGE"}, by=api.operator)
    assert error["code"] == "NOT_FOUND"
    late = await api.customer("late", of=api.operator, credit="10")
    # 3 s at 2 a second.
    payload = await api.done("chargeCall", "duplicate call { charged }", {"call": reported}, by=api.operator)
    assert payload == {"duplicate": False, "call": {"charged": "6.00000"}, "errors": []}
    assert (await api("{ viewer { balance } }", by=late))["viewer"]["balance"] == "4.00000"


def test_cgrates_a_negative_duration_is_refused() -> None:
    with pytest.raises(InvalidCall):
        parse_order(
            call_id="c1",
            path=(1, 2),
            number="431234",
            caller_number=None,
            started_at=NOON,
            duration_s=-60,
            policy=ALWAYS_CHARGE,
            now=datetime.now(UTC) + timedelta(days=1),
        )
