"""Look-ups of many requests are gathered into few statements, and no answer is older than its question."""

import asyncio
from collections.abc import Sequence

import pytest

from resolvers.gathering import Gathering


class Table:
    """What is looked up, and what was asked of it; a look-up lasts until it is let go."""

    def __init__(self) -> None:
        self.rows = {"a": 1, "b": 2}
        self.asked: list[list[str]] = []
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def load_many(self, keys: Sequence[str]) -> dict[str, int]:
        self.asked.append(list(keys))
        self.begun.set()
        rows = dict(self.rows)
        await self.go.wait()
        if "broken" in keys:
            raise LookupError("broken")
        return rows


async def test_what_is_asked_while_a_look_up_runs_goes_into_the_next() -> None:
    table = Table()
    gathering = Gathering(table.load_many)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        first = group.create_task(gathering.load("a"))
        await table.begun.wait()
        later = [group.create_task(gathering.load(key)) for key in ("a", "b", "nothing", "b")]
        await asyncio.sleep(0)
        table.rows["a"] = 7
        table.go.set()
    assert first.result() == 1
    assert [task.result() for task in later] == [7, 2, None, 2]
    assert table.asked == [["a"], ["a", "b", "nothing"]]


async def test_nothing_is_remembered() -> None:
    table = Table()
    table.go.set()
    gathering = Gathering(table.load_many)
    assert await gathering.load("a") == 1
    table.rows["a"] = 7
    assert await gathering.load("a") == 7
    assert table.asked == [["a"], ["a"]]


async def test_a_failure_reaches_everybody_who_asked_and_nobody_else() -> None:
    table = Table()
    gathering = Gathering(table.load_many)
    first = asyncio.create_task(gathering.load("a"))
    await table.begun.wait()
    failing = [asyncio.create_task(gathering.load(key)) for key in ("b", "broken")]
    await asyncio.sleep(0)
    table.go.set()
    assert await first == 1
    for task in failing:
        with pytest.raises(LookupError, match="broken"):
            await task
    assert await gathering.load("b") == 2


async def test_who_goes_away_takes_nothing_from_those_who_wait_for_the_same() -> None:
    table = Table()
    gathering = Gathering(table.load_many)
    leaving, staying = (asyncio.create_task(gathering.load("a")) for _ in range(2))
    await table.begun.wait()
    leaving.cancel()
    table.go.set()
    assert await staying == 1
    assert leaving.cancelled()
