"""What the simulation asks of the API, over any of several servers in turn."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

import httpx

from tests.graphql_client import PASSWORD
from tests.reference_ledger import Call, Rate, RateList

_CALL = "callId status overdrawn charges { amount }"
# Calls begin at the present, a day ahead at most, or in the past that the simulation has.
_UNTIL = (datetime.now(UTC) + timedelta(days=2)).date()
_SHOWN = f"""
fragment Shown on Account {{
  username balance held available creditLimit blocked
  usage(since: "2026-01-01", until: "{_UNTIL}") {{ calls durationSeconds charged }}
}}
"""


class Credit(NamedTuple):
    """A credit transaction as it is asked for."""

    by: str
    username: str
    amount: Fraction
    key: str


class CreditShown(NamedTuple):
    """What was answered: the refusal's code or None, and of the transaction whether it is a repeat and the balance."""

    refused: str | None
    duplicate: bool = False
    balance_after: str | None = None


class CallShown(NamedTuple):
    """What became of a call as its charger sees it; ``charged`` is what each level that it sees paid, top down."""

    code: str
    charged: tuple[str, ...] = ()
    overdrawn: bool = False
    duplicate: bool = False


class BatchShown(NamedTuple):
    """What became of a batch: each call (which are repeats is not told), and the counts."""

    calls: list[CallShown]
    counts: tuple[int, int, int]


def decimal_text(value: Fraction, decimals: int) -> str:
    """A fraction that has at most so many decimals, as text."""
    units = value * 10**decimals
    assert units.denominator == 1
    sign, digits = "-" if units < 0 else "", f"{abs(units.numerator):0{decimals + 1}d}"
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def money_text(amount: Fraction) -> str:
    """An amount with five decimals."""
    return decimal_text(amount, 5)


