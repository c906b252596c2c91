"""Random calls of a tree's customers: as orders, and as HTTP requests that are complete before the clock starts."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from billing.charge_order import ChargeOrder, ChargePolicy
from tests.benchmarks.tree import Tree, TreeAccount

CHARGE_CALL = (
    "mutation ($input: ChargeCallInput!) "
    "{ chargeCall(input: $input) { duplicate call { charged } errors { code message } } }"
)
CHARGE_CALLS = (
    "mutation ($input: ChargeCallsInput!) "
    "{ chargeCalls(input: $input) { charged duplicates unrated refused { index code message } errors { code } } }"
)
# What a switch needs to know to start a call; it asks for no more.
_AUTHORIZATION = "{ callId maxDurationSeconds heldSeconds askAgainAt }"
AUTHORIZE_CALL = (
    "mutation ($input: AuthorizeCallInput!) "
    f"{{ authorizeCall(input: $input) {{ duplicate authorization {_AUTHORIZATION} errors {{ code message }} }} }}"
)
AUTHORIZE_CALLS = (
    "mutation ($input: AuthorizeCallsInput!) { authorizeCalls(input: $input) "
    f"{{ duplicates refused {{ index code message }} errors {{ code }} authorizations {_AUTHORIZATION} }} }}"
)
SETTLE_CALLS = (
    "mutation ($input: SettleCallsInput!) "
    "{ settleCalls(input: $input) "
    "{ settled duplicates unrated pending refused { index code message } errors { code } } }"
)

# How a callId of the load begins; it ends with a full stop and the number of the call, from 1 on.
CALL_ID = "switch1-"

# Between two calls of the load, so that a run of some minutes stays within one UTC day mostly.
_APART = timedelta(milliseconds=1)


class CallLoad:
    """Calls with ids that grow as those of a switch do; no two alike, whatever it is asked for."""

    def __init__(self, tree: Tree, seed: int) -> None:
        self._tree = tree
        self._customers = tree.customers
        self._chosen = random.Random(seed)
        self._began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        self._count = 0

    @property
    def count(self) -> int:
        """How many calls it was asked for so far."""
        return self._count

    def let_call(self, customers: Sequence[TreeAccount]) -> None:
        """From now on it is these who call, at first all customers of the tree."""
        self._customers = customers

    def let_a_day_pass(self) -> None:
        """From now on the calls are of the day after."""
        self._began += timedelta(days=1)

    def _calls(self, count: int) -> Iterator[tuple[TreeAccount, dict[str, Any]]]:
        chosen = self._chosen
        for _ in range(count):
            self._count += 1
            started_at = self._began + self._count * _APART
            prefix = chosen.choice(self._tree.prefixes)
            customer = chosen.choice(self._customers)
            yield (
                customer,
                {
                    "callId": f"{CALL_ID}{started_at.timestamp():.0f}.{self._count}",
                    "username": customer.username,
                    "number": prefix + str(chosen.randrange(10**5)).zfill(12 - len(prefix))[-(12 - len(prefix)) :],
                    "callerNumber": f"4319{chosen.randrange(10**6):06}",
                    "startedAt": started_at.isoformat().replace("+00:00", "Z"),
                    "durationSeconds": int(chosen.expovariate(1 / 180)) % 7200,
                },
            )

    def orders(self, count: int) -> list[ChargeOrder]:
        """As charging takes them."""
        return [
            ChargeOrder(
                call["callId"],
                customer.path,
                call["number"],
                call["callerNumber"],
                datetime.fromisoformat(call["startedAt"]),
                call["durationSeconds"],
                ChargePolicy.CHECK_CREDIT,
            )
            for customer, call in self._calls(count)
        ]

    def charge_call_requests(self, count: int) -> list[bytes]:
        """`chargeCall`, so many."""
        return [self._request(CHARGE_CALL, {"call": call}) for _, call in self._calls(count)]

    def charge_calls_requests(self, count: int, calls_each: int) -> list[bytes]:
        """`chargeCalls`, so many."""
        return [
            self._request(CHARGE_CALLS, {"calls": [call for _, call in self._calls(calls_each)]}) for _ in range(count)
        ]

    def held_calls_requests(self, count: int, calls_each: int) -> tuple[list[bytes], list[bytes]]:
        """`authorizeCalls`, so many, and `settleCalls` for the same calls."""
        asked, ended = [], []
        for _ in range(count):
            starts, ends = self._starts_and_ends(calls_each)
            asked.append(self._request(AUTHORIZE_CALLS, {"calls": starts}))
            ended.append(self._request(SETTLE_CALLS, {"calls": ends}))
        return asked, ended

    def held_call_requests(self, count: int) -> tuple[list[bytes], list[bytes]]:
        """`authorizeCall`, so many, and `settleCalls` for all of the calls, 500 in each."""
        starts, ends = self._starts_and_ends(count)
        asked = [self._request(AUTHORIZE_CALL, start) for start in starts]
        ended = [self._request(SETTLE_CALLS, {"calls": ends[first : first + 500]}) for first in range(0, count, 500)]
        return asked, ended

    def _starts_and_ends(self, count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        starts, ends = [], []
        for _, call in self._calls(count):
            ends.append({"callId": call["callId"], "durationSeconds": call["durationSeconds"]})
            start = {name: call[name] for name in ("callId", "username", "number", "callerNumber")}
            starts.append(start | {"at": call["startedAt"]})
        return starts, ends

    def _request(self, query: str, value: dict[str, Any]) -> bytes:
        body = orjson.dumps({"query": query, "variables": {"input": value}})
        head = (
            "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            "accept: application/graphql-response+json\r\n"
            f"authorization: Bearer {self._tree.token}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body
