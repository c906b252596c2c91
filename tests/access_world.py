"""A small tree with everything in it that somebody may or may not see, and a fresh token for each kind of viewer.

operator ▶ ancestor ▶ parent ▶ customer        what is asked is about the customer, or belongs to the parent
                    │        └ other           another customer of the same reseller
                    └ sibling                  a reseller beside the parent
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from models.tables import Base
from tests.graphql_client import PASSWORD, Api, Person
from tests.offers_api import AT_ONCE, RETAIL, published, purchase
from tests.rates_api import base_id, change, rate

# The customer is "itself". The last four act for the parent: by a token of one scope, or while the parent is blocked.
VIEWERS = (
    *("anonymous", "itself", "other", "sibling", "parent", "ancestor", "operator"),
    *("reader", "manager", "charger", "blocked"),
)
_SCOPES = {"reader": "READ", "manager": "MANAGE", "charger": "CALLS_CHARGE"}
_TABLES = [table.name for table in Base.metadata.sorted_tables]
NOON = "2026-05-04T12:00:00Z"


@dataclass
class AccessWorld:
    """The tree. ``ids`` are global ids of things that are no accounts."""

    api: Api
    people: dict[str, Person]
    ids: dict[str, str] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)
    _numbers: int = 0

    def id(self, name: str) -> str:
        """The global id of an account."""
        return self.people[name].id

    def person(self, viewer: str) -> Person:
        """The account that the viewer acts for; the operator stands in for nobody."""
        if viewer == "anonymous":
            return self.people["operator"]
        return self.people["parent" if viewer in _SCOPES or viewer == "blocked" else viewer]

    def number(self) -> int:
        """A number that was not used before."""
        self._numbers += 1
        return self._numbers

    async def token(self, viewer: str) -> str | None:
        """The viewer's token. No two viewers share one, even where they act for the same account."""
        if viewer == "anonymous":
            return None
        if viewer not in self._tokens:
            session = (await self.api.sign_in(self.person(viewer).username)).token
            self._tokens[viewer] = session
            if viewer in _SCOPES:
                input = {"name": viewer, "scopes": [_SCOPES[viewer]]}
                self._tokens[viewer] = (await self.api.done("createApiToken", "token", input, by=session))["token"]
        return self._tokens[viewer]

    async def ask(self, viewer: str, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to one kind of viewer."""
        token = await self.token(viewer)
        if viewer != "blocked":
            return await self.api.answer(query, variables, by=token)
        await self.set_blocked("parent", True)
        answer = await self.api.answer(query, variables, by=token)
        await self.set_blocked("parent", False)
        return answer

    async def set_blocked(self, name: str, blocked: bool) -> None:
        """Block or unblock an account behind everybody's back."""
        await self._execute("UPDATE account_state SET blocked = :blocked WHERE account_id = :id", name, blocked=blocked)

    async def restore(self, *, tokens: bool) -> None:
        """Undo what mutations did that would change the answer to the next viewer; with ``tokens`` everybody gets a
        new one."""
        if tokens:
            self._tokens.clear()
        for name in ("customer", "parent"):
            await self.set_blocked(name, False)
            await self._execute("UPDATE call_limits SET no_loss_calls = false WHERE account_id = :id", name)
        await self._execute("UPDATE accounts SET is_reseller = false WHERE id = :id", "customer")

    async def _execute(self, statement: str, name: str, **values: Any) -> None:
        async with self.api.db.transaction() as tx:
            await tx.execute(text(statement), {"id": self.people[name].account_id, **values})

    async def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table."""
        return await self.api.rows(*_TABLES)

    async def fall_low(self, viewer: str) -> None:
        """Let the available credit of the account that asks fall below its threshold; of the operator, a customer's."""
        account = self.people["customer"] if viewer == "operator" else self.person(viewer)
        for amount in ("1000", "-1000"):
            credit = {"accountId": account.id, "amount": amount, "idempotencyKey": f"low {self.number()}"}
            await self.api.done("createCreditTransaction", "duplicate", credit, by=self.api.operator)

    def call(self, **changes: Any) -> dict[str, Any]:
        """A finished call of a minute of the customer, new unless ``changes`` name a ``callId``."""
        return {**self.waiting_call(), "startedAt": NOON, "durationSeconds": 60, **changes}

    def waiting_call(self) -> dict[str, Any]:
        """A call of the customer that wants to start."""
        return {"callId": f"call {self.number()}", "accountId": self.id("customer"), "number": "+4312345"}


async def access_world(api: Api) -> AccessWorld:
    """The tree with credit, rates, a rate list, calls, credit transactions and remarks, an offer and a branding."""
    ancestor = await api.reseller("ancestor", of=api.operator, credit="100")
    parent = await api.reseller("parent", of=ancestor, credit="100")
    sibling = await api.reseller("sibling", of=ancestor, credit="100")
    customer = await api.customer("customer", of=parent, credit="100")
    other = await api.customer("other", of=parent, credit="100")
    people = {"operator": api.operator, "ancestor": ancestor, "parent": parent, "sibling": sibling}
    world = AccessWorld(api, {**people, "customer": customer, "itself": customer, "other": other})
    world.ids["deck"] = await base_id(api)
    await change(api, world.ids["deck"], rate("43", "0.06", destination="Austria"), by=api.operator)
    await _give_the_customer_a_list(world)
    await _give_credit(world)
    await _charge(world)
    await _sell(world)
    for account in (ancestor, parent, sibling, customer, other):
        await _watch(world, account, by=account)
    for reseller in (parent, api.operator):
        await _watch(world, customer, by=reseller)
    return world


async def _watch(world: AccessWorld, account: Person, *, by: Person) -> None:
    notice = {"accountId": account.id, "threshold": "500"}
    await world.api.done("setLowBalanceNotice", "webhookSecret", notice, by=by)


async def _give_the_customer_a_list(world: AccessWorld) -> None:
    api, parent = world.api, world.people["parent"]
    input: dict[str, Any] = {"name": "Tariff", "discountPercent": "10"}
    made = await api.done("createRateList", "rateList { id }", input, by=parent)
    world.ids["list"] = made["rateList"]["id"]
    await change(api, world.ids["list"], rate("431", "0.10", destination="Vienna"), by=parent)
    lists = (await api("{ viewer { rateLists { id name } } }", by=parent))["viewer"]["rateLists"]
    world.ids["predefined"] = next(one["id"] for one in lists if one["name"] == "(Predefined) 25% List")
    details = {"emailAddress": "a@b.example", "otherDetails": "x", "telephoneNumbers": ["1"]}
    address = {"line1": "1", "line2": "2", "postalCode": "3", "city": "4", "country": "5"}
    input = {"accountId": world.id("customer"), "rateListId": world.ids["list"], "address": address, **details}
    await api.done("updateAccount", "account { id }", input, by=parent)


async def _give_credit(world: AccessWorld) -> None:
    for author in ("parent", "operator"):
        remarks = {"remark": "for both", "privateRemark": "for us"}
        input = {"accountId": world.id("customer"), "amount": "1", "idempotencyKey": f"of {author}", **remarks}
        made = await world.api.done("createCreditTransaction", "transaction { id }", input, by=world.people[author])
        world.ids[f"credit of {author}"] = made["transaction"]["id"]


async def _charge(world: AccessWorld) -> None:
    carried = world.call(callId="carried", callerNumber="4315")
    unrated = world.call(callId="unrated", number="+9912345")
    refunded = world.call(callId="refunded")
    input = {"calls": [carried, unrated, refunded], "policy": "ALWAYS_CHARGE"}
    fields = "charged unrated calls { id }"
    made = await world.api.done("chargeCalls", fields, input, by=world.api.operator)
    assert (made["charged"], made["unrated"]) == (2, 1)
    refund = {"callId": "refunded", "reason": "bad line"}
    await world.api.done("refundCall", "duplicate", refund, by=world.api.operator)
    world.ids["call"] = made["calls"][0]["id"]
    await world.api.done("authorizeCall", "duplicate", world.waiting_call(), by=world.api.operator)


async def _sell(world: AccessWorld) -> None:
    api, parent = world.api, world.people["parent"]
    world.ids["offer"] = await published(api, {**AT_ONCE, "creditMin": "1", "resalePriceMin": "80"}, by=parent)
    world.ids["closed offer"] = await published(api, RETAIL, by=parent)
    await api.done("updateOffer", "offer { id }", {"offerId": world.ids["closed offer"], "closed": True}, by=parent)
    input = purchase(world.ids["offer"], world.people["customer"], "100", "bought")
    world.ids["purchase"] = (await api.done("recordPurchase", "purchase { id }", input, by=parent))["purchase"]["id"]
    branding = {"name": "Parent", "logoUrl": "https://parent.example/logo.png"}
    await api.done("updateBranding", "branding { name }", {**branding, "primaryColour": "#123456"}, by=parent)


def new_customer(world: AccessWorld) -> dict[str, Any]:
    """The input of a customer that there is not yet."""
    return {"username": f"new{world.number()}", "password": PASSWORD}
