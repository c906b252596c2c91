"""The naive second set of books with calls that run: what is held for whom, written from the rules alone.

The clock is an argument. A hold ends when its call is booked; when its time is over it stays, holding nothing.
"""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from tests.reference_ledger import Account, Call, Ledger, Outcome, Rate, charge_of


@dataclass
class Hold:
    """``amounts`` is what is held of each level, operator first; ``until`` None: its time is over.

    ``asker`` is the highest account whose switch has authorised the call: whoever is below may not say how it goes on.
    """

    username: str
    asker: str
    number: str
    at: datetime
    amounts: list[Fraction]
    sequence: int = 0
    held_s: int = 0
    longest_s: int = 0
    until: datetime | None = None


class End(NamedTuple):
    duration_s: int
    started_at: datetime | None
    released: bool


class Authorized(NamedTuple):
    """``code`` is HELD, ENDED (its end came first) or the refusal's; then ``who`` is the account in the way."""

    code: str
    who: str | None = None
    held_s: int = 0
    longest_s: int = 0
    until: datetime | None = None
    duplicate: bool = False


class HoldLedger(Ledger):
    def __init__(self, operator: str, slice_s: int = 60, ttl_s: int = 120, longest_s: int = 4 * 3600) -> None:
        super().__init__(operator)
        self.slice_s, self.ttl, self.longest_s = slice_s, timedelta(seconds=ttl_s), longest_s
        self.holds: dict[str, Hold] = {}
        self.ends: defaultdict[str, dict[str, End]] = defaultdict(dict)

    def names(self, username: str) -> list[str]:
        """The usernames on the path, operator first."""
        by_id = {id(account): name for name, account in self.accounts.items()}
        return [by_id[id(account)] for account in self.accounts[username].path()]

    def expire(self, now: datetime) -> None:
        for hold in self.holds.values():
            if hold.until is not None and hold.until <= now:
                self._free(hold)

    def may_tell(self, hold: Hold) -> list[str]:
        """Who may extend and end the call."""
        path = self.names(hold.username)
        return path[: path.index(hold.asker) + 1]

    def authorize(
        self, call_id: str, username: str, number: str, at: datetime | None, asker: str, now: datetime
    ) -> Authorized:
        if call_id in self.booked:
            return Authorized("CALL_ENDED")
        hold = self.holds.get(call_id)
        if hold is not None:
            if (hold.username, hold.number) != (username, number) or at not in (None, hold.at):
                return Authorized("IDEMPOTENCY_CONFLICT")
            if asker in self.may_tell(hold):
                hold.asker = asker
            if hold.until is not None:
                return self._held(hold, duplicate=True)
        path = self.names(username)
        if hold is None:
            hold = Hold(username, asker, number, at or now, [Fraction(0)] * len(path))
        for name in self.may_tell(hold):
            if name in self.ends.get(call_id, {}):
                end = self.ends[call_id][name]
                self._book(Call(call_id, username, number, end.started_at or hold.at, end.duration_s), end.released)
                return Authorized("ENDED", until=now)
        for name in reversed(path):
            if self.accounts[name].blocked:
                return Authorized("ACCOUNT_BLOCKED", who=name)
        first_s = max((rate.first_s for rate in self._rates(hold) if rate is not None), default=0)
        answer = self._grant(hold, max(hold.held_s, self.slice_s, first_s), now)
        if answer.code == "HELD":
            self.holds[call_id] = hold
        return answer

    def extend(self, call_id: str, sequence: int, talked_s: int | None, reporter: str, now: datetime) -> Authorized:
        if call_id in self.booked:
            return Authorized("CALL_ENDED")
        hold = self.holds.get(call_id)
        if hold is None or reporter not in self.names(hold.username):
            return Authorized("NOT_FOUND")
        if reporter not in self.may_tell(hold):
            return Authorized("NOT_ALLOWED")
        if sequence > hold.sequence:
            answer = self._grant(hold, max(hold.held_s, talked_s or 0) + self.slice_s, now)
            if answer.code == "HELD":
                hold.sequence = sequence
            return answer
        return self._held(hold, duplicate=True) if hold.until else self._grant(hold, hold.held_s, now)

    def settle(
        self, call_id: str, duration_s: int, started_at: datetime | None, reporter: str, *, released: bool = False
    ) -> Outcome:
        """The outcome; its code is PENDING when nothing is known of the call yet."""
        if call_id in self.booked:
            first, outcome = self.booked[call_id]
            if first.duration_s != duration_s or started_at not in (None, first.started_at):
                return Outcome("IDEMPOTENCY_CONFLICT")
            return replace(outcome, duplicate=True)
        hold = self.holds.get(call_id)
        if hold is None:
            end = End(duration_s, started_at, released)
            same = self.ends[call_id].setdefault(reporter, end) == end
            return Outcome("PENDING" if same else "IDEMPOTENCY_CONFLICT")
        if reporter not in self.names(hold.username):
            return Outcome("NOT_FOUND")
        if reporter not in self.may_tell(hold):
            return Outcome("NOT_ALLOWED")
        return self._book(Call(call_id, hold.username, hold.number, started_at or hold.at, duration_s), released)

    def charge(self, call: Call, policy: str, reporter: str | None = None) -> Outcome:
        """A finished call; if it is held, it has started long ago, and is charged whatever the policy."""
        hold = self.holds.get(call.call_id)
        if hold is None:
            outcome = super().charge(call, policy)
            if call.call_id in self.booked:
                self.ends.pop(call.call_id, None)
            return outcome
        if (hold.username, hold.number) != (call.username, call.number):
            return Outcome("IDEMPOTENCY_CONFLICT")
        if reporter is not None and reporter not in self.may_tell(hold):
            return Outcome("NOT_ALLOWED")
        return self._book(call, released=False)

    def _book(self, call: Call, released: bool) -> Outcome:
        if call.call_id in self.holds:
            self._free(self.holds.pop(call.call_id))
        outcome = self.charge(call, "ALWAYS_CHARGE")
        if released:
            # Without a price there is nothing to show of any level.
            outcome.charged = [] if outcome.code == "UNRATED" else outcome.charged
            outcome.code = "RELEASED"
        return outcome

    def _rates(self, hold: Hold) -> list[Rate | None]:
        return self.prices(self.accounts[hold.username], hold.number, hold.at)

    def _grant(self, hold: Hold, wanted_s: int, now: datetime) -> Authorized:
        path, rates = self.accounts[hold.username].path(), self._rates(hold)
        if None in rates:
            unpriced = max(level for level, rate in enumerate(rates) if rate is None)
            return Authorized("NO_RATE", who=self.names(hold.username)[unpriced])
        longest_s, who = self.longest_s, None
        for account, rate, own in reversed(list(zip(path, rates, hold.amounts, strict=True))):
            assert rate is not None
            level_s = self._longest_of(account, rate, own)
            if level_s < longest_s:
                longest_s, who = level_s, next(name for name, one in self.accounts.items() if one is account)
        held_s = min(wanted_s, longest_s)
        if held_s <= (hold.held_s if hold.until else 0):
            return Authorized("LIMIT_REACHED" if who is None else "INSUFFICIENT_CREDIT", who=who)
        self._free(hold)
        hold.amounts = [charge_of(rate, held_s) for rate in rates if rate is not None]
        for account, amount in zip(path, hold.amounts, strict=True):
            account.held += amount
        hold.held_s, hold.longest_s, hold.until = held_s, longest_s, now + self.ttl
        return self._held(hold)

    def _longest_of(self, account: Account, rate: Rate, own: Fraction) -> int:
        """The most seconds whose charge one level can pay; a charge never falls as a call gets longer."""

        def too_long(seconds: int) -> bool:
            amount = charge_of(rate, seconds)
            return (
                amount > 0
                and account.limit is not None
                and amount > (account.balance + account.limit - account.held + own)
            )

        return bisect_left(range(1, self.longest_s + 1), True, key=too_long)

    def _free(self, hold: Hold) -> None:
        for account, amount in zip(self.accounts[hold.username].path(), hold.amounts, strict=True):
            account.held -= amount
        hold.amounts, hold.until = [Fraction(0)] * len(hold.amounts), None

    def _held(self, hold: Hold, *, duplicate: bool = False) -> Authorized:
        return Authorized("HELD", None, hold.held_s, hold.longest_s, hold.until, duplicate)
