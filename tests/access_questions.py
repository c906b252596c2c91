"""How each row of the tables in tests/test_access_table.py is asked, and what an answer is called there."""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLObjectType, get_named_type, is_leaf_type

from schema.assembled import schema
from tests.access_world import NOON, AccessWorld, new_customer
from tests.graphql_client import PASSWORD
from tests.offers_api import WHOLESALE

TYPES = schema._schema.type_map
# The tables' words for codes.
WORDS = {
    "UNAUTHENTICATED": "signin",
    "FORBIDDEN": "scope",
    "NOT_FOUND": "unseen",
    "NOT_ALLOWED": "denied",
    "ACCOUNT_BLOCKED": "blocked",
    "NOT_A_RESELLER": "noresell",
    "INVALID_CREDENTIALS": "wrong",
}

Input = dict[str, Any]
# A mutation's input, made anew for each viewer; None where it takes none.
Asked = Callable[[AccessWorld, str], Input | None]


def on(name: str, **fields: Any) -> Asked:
    """About the account of this name."""
    return lambda world, _: {"accountId": world.id(name), **fields}


def on_itself(**fields: Any) -> Asked:
    """About the account that asks."""
    return lambda world, viewer: {"accountId": world.person(viewer).id, **fields}


def just(**fields: Any) -> Asked:
    """The same for everybody."""
    return lambda world, viewer: fields


def credit_for(name: str | None) -> Asked:
    """A new credit transaction; None: for the account that asks."""
    return lambda world, viewer: {
        "accountId": (world.person(viewer) if name is None else world.people[name]).id,
        "amount": "1",
        "idempotencyKey": f"{viewer} {world.number()}",
    }


def purchase_for(name: str | None) -> Asked:
    """A new purchase under the parent's offer; None: for the account that asks."""
    return lambda world, viewer: {
        "offerId": world.ids["offer"],
        "accountId": (world.person(viewer) if name is None else world.people[name]).id,
        "credit": "1",
        "idempotencyKey": f"{viewer} {world.number()}",
    }


def a_call(**fields: Any) -> Asked:
    """A new call of the customer."""
    return lambda world, _: {"call": world.call(), **fields}


def calls(**fields: Any) -> Asked:
    """Two new calls of the customer."""
    return lambda world, _: {"calls": [world.call(), world.call()], **fields}


def held_call(**fields: Any) -> Asked:
    """About a call of the customer that is running."""
    return lambda world, _: {"callId": world.ids["held call"], **fields}


def with_list(asked: Asked, rate_list: str) -> Asked:
    """The same with a rate list."""
    return lambda world, viewer: {**(asked(world, viewer) or {}), "rateListId": world.ids[rate_list]}


