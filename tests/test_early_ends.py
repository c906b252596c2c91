"""Ends that come before their authorisation, and ends that somebody else reports under the same `callId`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from billing.charge_order import Booked
from billing.errors import IdempotencyConflict, NotAllowed, NotFound
from billing.hold_order import Authorization, AuthorizeOrder, EndPending, SettleOrder
from models.database import Database
from tests.charging_world import ChargingWorld, Member, call, charging_world, rate


@dataclass
class Calls:
    """operator ▶ good ▶ keytyh, who calls at 1.00 a minute; and a reseller that has nothing to do with it."""

    world: ChargingWorld
    good: Member
    keytyh: Member
    stranger: Member

    async def submit(self, order: Any) -> Any:
        """The answer to one order."""
        (answer,) = await self.world.batcher.submit([order])
        return answer

    def authorize(self, at: datetime | None = None, *, by: Member | None = None) -> AuthorizeOrder:
        """keytyh wants to call."""
        return AuthorizeOrder("c-1", self.keytyh.path, "431234", None, at, by.id if by else None)

    async def kept(self) -> list[tuple[Any, ...]]:
        """What is kept of calls that are not booked: holds, early ends."""
        counts = "SELECT (SELECT count(*) FROM holds), (SELECT count(*) FROM early_ends)"
        return await self.world.select(counts)


@pytest.fixture
async def calls(db: Database) -> AsyncIterator[Calls]:
    async with charging_world(db) as world:
        await world.set_base_rates(rate("43", "1"))
        good = await world.reseller("good", of=world.operator, credit="10")
        stranger = await world.reseller("stranger", of=world.operator, credit="10")
        yield Calls(world, good, await world.customer("keytyh", of=good, credit="10"), stranger)


def end_by(reporter: Member, duration_s: int = 30, *, released: bool = False) -> SettleOrder:
    """The end of the call, as this account's switch reports it."""
    return SettleOrder("c-1", duration_s, None, reporter.id, released)


async def test_a_strangers_early_end_does_not_keep_the_hold_of_a_call_that_has_ended(calls: Calls) -> None:
    assert isinstance(await calls.submit(end_by(calls.stranger)), EndPending)
    assert isinstance(await calls.submit(calls.authorize()), Authorization)
    assert (await calls.world.state(calls.keytyh)).held == "1.00000"
    assert isinstance(await calls.submit(end_by(calls.good)), Booked)
    assert await calls.kept() == [(0, 0)]
    assert (await calls.world.state(calls.keytyh)).held == "0.00000"


async def test_a_strangers_early_end_does_not_stand_in_the_way_of_the_right_one(calls: Calls) -> None:
    assert isinstance(await calls.submit(end_by(calls.stranger, released=True)), EndPending)
    assert isinstance(await calls.submit(end_by(calls.good)), EndPending)
    answer = await calls.submit(calls.authorize())
    assert (answer.max_duration_s, answer.held_s, answer.price_per_minute_e8) == (0, 0, 0)
    assert await calls.world.balances(calls.keytyh, calls.good) == ["9.50000", "9.50000"]
    assert await calls.kept() == [(0, 0)]


async def test_of_two_early_ends_on_the_path_that_of_the_account_highest_up_counts(calls: Calls) -> None:
    assert isinstance(await calls.submit(end_by(calls.good, 30)), EndPending)
    assert isinstance(await calls.submit(end_by(calls.world.operator, 60)), EndPending)
    await calls.submit(calls.authorize())
    assert await calls.world.balances(calls.keytyh) == ["9.00000"]
    assert await calls.kept() == [(0, 0)]


async def test_an_early_end_with_other_content_from_the_same_switch_is_refused(calls: Calls) -> None:
    assert isinstance(await calls.submit(end_by(calls.good, 30)), EndPending)
    assert isinstance(await calls.submit(end_by(calls.good, 31)), IdempotencyConflict)
    await calls.submit(calls.authorize())
    assert await calls.world.balances(calls.keytyh) == ["9.50000"]


async def test_a_finished_call_forgets_every_early_end(calls: Calls) -> None:
    await calls.submit(end_by(calls.stranger))
    await calls.submit(end_by(calls.good))
    assert isinstance(await calls.submit(call(calls.keytyh, "c-1")), Booked)
    assert await calls.kept() == [(0, 0)]


async def test_a_stranger_does_not_settle_a_held_call(calls: Calls) -> None:
    await calls.submit(calls.authorize())
    assert isinstance(await calls.submit(end_by(calls.stranger)), NotFound)
    assert await calls.kept() == [(1, 0)]
    assert (await calls.world.state(calls.keytyh)).held == "1.00000"


async def test_of_two_switches_that_authorise_a_call_the_one_highest_up_decides_who_may_end_it(calls: Calls) -> None:
    for by in (calls.keytyh, calls.good, calls.keytyh):
        assert isinstance(await calls.submit(calls.authorize(by=by)), Authorization)
    assert isinstance(await calls.submit(end_by(calls.keytyh, 0)), NotAllowed)
    assert isinstance(await calls.submit(end_by(calls.good, 30)), Booked)
    assert await calls.world.balances(calls.keytyh, calls.good) == ["9.50000", "9.50000"]


async def test_asking_again_for_an_expired_hold_gives_nobody_the_right_to_end_it(calls: Calls) -> None:
    assert isinstance(await calls.submit(end_by(calls.keytyh, 0)), EndPending)
    assert isinstance(await calls.submit(calls.authorize(by=calls.good)), Authorization)
    await calls.world.execute("UPDATE holds SET expires_at = expires_at - interval '1 hour'")
    answer = await calls.submit(calls.authorize(by=calls.keytyh))
    assert (answer.held_s, answer.duplicate) == (60, False)
    assert isinstance(await calls.submit(end_by(calls.good, 30)), Booked)
    assert await calls.kept() == [(0, 0)]
