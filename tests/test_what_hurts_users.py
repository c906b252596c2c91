"""What users of other systems of this trade were hurt by, and that it does not happen here.

The points and their reports are those of the domain page, "What hurts users of the systems in this trade".
"""

import asyncio
from collections import Counter

import pytest

from billing.money import MONEY_DECIMALS, NumberError, format_money, parse_money
from models.database import Database
from resolvers.audit import audit
from tests.charging_tree import another_process, codes
from tests.charging_world import Member, call, charging_world, rate


async def test_1_no_level_is_left_out_however_deep_the_tree(db: Database) -> None:
    async with charging_world(db) as world:
        await world.set_base_rates(rate("43", "0.10"))
        markup = await world.rate_list(world.operator, "markup", "-10")
        levels: list[Member] = [world.operator]
        for depth in range(1, 8):
            rate_list_id = markup if depth == 1 else await world.rate_list(levels[-1], "markup", "-10")
            levels.append(await world.reseller(f"r{depth}", of=levels[-1], credit="10", rate_list_id=rate_list_id))
        await world.booked(call(levels[-1], "c1"))
        # 0.10 a minute, and at each level ten per cent more.
        assert await world.balances(*levels) == [
            *("-0.10000", "9.89000", "9.87900", "9.86690"),
            *("9.85359", "9.83895", "9.82284", "9.80513"),
        ]


async def test_1_a_top_up_changes_the_account_alone_and_never_its_reseller(db: Database) -> None:
    async with charging_world(db) as world:
        reseller = await world.reseller("good", of=world.operator, credit="10")
        customer = await world.customer("keytyh", of=reseller, credit="10")
        before = [await world.state(world.operator), await world.state(reseller)]
        await world.credit(customer, "10")
        await world.credit(customer, "-3.5")
        assert [await world.state(world.operator), await world.state(reseller)] == before
        assert await world.balances(world.operator, reseller, customer) == ["0.00000", "10.00000", "16.50000"]


async def test_2_thirty_calls_started_at_once_on_a_credit_of_1_do_not_overspend(
    db: Database, database_url: str
) -> None:
    async with charging_world(db) as world, another_process(database_url) as other:
        await world.set_base_rates(rate("43", "0.30"))
        customer = await world.customer("keytyh", of=world.operator, credit="1")
        answers = await asyncio.gather(
            *((world, other)[number % 2].charge(call(customer, f"c{number}")) for number in range(30))
        )
        assert Counter(code for answer in answers for code in codes(answer)) == {
            "CHARGED": 3,
            "INSUFFICIENT_CREDIT": 27,
        }
        assert await world.balances(world.operator, customer) == ["-0.90000", "0.10000"]


async def test_3_a_minute_at_0_02_books_0_02_in_one_second_increments(db: Database) -> None:
    async with charging_world(db) as world:
        await world.set_base_rates(rate("43", "0.02"))
        customer = await world.customer("keytyh", of=world.operator, credit="1")
        await world.booked(call(customer, "c1"))
        assert await world.balances(world.operator, customer) == ["-0.02000", "0.98000"]


async def test_3_a_thousand_calls_drift_by_nothing(db: Database) -> None:
    async with charging_world(db) as world:
        # 7 s at 0.01 are 0.0011666.. and book 0.00117, each alone and all together.
        await world.set_base_rates(rate("43", "0.01"))
        customer = await world.customer("keytyh", of=world.operator, credit="2")
        await world.booked(*(call(customer, f"c{number}", duration_s=7) for number in range(1000)))
        assert await world.balances(world.operator, customer) == ["-1.17000", "0.83000"]
        assert await world.select(
            "SELECT account_id, CAST(sum(charged_units) AS int) FROM usage_parts GROUP BY 1 ORDER BY 1"
        ) == [
            (world.operator.id, 117_000),
            (customer.id, 117_000),
        ]
        assert (await audit(db)).differences == ()


@pytest.mark.parametrize("typed", ["1,234.56", "1.234,56", "1 234.56", "1'234.56", "1_234.56", "1e3", "0.123456"])
def test_3_an_amount_with_a_separator_or_too_many_decimals_is_refused_and_never_cut(typed: str) -> None:
    with pytest.raises(NumberError):
        parse_money(typed)
    assert (MONEY_DECIMALS, format_money(parse_money("1234.56"))) == (5, "1234.56000")


async def test_4_a_call_delivered_twice_takes_100_to_0_and_not_to_minus_100(db: Database, database_url: str) -> None:
    async with charging_world(db) as world, another_process(database_url) as other:
        await world.set_base_rates(rate("43", "100"))
        customer = await world.customer("keytyh", of=world.operator, credit="100")
        order = call(customer, "c1")
        answers = await asyncio.gather(world.booked(order), other.booked(order))
        answers.append(await world.booked(order))
        assert [booked.duplicate for (booked,) in answers].count(False) == 1
        assert await world.balances(world.operator, customer) == ["-100.00000", "0.00000"]
