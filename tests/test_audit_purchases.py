"""The audit works every purchase out again, and finds what does not agree."""

from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text

from resolvers.audit import audit
from tests.graphql_client import Api, Person
from tests.offers_api import AT_ONCE, COLLECTED, bought, published


@dataclass
class Books:
    """keytyh has bought 60 and 40 with a bonus of 18 between them, and 100 at once with a bonus of 20."""

    api: Api
    keytyh: Person
    ids: list[str]
    bonus_ids: list[str]

    async def break_by(self, statement: str, **values: Any) -> None:
        """Change rows behind the product's back."""
        async with self.api.db.transaction() as tx:
            await tx.execute(text(statement), values)

    async def differences(self) -> list[tuple[Any, ...]]:
        """(check, username, of, expected, found) of each difference."""
        report = await audit(self.api.db)
        return [(d.check.value, d.username, d.subject, d.expected, d.found) for d in report.differences]


@pytest.fixture
async def books(api: Api) -> Books:
    keytyh = await api.customer("keytyh", of=api.operator)
    collected, at_once = (
        await published(api, COLLECTED, by=api.operator),
        await published(api, AT_ONCE, by=api.operator),
    )
    for key, (offer_id, credit) in enumerate([(collected, "60"), (collected, "40"), (at_once, "100")]):
        await bought(api, offer_id, keytyh, credit, by=api.operator, key=str(key))
    async with api.db.read() as connection:
        rows = list(await connection.execute(text("SELECT id, bonus_id FROM purchases ORDER BY id")))
    return Books(api, keytyh, [str(row.id) for row in rows], [str(row.bonus_id) for row in rows if row.bonus_id])


async def test_right_purchases_have_no_difference(books: Books) -> None:
    assert await books.differences() == []


async def test_a_changed_sum_is_found(books: Books) -> None:
    await books.break_by("UPDATE purchases SET to_pay_cents = to_pay_cents + 1 WHERE credit_units = 4000000")
    assert await books.differences() == [("PURCHASE_TO_PAY", "keytyh*operator", books.ids[1], "420.00", "420.01")]


async def test_a_changed_running_total_is_found(books: Books) -> None:
    await books.break_by("UPDATE purchases SET total_units = total_units - 1 WHERE credit_units = 4000000")
    assert await books.differences() == [("PURCHASE_TOTAL", "keytyh*operator", books.ids[1], "100.00000", "99.99999")]


async def test_a_purchase_that_is_gone_is_found_by_its_credit_and_by_what_came_later(books: Books) -> None:
    await books.break_by("DELETE FROM purchases WHERE credit_units = 6000000")
    assert await books.differences() == [
        ("PURCHASE_EARNED", "keytyh*operator", books.ids[1], "0.00000", "18.00000"),
        ("PURCHASE_TOTAL", "keytyh*operator", books.ids[1], "40.00000", "100.00000"),
        ("SOLD_WITHOUT_PURCHASE", "keytyh*operator", books.ids[0], "none", "60.00000"),
    ]


async def test_a_bonus_that_was_not_booked_is_found(books: Books) -> None:
    await books.break_by("UPDATE purchases SET earned_units = 0, bonus_id = NULL WHERE credit_units = 10000000")
    assert await books.differences() == [
        ("PURCHASE_EARNED", "keytyh*operator", books.ids[2], "20.00000", "0.00000"),
        ("SOLD_WITHOUT_PURCHASE", "keytyh*operator", books.bonus_ids[1], "none", "20.00000"),
    ]


async def test_a_credit_transaction_that_is_gone_is_found_with_its_purchase(books: Books) -> None:
    await books.break_by("DELETE FROM credit_transactions WHERE amount_units IN (6000000, 2000000)")
    assert [found for found in await books.differences() if found[0].startswith("PURCHASE")] == [
        ("PURCHASE_BONUS", "keytyh*operator", books.ids[2], "20.00000", "none"),
        ("PURCHASE_CREDIT", "keytyh*operator", books.ids[0], "60.00000", "none"),
    ]


async def test_a_credit_transaction_of_another_amount_or_kind_is_found(books: Books) -> None:
    await books.break_by("UPDATE credit_transactions SET kind = 'CREDIT' WHERE amount_units = 4000000")
    await books.break_by("UPDATE purchases SET earned_units = 1 WHERE credit_units = 10000000")
    assert await books.differences() == [
        ("PURCHASE_BONUS", "keytyh*operator", books.ids[2], "0.00001", "20.00000"),
        ("PURCHASE_CREDIT", "keytyh*operator", books.ids[1], "40.00000", "none"),
        ("PURCHASE_EARNED", "keytyh*operator", books.ids[2], "20.00000", "0.00001"),
    ]


async def test_terms_that_were_changed_afterwards_are_found(books: Books) -> None:
    await books.break_by("UPDATE purchases SET bonus_threshold_units = 5000000 WHERE credit_units <> 10000000")
    assert await books.differences() == [
        ("PURCHASE_EARNED", "keytyh*operator", books.ids[0], "18.00000", "0.00000"),
    ]
