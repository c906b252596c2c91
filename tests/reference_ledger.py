"""A second, naive set of books: what the product must come to, in as few and as plain lines as possible.

Written from the rules alone, with fractions and loops, and nothing of the product's own code. Amounts are `Fraction`s
of the currency. Accounts go by their full username. It knows no versions, times of booking or call numbers.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction
from math import floor
from typing import NamedTuple

EVER = datetime.min.replace(tzinfo=UTC)


class Rate(NamedTuple):
    prefix: str
    per_minute: Fraction
    fee: Fraction = Fraction(0)
    first_s: int = 1
    next_s: int = 1
    blocked: bool = False
    effective_from: datetime | None = None


# What holds from when on, by prefix; None: nothing.
Versions = dict[str, dict[datetime, Rate | None]]


@dataclass
class RateList:
    discount_percent: Fraction = Fraction(0)
    versions: Versions = field(default_factory=dict)

    def match(self, number: str, at: datetime, at_least: int = 1) -> Rate | None:
        """The longest prefix's rate among those that hold."""
        found = None
        for length in range(at_least, len(number) + 1):
            versions = self.versions.get(number[:length], {})
            begun = [start for start in versions if start <= at]
            held = versions[max(begun)] if begun else None
            found = found if held is None else held
        return found


@dataclass
class Account:
    parent: "Account | None"
    rate_list: RateList
    limit: Fraction | None = Fraction(0)
    balance: Fraction = Fraction(0)
    held: Fraction = Fraction(0)
    blocked: bool = False
    usage: dict[date, list[Fraction]] = field(default_factory=lambda: defaultdict(lambda: [Fraction(0)] * 3))

    def path(self) -> "list[Account]":
        return [*(self.parent.path() if self.parent else []), self]

    def can_pay(self, amount: Fraction) -> bool:
        return amount == 0 or self.limit is None or amount <= self.balance + self.limit - self.held


class Call(NamedTuple):
    call_id: str
    username: str
    number: str
    started_at: datetime
    duration_s: int


@dataclass
class Outcome:
    """``code`` is CHARGED, UNRATED or the refusal's; ``charged`` is what each level paid, operator first."""

    code: str
    charged: list[Fraction] = field(default_factory=list)
    overdrawn: bool = False
    duplicate: bool = False


def half_up(value: Fraction, decimals: int) -> Fraction:
    return Fraction(floor(value * 10**decimals + Fraction(1, 2)), 10**decimals)


def charge_of(rate: Rate, duration_s: int) -> Fraction:
    if duration_s == 0:
        return Fraction(0)
    billed_s = rate.first_s
    while billed_s < duration_s:
        billed_s += rate.next_s
    return half_up(rate.fee + rate.per_minute * billed_s / 60, 5)


class Ledger:
    def __init__(self, operator: str) -> None:
        self.base = RateList()
        self.accounts = {operator: Account(None, self.base, limit=None)}
        self.booked: dict[str, tuple[Call, Outcome]] = {}

    def credit(self, username: str, amount: Fraction) -> str | None:
        """Nobody else's balance moves. Answers the refusal's code, if it is one."""
        account = self.accounts[username]
        if amount == 0:
            return "INVALID_AMOUNT"
        if amount < 0 and account.limit is not None and account.balance + account.limit - account.held + amount < 0:
            return "INSUFFICIENT_CREDIT"
        account.balance += amount
        return None

    def set_rates(self, rate_list: RateList, rates: list[Rate], now: datetime, replace: bool = False) -> None:
        if replace:
            for prefix, versions in rate_list.versions.items():
                new = next((rate for rate in rates if rate.prefix == prefix), None)
                # What was planned gives way; what held until now is withdrawn, or changed below.
                for start in [start for start in versions if start > now]:
                    if new is None or (new.effective_from or now) <= start:
                        versions[start] = new
                if new is None and any(start <= now for start in versions):
                    versions[now] = None
        for rate in rates:
            versions = rate_list.versions.setdefault(rate.prefix, {})
            held_before = any(start <= now for start in versions)
            versions[rate.effective_from or (now if held_before else EVER)] = rate

    def prices(self, account: Account, number: str, at: datetime) -> list[Rate | None]:
        """The rate of each level, operator first; None where it has none, or a blocked one."""
        found: list[Rate | None] = [self.base.match(number, at)]
        for level in account.path()[1:]:
            upper, percent = found[-1], level.rate_list.discount_percent
            own = level.rate_list.match(number, at, len(upper.prefix) if upper else 1)
            if own is None and upper is not None:
                share = (100 - percent) / 100
                own = upper._replace(per_minute=half_up(upper.per_minute * share, 8), fee=half_up(upper.fee * share, 8))
            found.append(own)
        return [None if rate is None or rate.blocked else rate for rate in found]

    def charge(self, call: Call, policy: str) -> Outcome:
        if call.call_id in self.booked:
            first, outcome = self.booked[call.call_id]
            if first != call:
                return Outcome("IDEMPOTENCY_CONFLICT")
            return Outcome(outcome.code, outcome.charged, outcome.overdrawn, duplicate=True)
        path = self.accounts[call.username].path()
        rates = self.prices(path[-1], call.number, call.started_at)
        unrated = None in rates
        amounts = [Fraction(0) if unrated or rate is None else charge_of(rate, call.duration_s) for rate in rates]
        short = not all(account.can_pay(amount) for account, amount in zip(path, amounts, strict=True))
        if policy == "CHECK_CREDIT":
            if any(account.blocked for account in path):
                return Outcome("ACCOUNT_BLOCKED")
            if unrated or short:
                return Outcome("NO_RATE" if unrated else "INSUFFICIENT_CREDIT")
        for account, amount in zip(path, amounts, strict=True):
            account.balance -= amount
            day = account.usage[call.started_at.astimezone(UTC).date()]
            day[:] = [day[0] + 1, day[1] + call.duration_s, day[2] + amount]
        outcome = Outcome("UNRATED" if unrated else "CHARGED", amounts, overdrawn=short)
        self.booked[call.call_id] = (call, outcome)
        return outcome