MUTATION_INPUTS: dict[str, Asked] = {
    "login": lambda world, viewer: {"username": world.person(viewer).username, "password": PASSWORD},
    "logout": lambda world, viewer: None,
    "changePassword, its own": just(currentPassword=PASSWORD, newPassword=PASSWORD),
    "changePassword, the customer's": on("customer", newPassword=PASSWORD),
    "createApiToken, to read": just(name="x", scopes=["READ"]),
    "createApiToken, to charge": just(name="x", scopes=["CALLS_CHARGE"]),
    "revokeApiToken, the customer's": lambda world, viewer: {"tokenId": world.ids["token of the customer"]},
    "createCustomer, its own": lambda world, viewer: new_customer(world),
    "createCustomer, the parent's": lambda world, viewer: {**new_customer(world), "resellerId": world.id("parent")},
    "updateAccount, own details": on_itself(otherDetails="y"),
    "updateAccount, own rate list": with_list(on_itself(), "predefined"),
    "updateAccount, own mark": on_itself(isReseller=True),
    "updateAccount, own promises": on_itself(heldToOwnCredit=True),
    "updateAccount, details": on("customer", otherDetails="y"),
    "updateAccount, rate list": with_list(on("customer"), "predefined"),
    "updateAccount, list of the parent": with_list(on("customer"), "list"),
    "updateAccount, mark": on("customer", isReseller=True),
    "updateAccount, promises": on("customer", heldToOwnCredit=True),
    "blockAccount, itself": on_itself(),
    "blockAccount, the customer": on("customer"),
    "blockAccount, the parent": on("parent"),
    "unblockAccount, itself": on_itself(),
    "unblockAccount, the customer": on("customer"),
    "unblockAccount, the parent": on("parent"),
    "makeReseller, itself": on_itself(),
    "makeReseller, the customer": on("customer"),
    "setCreditLimit, its own": on_itself(creditLimit="1"),
    "setCreditLimit, the customer's": on("customer", creditLimit="1"),
    "setCreditLimit, the parent's": on("parent", creditLimit="1"),
    "setCallLimits, its own": on_itself(callDurationSecondsMax=3600),
    "setCallLimits, own losses": on_itself(noLossCalls=True),
    "setCallLimits, the customer's": on("customer", callDurationSecondsMax=3600),
    "setLowBalanceNotice, its own": on_itself(threshold="1"),
    "setLowBalanceNotice, the customer's": on("customer", threshold="1"),
    "createCreditTransaction, itself": credit_for(None),
    "createCreditTransaction, customer": credit_for("customer"),
    "createCreditTransaction, parent": credit_for("parent"),
    "createRateList": lambda world, viewer: {"name": f"List {world.number()}"},
    "updateRateList, the parent's": with_list(just(discountPercent="5"), "list"),
    "updateRateList, a predefined one": with_list(just(discountPercent="5"), "predefined"),
    "deleteRateList, the parent's": with_list(just(), "unused list"),
    "setRates, of the parent's list": with_list(just(rates=[{"prefix": "43", "pricePerMinute": "1"}]), "list"),
    "setRates, of the deck": with_list(just(rates=[{"prefix": "43", "pricePerMinute": "1"}]), "deck"),
    "createOffer": lambda world, viewer: {**WHOLESALE, "name": f"Offer {world.number()}"},
    "updateOffer, the parent's": lambda world, viewer: {"offerId": world.ids["offer"], "price": "106"},
    "recordPurchase, the customer's": purchase_for("customer"),
    "recordPurchase, its own": purchase_for(None),
    "updateBranding": just(name="Another name"),
    "authorizeCall": lambda world, viewer: world.waiting_call(),
    "authorizeCalls": lambda world, viewer: {"calls": [world.waiting_call()]},
    "extendCall": held_call(sequence=1),
    "settleCall": held_call(durationSeconds=10),
    "settleCalls": lambda world, viewer: {"calls": [{"callId": world.ids["held call"], "durationSeconds": 10}]},
    "releaseCall": held_call(),
    "refundCall": lambda world, viewer: {"callId": world.ids["charged call"], "reason": "bad line"},
    "rerateCalls": just(since=NOON, until="2026-05-05T12:00:00Z", dryRun=False),
    "rerateCalls, the customer's": on("customer", since=NOON, until="2026-05-05T12:00:00Z", dryRun=False),
    "chargeCall, CHECK_CREDIT": a_call(),
    "chargeCall, ALWAYS_CHARGE": a_call(policy="ALWAYS_CHARGE"),
    "chargeCalls, CHECK_CREDIT": calls(),
    "chargeCalls, ALWAYS_CHARGE": calls(policy="ALWAYS_CHARGE"),
}

QUERIES: dict[str, Callable[[AccessWorld], str]] = {
    "viewer": lambda world: "viewer { id }",
    "account, by id": lambda world: f'account(id: "{world.id("customer")}") {{ id }}',
    "account, by username": lambda world: 'account(username: "customer*parent") { id }',
    "account, the parent": lambda world: f'account(id: "{world.id("parent")}") {{ id }}',
    "node, the customer": lambda world: f'node(id: "{world.id("customer")}") {{ id }}',
    "node, list of the parent": lambda world: f'node(id: "{world.ids["list"]}") {{ id }}',
    "node, predefined list": lambda world: f'node(id: "{world.ids["predefined"]}") {{ id }}',
    "node, the deck": lambda world: f'node(id: "{world.ids["deck"]}") {{ id }}',
    "node, a call": lambda world: f'node(id: "{world.ids["call"]}") {{ id }}',
    "node, a credit transaction": lambda world: f'node(id: "{world.ids["credit of parent"]}") {{ id }}',
    "node, an offer of the parent": lambda world: f'node(id: "{world.ids["offer"]}") {{ id }}',
    "node, a purchase": lambda world: f'node(id: "{world.ids["purchase"]}") {{ id }}',
    "call": lambda world: 'call(callId: "carried") { id }',
    "quote": lambda world: f"{_quote(world)} {{ at }}",
    "settings": lambda world: "settings { currency }",
}

SUBSCRIPTIONS: dict[str, Callable[[AccessWorld, str], str]] = {
    "balanceChanged, itself": lambda world, viewer: "balanceChanged",
    "balanceChanged, the customer": lambda world, viewer: f'balanceChanged(accountIds: ["{world.id("customer")}"])',
    "balanceChanged, parent and below": lambda world, viewer: (
        f'balanceChanged(accountIds: ["{world.id("parent")}"], includeDescendants: true)'
    ),
    "balanceLow": lambda world, viewer: "balanceLow",
}

