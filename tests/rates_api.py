"""Rates and rate lists through the API, for tests that need some."""

from typing import Any

from tests.graphql_client import Api, Person


def rate(prefix: str, price: str = "0.05", **others: Any) -> dict[str, Any]:
    return {"prefix": prefix, "pricePerMinute": price, **others}


async def base_id(api: Api) -> str:
    lists = (await api("{ viewer { rateLists { id isBase } } }", by=api.operator))["viewer"]["rateLists"]
    return next(str(one["id"]) for one in lists if one["isBase"])


async def change(api: Api, rate_list_id: str, *rates: dict[str, Any], by: Person, replace: bool = False) -> int:
    input = {"rateListId": rate_list_id, "rates": list(rates), "replace": replace}
    changed: int = (await api.done("setRates", "changed", input, by=by))["changed"]
    return changed


async def own_list(api: Api, percent: str, *rates: dict[str, Any], by: Person) -> str:
    input = {"name": f"List {percent}", "discountPercent": percent}
    payload = await api.done("createRateList", "rateList { id }", input, by=by)
    await change(api, payload["rateList"]["id"], *rates, by=by)
    return str(payload["rateList"]["id"])
