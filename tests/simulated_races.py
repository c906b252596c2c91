"""The steps of a simulation in which many tasks act at once, spread over all servers.

What each of them gets depends on who comes first; the steps are such that what they come to together does not.
"""

import asyncio
from collections import Counter, defaultdict
from fractions import Fraction

from tests.reference_ledger import Call
from tests.simulated_api import CallShown, CreditShown
from tests.simulated_holds import SimulatedHolds

STEPS = {
    "create_account": 15,
    "give_credit": 10,
    "repeat_credit": 3,
    "block": 6,
    "set_limit": 3,
    "select_list": 4,
    "create_list": 3,
    "change_list": 3,
    "change_rates": 8,
    "charge_call": 15,
    "repeat_call": 5,
    "charge_calls": 12,
    "race_for_credit": 6,
    "race_to_deduct": 3,
    "race_of_everybody": 6,
    "authorize_call": 20,
    "extend_call": 10,
    "settle_call": 12,
    "release_call": 4,
    "time_passes": 4,
    "race_for_holds": 10,
    "race_of_arrivals": 5,
}


# What must have become of calls as well, whatever the seed: a simulation in which nothing happens proves nothing.
HAPPENED = {"CHARGED", "HELD", "HELD at a price on three levels", "RELEASED", "EXPIRED"}


class Simulation(SimulatedHolds):
    """Random use of the product, alone and at once."""

    def missing(self) -> set[str]:
        """Kinds of steps that were not taken yet, and outcomes that no call has had."""
        return {*STEPS} - {*self.taken} | HAPPENED - (+self.outcomes).keys()

    async def step(self) -> str:
        """One random step, and the comparison of every account with the ledger. Answers the step's name.

        Every other step is of a kind that has not been taken yet, until all have been.
        """
        left = [name for name in STEPS if name not in self.taken]
        if left and self.random.random() < 0.5:
            name = self.random.choice(left)
        else:
            name = self.random.choices(list(STEPS), list(STEPS.values()))[0]
        self.taken.append(name)
        await getattr(self, name)()
        await self.compare()
        return name

    async def race_for_credit(self) -> None:
        """Equal calls of one account, whose credit covers only some of them; some are sent twice."""
        call, count = self.random.choice(self.calls_that_cost() or [self.new_call()]), self.random.randint(4, 16)
        *above, caller = zip(self.path(call.username), self.amounts(call), strict=True)
        for username, amount in above[1:]:
            if amount * count > self.available(self.ledger.accounts[username]):
                await self.have_available(username, amount * count)
        if caller[1] and above:
            await self.have_available(caller[0], self.about(caller[1], count))
        racing = [call._replace(call_id=f"{call.call_id}.{number}") for number in range(count)]
        sent = racing + self.random.sample(racing, self.random.randint(0, 3))
        answers = await asyncio.gather(*(self.api.charge_call("operator", one, "CHECK_CREDIT") for one in sent))
        shown: defaultdict[str, list[CallShown]] = defaultdict(list)
        for one, answer in zip(sent, answers, strict=True):
            shown[one.call_id].append(answer)
        # They are equal: whichever were charged first left the same for the others.
        for one in sorted(racing, key=lambda one: shown[one.call_id][0].code != "CHARGED"):
            expected = self.seen("operator", one, self.ledger.charge(one, "CHECK_CREDIT"))
            repeats = [answer for answer in shown[one.call_id] if answer.duplicate]
            assert [answer._replace(duplicate=False) for answer in shown[one.call_id]] == [expected] * (
                len(shown[one.call_id])
            )
            assert len(repeats) == (len(shown[one.call_id]) - 1 if expected.code == "CHARGED" else 0)
        self.calls += racing

    async def race_to_deduct(self) -> None:
        """Equal deductions, one of them sent twice, of which the balance covers only some."""
        username, amount, count = self.somebody(), self.money(10) + 1, self.random.randint(3, 9)
        await self.have_available(username, self.about(amount, count))
        credits = [self.new_credit(-amount, username=username, by="operator") for _ in range(count)]
        answers = await asyncio.gather(*map(self.api.credit, [credits[0], *credits]))
        booked = [answer for answer in answers if answer.refused is None and not answer.duplicate]
        for _ in booked:
            assert self.ledger.credit(username, -amount) is None
        if len(booked) < count:
            assert self.ledger.credit(username, -amount) == "INSUFFICIENT_CREDIT"
        first_was_booked = answers[0].refused is None
        assert Counter((answer.refused, answer.duplicate) for answer in answers) == +Counter(
            {
                (None, False): len(booked),
                (None, True): int(first_was_booked),
                ("INSUFFICIENT_CREDIT", False): count - len(booked) + (not first_was_booked),
            }
        )

    async def race_of_everybody(self) -> None:
        """Batches of calls that were carried already, and credit: in any order they come to the same."""
        batches = [
            [self.new_call() for _ in range(self.random.randint(1, 5))] for _ in range(self.random.randint(2, 8))
        ]
        credits = [self.new_credit(self.money(30) + 1, by="operator") for _ in range(self.random.randint(0, 5))]
        charging = [self.api.charge_calls("operator", calls, "ALWAYS_CHARGE") for calls in batches]
        answers, shown = await asyncio.gather(asyncio.gather(*charging), asyncio.gather(*map(self.api.credit, credits)))
        for calls, answer in zip(batches, answers, strict=True):
            for call, seen in zip(calls, answer.calls, strict=True):
                expected = self.ledger.charge(call, "ALWAYS_CHARGE")
                # Who finds the purse empty depends on who came first.
                expected.overdrawn = seen.overdrawn
                assert seen == self.seen("operator", call, expected)
            self.calls += calls
        for credit, one in zip(credits, shown, strict=True):
            assert one == CreditShown(None, False, one.balance_after)
            assert self.ledger.credit(credit.username, credit.amount) is None

    def calls_that_cost(self) -> list[Call]:
        """New calls of accounts below the operator that nothing but missing credit could refuse."""
        calls = [self.new_call() for _ in range(20)]
        return [
            call
            for call in calls
            if call.username != "operator" and self.amounts(call)[-1] and not self.refusal_of_viewer(call.username)
        ]

    def about(self, amount: Fraction, count: int) -> Fraction:
        """Some multiple of an amount, to the unit or a unit beside it; or something between two."""
        beside = self.random.choice([Fraction(-1, 10**5), Fraction(0), Fraction(1, 10**5), amount / 2])
        return max(amount * self.random.randint(0, count) + beside, Fraction(0))