# The file and whose it is.
EXPORTS: dict[str, tuple[str, str]] = {
    f"{kind}, the {name}'s": (kind, name)
    for kind in ("calls", "rates", "transactions", "customers")
    for name in ("customer", "parent")
}

# Where an object of each type is found, and rows whose object is another one than the type's usual.
HOLDERS: dict[str, Callable[[AccessWorld], str]] = {
    "Account": lambda world: f'node(id: "{world.id("customer")}")',
    "RateList": lambda world: f'node(id: "{world.ids["list"]}")',
    "Offer": lambda world: f'node(id: "{world.ids["offer"]}")',
    "Purchase": lambda world: f'node(id: "{world.ids["purchase"]}")',
    "Call": lambda world: 'call(callId: "carried")',
    "CreditTransaction": lambda world: f'node(id: "{world.ids["credit of parent"]}")',
    "Quote": lambda world: _quote(world),
}
OTHER_HOLDERS: dict[str, Callable[[AccessWorld], str]] = {
    "Account.ownOffers": lambda world: f'node(id: "{world.id("parent")}")',
    "Offer.closedAt": lambda world: f'node(id: "{world.ids["closed offer"]}")',
    "Call.unratedReason": lambda world: 'call(callId: "unrated")',
    "Call.refunded": lambda world: 'call(callId: "refunded")',
    "Call.refundReason": lambda world: 'call(callId: "refunded")',
    "Call.adjustments": lambda world: 'call(callId: "refunded")',
    "CreditTransaction.privateRemark, operator's": lambda world: f'node(id: "{world.ids["credit of operator"]}")',
    "CreditTransaction.createdBy, operator's": lambda world: f'node(id: "{world.ids["credit of operator"]}")',
    "Quote.refusal": lambda world: _quote(world, number="+9912345"),
}


def _quote(world: AccessWorld, number: str = "+4312345") -> str:
    return f'quote(accountId: "{world.id("customer")}", number: "{number}", durationSeconds: 60, at: "{NOON}")'


def mutation_query(name: str, asked: Input | None) -> str:
    """The text that runs a mutation and asks for nothing but why it was refused."""
    mutations = TYPES["Mutation"]
    assert isinstance(mutations, GraphQLObjectType)
    mutation = mutations.fields[name]
    payload = get_named_type(mutation.type)
    assert isinstance(payload, GraphQLObjectType)
    reasons = [f"{field} {{ code }}" for field in ("errors", "refused") if field in payload.fields]
    fields = f"{{ {' '.join(reasons)} }}"
    if asked is None:
        return f"mutation {{ {name} {fields} }}"
    return (
        f"mutation ($input: {get_named_type(mutation.args['input'].type).name}!) {{ {name}(input: $input) {fields} }}"
    )


def field_query(world: AccessWorld, row: str) -> str:
    """The text that reads one field of an object, with enough below it to tell two values apart."""
    type_name, _, name = row.partition(",")[0].partition(".")
    holder = OTHER_HOLDERS.get(row, HOLDERS[type_name])(world)
    return f"{{ found: {holder} {{ ... on {type_name} {{ {selection(type_name, name)} }} }} }}"


def selection(type_name: str, name: str) -> str:
    """The field with all leaves of what it answers; of a connection those of its nodes, of an account its name."""
    holder = TYPES[type_name]
    assert isinstance(holder, GraphQLObjectType)
    kind = get_named_type(holder.fields[name].type)
    if is_leaf_type(kind):
        return name
    assert isinstance(kind, GraphQLObjectType)
    if "nodes" in kind.fields:
        return f"{name} {{ {selection(kind.name, 'nodes')} }}"
    if kind.name == "Account":
        return f"{name} {{ username }}"
    below = [field for field, inner in kind.fields.items() if is_leaf_type(get_named_type(inner.type))]
    below += [f"{whose} {{ username }}" for whose in ("account", "owner") if whose in kind.fields]
    return f"{name} {{ {' '.join(below)} }}"


def code_of(answer: dict[str, Any]) -> str | None:
    """The table's word for the first error of an answer, top-level or of a payload; None where there is none."""
    if "errors" in answer:
        extensions = answer["errors"][0]["extensions"]
        code = extensions.get("reason", extensions["code"])
        return WORDS.get(code, code)
    for payload in answer["data"].values():
        errors = [*payload.get("errors", ()), *payload.get("refused", ())] if isinstance(payload, dict) else ()
        for error in errors:
            return WORDS.get(error["code"], error["code"])
    return None
