"""The steps of a simulation about calls that run: held, extended, ended in any order, and expired."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from tests.reference_holds import Authorized
from tests.reference_ledger import Call, charge_of
from tests.simulated_api import money_text
from tests.simulated_steps import SimulatedSteps

# The operator's list of holds is compared as one page.
HOLDS_MAX = 80


class SimulatedHolds(SimulatedSteps):
    """``pass_time`` makes these holds due, as if two days had passed, and waits until they are free."""

    pass_time: Callable[[list[str]], Awaitable[None]]

    async def authorize_call(self) -> None:
        """A new call, or one that has been heard of, in whatever state; perhaps with another number."""
        if len(self.ledger.holds) < HOLDS_MAX:
            call = self.some_call(new=0.6)
            if self.random.random() < 0.1:
                call = call._replace(number=self.new_call().number)
            by = self.switch_of(call)
            expected = self.ledger.authorize(
                call.call_id, call.username, call.number, call.started_at, by, datetime.now(UTC)
            )
            self.compare_authorized(by, call, await self.api.authorize_call(by, call), expected)
            await self.compare_holds()

    async def extend_call(self) -> None:
        """The next slice of some call, or one before it, or one too many; perhaps by somebody else's switch.

        Often at once again, or the one before it.
        """
        call, by = self.some_call(new=0.05), self.some_switch()
        sequence, talked_s = self.random.randint(1, 4), self.random.choice([None, None, 0, 90, 600])
        for again in range(self.random.randint(1, 3)):
            number = max(sequence - again // 2, 1)
            expected = self.ledger.extend(call.call_id, number, talked_s, by, datetime.now(UTC))
            if self.is_hidden(by, call):
                expected = Authorized("NOT_FOUND")
            shown = await self.api.extend_call(by, call.call_id, number, talked_s)
            self.compare_authorized(by, call, shown, expected)
        await self.compare_holds()

    async def settle_call(self, call: Call | None = None) -> None:
        """The end of some call, once more, too early, or with another duration; perhaps by somebody else's switch."""
        call, by = call or self.some_call(new=0.2), self.some_switch()
        duration_s = call.duration_s + self.random.choice([0, 0, 0, 1])
        started_at = self.random.choice([None, call.started_at])
        outcome = self.ledger.settle(call.call_id, duration_s, started_at, by)
        shown = await self.api.settle_call(by, call.call_id, duration_s, started_at)
        self.compare_ended(by, call, shown, outcome)
        await self.compare_holds()

    async def release_call(self) -> None:
        """The same of a call that nobody answered."""
        call, by = self.some_call(new=0.2), self.some_switch()
        outcome = self.ledger.settle(call.call_id, 0, None, by, released=True)
        self.compare_ended(by, call, await self.api.release_call(by, call.call_id), outcome)
        await self.compare_holds()

    async def time_passes(self) -> None:
        """For some calls their switch is silent for too long, and for some of these the end comes after all.

        Where nothing is held, something is first.
        """
        for _ in range(10):
            if any(hold.until for hold in self.ledger.holds.values()):
                break
            await self.authorize_call()
        held = [call_id for call_id, hold in self.ledger.holds.items() if hold.until]
        silent = [call_id for call_id in held if self.random.random() < 0.5] or held[:1]
        for call_id in silent:
            self.ledger.holds[call_id].until = datetime.now(UTC)
        self.outcomes["EXPIRED"] += len(silent)
        await self.pass_time(silent)
        self.ledger.expire(datetime.now(UTC))
        await self.compare_holds()
        for late in self.random.sample(silent, min(len(silent), 2)):
            await self.settle_call(next(call for call in self.calls if call.call_id == late))

    async def race_for_holds(self) -> None:
        """Equal calls of one account that want to start at once; the credit of a level covers only some slices."""
        call, count = self.new_call(), self.random.randint(4, 16)
        rates = self.ledger.prices(self.ledger.accounts[call.username], call.number, call.started_at)
        path = self.path(call.username)
        poorest = self.random.choice(path[1:] or path)
        for username, rate in list(zip(path, rates, strict=True))[1:]:
            slice_amount = Fraction(0) if rate is None else charge_of(rate, 60)
            enough = count if username != poorest else Fraction(self.random.randint(0, 4 * count), 4)
            await self.have_available(username, slice_amount * enough)
        racing = [call._replace(call_id=f"{call.call_id}.{number}") for number in range(count)]
        sent = racing + self.random.sample(racing, self.random.randint(0, 3))
        answers = await asyncio.gather(*(self.api.authorize_call("operator", one) for one in sent))
        shown: dict[str, list[Authorized]] = {one.call_id: [] for one in racing}
        for one, answer in zip(sent, answers, strict=True):
            shown[one.call_id].append(answer)
        # They are equal, and what is left becomes less: whoever got more came first.
        for one in sorted(racing, key=lambda one: (-shown[one.call_id][0].held_s, -shown[one.call_id][0].longest_s)):
            for answer in sorted(shown[one.call_id], key=lambda answer: answer.duplicate):
                expected = self.ledger.authorize(
                    one.call_id, one.username, one.number, one.started_at, "operator", datetime.now(UTC)
                )
                self.compare_authorized("operator", one, answer, expected)
        self.calls += racing
        await self.compare_holds()

    async def race_of_arrivals(self) -> None:
        """All that switches may ever say of some calls, at once and in any order, some of it twice."""
        talks, misses = ([self.new_call() for _ in range(self.random.randint(1, 3))] for _ in range(2))
        orders: list[Awaitable[Any]] = []
        for call in talks:
            orders += [
                self.api.authorize_call("operator", call),
                self.api.extend_call("operator", call.call_id, 1, None),
            ]
            orders += [self.settled(call) for _ in range(self.random.randint(1, 2))]
        for call in misses:
            orders += [self.api.authorize_call("operator", call) for _ in range(self.random.randint(1, 2))]
            orders += [self.api.release_call("operator", call.call_id)]
        self.random.shuffle(orders)
        await asyncio.gather(*orders)
        # An end that found no authorisation, because that was refused before it came, is carried out by another.
        for call in talks + misses:
            assert (await self.api.authorize_call("operator", call)).code in ("ENDED", "CALL_ENDED")
            released = call in misses
            duration_s = 0 if released else call.duration_s
            self.ledger.settle(call.call_id, duration_s, call.started_at, "operator", released=released)
            self.ledger.authorize(
                call.call_id, call.username, call.number, call.started_at, "operator", datetime.now(UTC)
            )
            shown = await self.api.call("operator", call.call_id)
            outcome = self.ledger.booked[call.call_id][1]
            # Who finds the purse empty depends on who came first.
            outcome.overdrawn = shown.overdrawn
            assert shown == self.seen("operator", call, outcome)
        self.calls += talks + [call._replace(duration_s=0) for call in misses]
        await self.compare_holds()

    def settled(self, call: Call) -> Awaitable[Any]:
        """The end of a call, as the operator's switch says it."""
        return self.api.settle_call("operator", call.call_id, call.duration_s, call.started_at)

    # -- Comparing ----------------------------------------------------------------------------------------------

    def compare_authorized(self, by: str, call: Call, shown: Authorized, expected: Authorized) -> None:
        """Whoever is in the way is shown only to those who see it; until when it is held only the database knows."""
        self.outcomes[expected.code + " again" * expected.duplicate] += 1
        path = self.path(call.username)
        seen = path[path.index(by) :] if by in path else []
        who = expected.who if expected.who in seen else None
        assert shown._replace(until=None) == expected._replace(until=None, who=who)
        if expected.code == "HELD":
            hold = self.ledger.holds[call.call_id]
            hold.until = shown.until
            self.outcomes["HELD at a price on three levels"] += sum(amount > 0 for amount in hold.amounts) >= 3

    def is_hidden(self, by: str, call: Call) -> bool:
        """Whether the call is in the books, for a viewer who sees nothing of it."""
        return call.call_id in self.ledger.booked and by not in self.path(call.username)

    def compare_ended(self, by: str, call: Call, shown: Any, outcome: Any) -> None:
        """A call in the books of which the viewer sees nothing does not exist for it."""
        if self.is_hidden(by, call):
            outcome = type(outcome)("NOT_FOUND")
        assert shown == self.seen(by, call, outcome)

    async def compare_holds(self) -> None:
        """What is held of the operator is held for the calls, and as far, as the ledger says."""
        shown = {hold.pop("callId"): hold for hold in await self.api.holds("operator")}
        assert shown == {
            call_id: {
                "held": money_text(hold.amounts[0]),
                "heldSeconds": hold.held_s,
                "account": {"username": hold.username},
            }
            for call_id, hold in self.ledger.holds.items()
            if hold.until is not None
        }

    # -- Choosing -----------------------------------------------------------------------------------------------

    def some_call(self, *, new: float) -> Call:
        """A new call, or one that was heard of before, rather one that is held."""
        if not self.calls or self.random.random() < new:
            call = self.new_call()
            self.calls.append(call)
            return call
        held = [call for call in self.calls if call.call_id in self.ledger.holds]
        return self.random.choice(held if held and self.random.random() < 0.7 else self.calls)

    def switch_of(self, call: Call) -> str:
        """An account that may ask for this call: a reseller on its path, often its own."""
        on_path = [name for name in self.path(call.username) if name in self.resellers]
        return self.random.choice([*on_path, on_path[-1]])

    def some_switch(self) -> str:
        """Rather the operator's, which may say everything."""
        return self.random.choice(["operator", "operator", *self.resellers])
