"""The state of a simulation: the tree as the reference ledger has it, and what is chosen at random from it."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import cycle
from random import Random
from typing import Any

import httpx

from tests.reference_holds import HoldLedger
from tests.reference_ledger import Account, Call, Outcome, Rate, RateList, charge_of
from tests.simulated_api import CallShown, Credit, money_text
from tests.simulated_hold_api import SimulatedHoldApi

DEPTH_MAX = 8
ACCOUNTS_MAX = 40
# Prices change at these instants, at the present, or half an hour from now; calls start far from all of them.
PAST_CHANGES = [datetime(2026, 1, day, tzinfo=UTC) for day in (10, 20)]
PAST_CALLS = [datetime(2026, 1, day, 23, 59, 59, tzinfo=UTC) for day in (5, 15, 25)]
NUMBERS = ["4311", "43112", "4312", "43123", "4321", "44123", "4412", "991"]


class SimulatedWorld:
    """Whatever is random comes from the seed's generator. Accounts go by username.

    ``found`` is the operator as the API shows it before anything is done, ``accounts_found`` how many are below it by
    then: the simulation knows nothing else of them, and leaves them alone.
    """

    found: dict[str, Any]
    accounts_found: int

    def __init__(self, seed: int, clients: Sequence[httpx.AsyncClient]) -> None:
        self.random = Random(seed)
        self.ledger = HoldLedger("operator")
        self.api = SimulatedHoldApi(cycle(clients))
        self.depth_max = self.random.randint(2, DEPTH_MAX)
        self.numbers = list(NUMBERS)
        self.resellers = ["operator"]
        self.lists: dict[str, list[RateList]] = {"operator": []}
        self.predefined: list[RateList] = []
        self.calls: list[Call] = []
        self.credits: list[Credit] = []
        self.outcomes: Counter[str] = Counter()
        self.taken: list[str] = []
        self._numbered = 0

    async def compare(self) -> None:
        """Every account as the API shows it is what the ledger says."""
        shown = {account.pop("username"): account for account in await self.api.accounts()}
        assert shown.keys() == self.ledger.accounts.keys()
        assert await self.api.descendant_count() == self.accounts_found + len(shown) - 1
        for username, account in self.ledger.accounts.items():
            calls, seconds, charged = map(sum, zip([Fraction(0)] * 3, *account.usage.values(), strict=True))
            available = None if account.limit is None else account.balance + account.limit - account.held
            assert (username, shown[username]) == (
                username,
                {
                    "balance": money_text(account.balance),
                    "held": money_text(account.held),
                    "available": None if available is None else money_text(available),
                    "creditLimit": None if account.limit is None else money_text(account.limit),
                    "blocked": any(level.blocked for level in account.path()),
                    "usage": {
                        "calls": calls,
                        "durationSeconds": seconds,
                        "charged": money_text(Fraction(charged)),
                    },
                },
            )

    # -- What follows from the tree -----------------------------------------------------------------------------

    def path(self, username: str) -> list[str]:
        """The usernames from the operator down to this account."""
        names = {id(account): name for name, account in self.ledger.accounts.items()}
        return [names[id(account)] for account in self.ledger.accounts[username].path()]

    def refusal_of_viewer(self, by: str) -> str | None:
        """Why somebody may change nothing, if so."""
        blocked = any(account.blocked for account in self.ledger.accounts[by].path())
        return "ACCOUNT_BLOCKED" if blocked else None

    def seen(self, by: str, call: Call, outcome: Outcome) -> CallShown:
        """The ledger's outcome as ``by`` is shown it: its own level and those below. Counted, for the report."""
        self.outcomes[outcome.code + " again" * outcome.duplicate + " overdrawn" * outcome.overdrawn] += 1
        if outcome.code not in ("CHARGED", "UNRATED", "RELEASED"):
            return CallShown(outcome.code)
        amounts = outcome.charged[self.path(call.username).index(by) :] if outcome.code != "UNRATED" else []
        return CallShown(outcome.code, tuple(map(money_text, amounts)), outcome.overdrawn, outcome.duplicate)

    def amounts(self, call: Call) -> list[Fraction]:
        """What each level would pay for the call, operator first; nothing where one has no rate."""
        rates = self.ledger.prices(self.ledger.accounts[call.username], call.number, call.started_at)
        return [Fraction(0) if None in rates or rate is None else charge_of(rate, call.duration_s) for rate in rates]

    def available(self, account: Account) -> Fraction:
        """What an account other than the operator can spend."""
        assert account.limit is not None
        return account.balance + account.limit - account.held

    # -- What is chosen -----------------------------------------------------------------------------------------

    def new_name(self, kind: str) -> str:
        """A name that was not there before."""
        self._numbered += 1
        return f"{kind}{self._numbered}"

    def somebody(self) -> str:
        """An account below the operator."""
        return self.random.choice(list(self.ledger.accounts)[1:])

    def money(self, below: int) -> Fraction:
        """An amount from 0 up with five decimals, often with fewer."""
        unit = self.random.choice([1, 1000, 10**5])
        return Fraction(self.random.randrange(below * 10**5) // unit * unit, 10**5)

    def percent(self) -> Fraction:
        """A markup of up to 60 % or a discount of up to 30."""
        return Fraction(self.random.randint(-600_000, 300_000), 10**4)

    def selectable(self, reseller: str) -> RateList:
        """A list that the reseller may give its customers."""
        if self.random.random() < 0.03:
            # Everything below calls for free, unless a list has a price of its own.
            return next(one for one in self.predefined if one.discount_percent == 100)
        priced = [one for one in self.predefined if one.discount_percent < 100]
        return self.random.choice([*priced, *self.lists[reseller] * 3])

    def rate(self, prefix: str) -> Rate:
        """A price for the prefix, often in whole minutes, from ever, from now, or from a day on."""
        first_s, next_s = self.random.choice([(1, 1), (60, 60), (30, 6), (60, 11)])
        soon = datetime.now(UTC) + timedelta(minutes=30)
        return Rate(
            prefix,
            per_minute=Fraction(self.random.choice([0, 5_000_000, self.random.randrange(10**8)]), 10**8),
            fee=Fraction(self.random.choice([0, 0, self.random.randrange(10**7)]), 10**8),
            first_s=first_s,
            next_s=next_s,
            blocked=self.random.random() < 0.07,
            effective_from=self.random.choice([None, None, None, soon, *PAST_CHANGES]),
        )

    def prefix(self) -> str:
        """The beginning of a number."""
        number = self.random.choice(self.numbers[:-1])
        return number[: self.random.randint(1, len(number))]

    def new_call(self) -> Call:
        """A call of anybody, started in an hour (when every change so far holds) or in the past.

        Rather to a number that every level has a price for.
        """
        soon = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
        username = self.random.choice(list(self.ledger.accounts))
        started_at = self.random.choice([soon, soon, soon, *PAST_CALLS])
        account = self.ledger.accounts[username]
        priced = [number for number in self.numbers if None not in self.ledger.prices(account, number, started_at)]
        return Call(
            self.new_name("call "),
            username,
            self.random.choice(priced if priced and self.random.random() < 0.7 else self.numbers),
            started_at,
            self.random.choice([0, 1, 60, 61, *(self.random.randrange(900) for _ in range(4))]),
        )

    def policy(self) -> str:
        """One of the two."""
        return self.random.choice(["CHECK_CREDIT", "CHECK_CREDIT", "ALWAYS_CHARGE"])

    def new_credit(self, amount: Fraction, *, username: str | None = None, by: str | None = None) -> Credit:
        """A transaction under a new key, by the operator or the account's own reseller unless said."""
        username = username or self.somebody()
        by = by or self.random.choice([self.path(username)[-2], "operator"])
        return Credit(by, username, amount, self.new_name("key "))
