"""What the demo's resellers sell and how their back offices look: real offers of the trade, two brandings."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.branding import update_branding
from billing.money import parse_money, parse_payment
from billing.offer_terms import Bonus, BonusBasis, OfferTerms
from billing.offers import create_offer

_TEN: Final = parse_money("10")
_HUNDRED: Final = parse_money("100")
_WHOLESALE: Final = parse_payment("90")
_RETAIL: Final = parse_payment("105")

# By the publisher's bare name; None is the operator.
_OFFERS: Final = (
    (
        None,
        "Wholesale",
        OfferTerms("CNY", _WHOLESALE, _TEN, credit_min_units=_TEN, resale_price_min_cents=parse_payment("98")),
    ),
    (
        "luluka",
        "Collect a hundred",
        OfferTerms(
            "CNY", parse_payment("120"), _TEN, bonus=Bonus(parse_money("18"), _HUNDRED, BonusBasis.PURCHASES_ADDED_UP)
        ),
    ),
    ("good", "Top up", OfferTerms("CNY", _RETAIL, _TEN)),
)
_BRANDINGS: Final = (
    ("luluka", {"name": "Luluka Telecom", "primary_colour": "#0b5d57", "secondary_colour": "#f4b942"}),
    ("nordwind", {"name": "Nordwind", "primary_colour": "#1f3a5f"}),
)


async def open_shops(tx: AsyncConnection, account_ids: Mapping[str | None, int]) -> None:
    """Publish the offers and set the brandings of the demo's accounts."""
    for owner, name, terms in _OFFERS:
        await create_offer(tx, owner_id=account_ids[owner], name=name, terms=terms)
    for owner, changes in _BRANDINGS:
        await update_branding(tx, account_id=account_ids[owner], changes=changes)