class SimulatedApi:
    """Accounts go by username and rate lists by their place in the ledger; ids and tokens are kept here."""

    def __init__(self, clients: Iterator[httpx.AsyncClient]) -> None:
        self._clients = clients
        self._tokens: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._list_ids: dict[int, str] = {}

    def know_list(self, rate_list: RateList, rate_list_id: str) -> None:
        """Remember which list of the ledger has this id."""
        self._list_ids[id(rate_list)] = rate_list_id

    async def ask(self, by: str | None, query: str, variables: dict[str, Any] | None = None) -> Any:
        """The data of an answer without top-level errors, from the server whose turn it is."""
        client = next(self._clients)
        headers = {"authorization": f"Bearer {self._tokens[by]}"} if by else {}
        body = {"query": query, "variables": variables or {}}
        answer = (await client.post("/graphql", json=body, headers=headers)).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def change(self, by: str | None, mutation: str, fields: str, input: dict[str, Any]) -> tuple[str | None, Any]:
        """The code of the refusal, or None, and the payload of a mutation."""
        kind = mutation[0].upper() + mutation[1:]
        query = f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) {{ {fields} errors {{ code }} }} }}"
        payload = (await self.ask(by, query, {"input": input}))[mutation]
        return (payload["errors"][0]["code"] if payload["errors"] else None), payload

    async def sign_in(self, username: str) -> None:
        """Keep a token of the account for later."""
        input = {"username": username, "password": PASSWORD}
        refused, payload = await self.change(None, "login", "token viewer { id }", input)
        assert refused is None
        self._tokens[username], self._ids[username] = payload["token"], payload["viewer"]["id"]

    async def rate_lists(self, by: str) -> list[dict[str, Any]]:
        """The lists that this reseller may select for its customers, and its own."""
        data = await self.ask(by, "{ viewer { rateLists { id isBase discountPercent } } }")
        lists: list[dict[str, Any]] = data["viewer"]["rateLists"]
        return lists

    async def accounts(self) -> list[dict[str, Any]]:
        """The operator, and every account that was made here, as the operator sees them."""
        asked = " ".join(
            f'of{number}: account(id: "{id}") {{ ...Shown }}' for number, id in enumerate(self._ids.values())
        )
        return list((await self.ask("operator", f"{{ {asked} }} {_SHOWN}")).values())

    async def descendant_count(self) -> int:
        """How many accounts are below the operator, whoever made them."""
        return int((await self.ask("operator", "{ viewer { descendantCount } }"))["viewer"]["descendantCount"])

    async def create_customer(self, by: str, rate_list: RateList, input: dict[str, Any]) -> str | None:
        """Make a customer; the refusal's code."""
        input = {"password": PASSWORD, "rateListId": self._list_ids[id(rate_list)], **input}
        refused, payload = await self.change(by, "createCustomer", "account { id username }", input)
        if refused is None:
            self._ids[payload["account"]["username"]] = payload["account"]["id"]
        return refused

    async def change_account(self, by: str, mutation: str, username: str, **input: Any) -> str | None:
        """A mutation that takes the account's id; the refusal's code."""
        return (await self.change(by, mutation, "__typename", {"accountId": self._ids[username], **input}))[0]

    async def select_list(self, by: str, username: str, rate_list: RateList) -> str | None:
        """Give an account another list; the refusal's code."""
        return await self.change_account(by, "updateAccount", username, rateListId=self._list_ids[id(rate_list)])

    async def create_list(self, by: str, name: str, rate_list: RateList) -> str | None:
        """Make a list of the ledger known to the product; the refusal's code."""
        input = {"name": name, "discountPercent": decimal_text(rate_list.discount_percent, 4)}
        refused, payload = await self.change(by, "createRateList", "rateList { id }", input)
        if refused is None:
            self.know_list(rate_list, payload["rateList"]["id"])
        return refused

    async def change_list(self, by: str, rate_list: RateList, percent: Fraction) -> str | None:
        """Another percentage; the refusal's code."""
        input = {"rateListId": self._list_ids[id(rate_list)], "discountPercent": decimal_text(percent, 4)}
        return (await self.change(by, "updateRateList", "__typename", input))[0]

    async def set_rates(self, by: str, rate_list: RateList, rates: Sequence[Rate], replace: bool) -> str | None:
        """Change rates of a list; the refusal's code."""
        new = [
            {
                "prefix": rate.prefix,
                "pricePerMinute": decimal_text(rate.per_minute, 8),
                "connectionFee": decimal_text(rate.fee, 8),
                "firstIncrementSeconds": rate.first_s,
                "nextIncrementSeconds": rate.next_s,
                "blocked": rate.blocked,
                "effectiveFrom": rate.effective_from and rate.effective_from.isoformat(),
            }
            for rate in rates
        ]
        input = {"rateListId": self._list_ids[id(rate_list)], "rates": new, "replace": replace}
        return (await self.change(by, "setRates", "__typename", input))[0]

    async def credit(self, credit: Credit) -> CreditShown:
        """Book a credit transaction."""
        input = {
            "accountId": self._ids[credit.username],
            "amount": money_text(credit.amount),
            "idempotencyKey": credit.key,
        }
        fields = "duplicate transaction { balanceAfter }"
        refused, payload = await self.change(credit.by, "createCreditTransaction", fields, input)
        if refused is not None:
            return CreditShown(refused)
        return CreditShown(None, payload["duplicate"], payload["transaction"]["balanceAfter"])

    async def charge_call(self, by: str, call: Call, policy: str) -> CallShown:
        """Charge one call."""
        input = {"call": _call_input(call), "policy": policy}
        refused, payload = await self.change(by, "chargeCall", f"duplicate call {{ {_CALL} }}", input)
        if refused is not None:
            return CallShown(refused)
        return _shown(payload["call"])._replace(duplicate=payload["duplicate"])

    async def charge_calls(self, by: str, calls: Sequence[Call], policy: str) -> BatchShown:
        """Charge a batch of calls."""
        input = {"calls": [_call_input(call) for call in calls], "policy": policy}
        fields = f"charged duplicates unrated refused {{ index callId code }} calls {{ {_CALL} }}"
        failed, payload = await self.change(by, "chargeCalls", fields, input)
        assert failed is None
        refused = {refused["index"]: refused for refused in payload["refused"]}
        booked = iter(payload["calls"])
        shown = []
        for index, call in enumerate(calls):
            answer = refused.get(index) or next(booked)
            assert answer["callId"] == call.call_id
            shown.append(CallShown(answer["code"]) if index in refused else _shown(answer))
        assert next(booked, None) is None
        return BatchShown(shown, (payload["charged"], payload["duplicates"], payload["unrated"]))


def _call_input(call: Call) -> dict[str, Any]:
    return {
        "callId": call.call_id,
        "username": call.username,
        "number": call.number,
        "startedAt": call.started_at.isoformat(),
        "durationSeconds": call.duration_s,
    }


def _shown(call: dict[str, Any]) -> CallShown:
    return CallShown(call["status"], tuple(charge["amount"] for charge in call["charges"]), call["overdrawn"])
