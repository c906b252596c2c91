"""Offers and purchases through the API, for tests that need some."""

from typing import Any

from tests.graphql_client import Api, Person

# What domain.md quotes: 90 and 105 CNY per 10 EUR, with and without a bonus, and never below 98 at retail.
WHOLESALE = {"name": "Wholesale", "currency": "CNY", "price": "90", "perCredit": "10", "creditMin": "10"}
COLLECTED = {
    "name": "Collected",
    "currency": "CNY",
    "price": "105",
    "perCredit": "10",
    "bonus": {"credit": "18", "threshold": "100", "basis": "PURCHASES_ADDED_UP"},
}
AT_ONCE = {
    "name": "At once",
    "currency": "CNY",
    "price": "105",
    "perCredit": "10",
    "bonus": {"credit": "20", "threshold": "100", "basis": "ONE_PURCHASE"},
}
RETAIL = {"name": "Retail", "currency": "CNY", "price": "105", "perCredit": "10", "resalePriceMin": "98"}

PURCHASE = """
purchase { credit bonus toPay currency creditTotal account { username } offer { name } createdBy { username } }
transactions { amount balanceAfter kind remark } account { balance } duplicate
"""


async def published(api: Api, offer: dict[str, Any], *, by: Person, **changes: Any) -> str:
    """The id of a new offer."""
    made = await api.done("createOffer", "offer { id }", {**offer, **changes}, by=by)
    return str(made["offer"]["id"])


def purchase(offer_id: str, account: Person, credit: str, key: str) -> dict[str, Any]:
    """The input of a purchase."""
    return {"offerId": offer_id, "accountId": account.id, "credit": credit, "idempotencyKey": key}


async def bought(api: Api, offer_id: str, account: Person, credit: str, *, by: Person, key: str) -> Any:
    """What recording a purchase answers."""
    return await api.done("recordPurchase", PURCHASE, purchase(offer_id, account, credit, key), by=by)
