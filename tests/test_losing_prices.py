"""A list with prices of its own below the reseller's: selecting it is answered with a warning."""

from typing import Any

from tests.graphql_client import Api
from tests.rates_api import base_id, change, own_list, rate


async def test_whoever_selects_a_list_with_a_price_below_its_own_is_warned_of_the_first_one(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    deck = [rate("43", "0.05"), rate("44", "0.06", connectionFee="0.01", destination="UK"), rate("45", "0.07")]
    await change(api, await base_id(api), *deck, by=api.operator)
    shops = await own_list(api, "-20", by=luluka)
    customer = await api.customer("keytyh", of=luluka)

    async def warnings(*rates: dict[str, Any]) -> list[str]:
        await change(api, shops, *rates, by=luluka, replace=True)
        selected = {"accountId": customer.id, "rateListId": shops}
        payload = await api.done("updateAccount", "warnings", selected, by=luluka)
        created = {"username": f"like{len(rates)}", "password": "s3cret", "rateListId": shops}
        assert (await api.done("createCustomer", "warnings", created, by=luluka))["warnings"] == payload["warnings"]
        found: list[str] = payload["warnings"]
        return found

    assert await warnings() == []
    assert await warnings(rate("43", "0.05")) == [], "as much is no loss"
    assert await warnings(rate("43", "0.07"), rate("44", "0.06"), rate("45", "0.01")) == [
        "With this list the customer pays less than you do for 44 (UK): you lose there."
    ]
    # Shorter than what the reseller pays by, so it is nobody's price; not yet; blocked; for nobody.
    later = {"effectiveFrom": "2199-01-01T00:00:00Z"}
    others = [rate("4", "0.01"), rate("43", "0.01", **later), rate("45", "0.01", blocked=True), rate("99", "0")]
    assert await warnings(*others) == []


async def test_prices_are_compared_with_what_the_accounts_own_reseller_pays(api: Api) -> None:
    luluka = await api.reseller("luluka", of=api.operator)
    await change(api, await base_id(api), rate("43", "0.05"), by=api.operator)
    dear = await own_list(api, "-100", by=api.operator)
    select = {"accountId": luluka.id, "rateListId": dear}
    assert (await api.done("updateAccount", "warnings", select, by=api.operator))["warnings"] == []
    shops = await own_list(api, "0", rate("43", "0.09"), by=luluka)
    customer = {"username": "keytyh", "password": "s3cret", "rateListId": shops}
    created = await api.done("createCustomer", "warnings", customer, by=luluka)
    assert created["warnings"] == ["With this list the customer pays less than you do for 43: you lose there."]
    harmless = {"accountId": luluka.id, "otherDetails": "a friend"}
    assert (await api.done("updateAccount", "warnings", harmless, by=api.operator))["warnings"] == []
