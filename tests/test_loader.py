"""Loaders: siblings' look-ups in one statement, remembered until forgotten."""

import asyncio
from collections.abc import Sequence

import pytest

from resolvers.loader import Loader, Loaders


class Doubling:
    """Doubles what it is asked for, and notes each batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def load_many(self, keys: Sequence[int]) -> dict[int, int]:
        self.batches.append(list(keys))
        return {key: 2 * key for key in keys if key >= 0}


async def test_what_is_asked_together_is_loaded_together_and_each_key_once() -> None:
    source = Doubling()
    loader = Loader(source.load_many)

    assert await asyncio.gather(*map(loader.load, (1, 2, 1, -1))) == [2, 4, 2, None]
    assert source.batches == [[1, 2, -1]]


async def test_what_was_loaded_is_remembered() -> None:
    source = Doubling()
    loader = Loader(source.load_many)

    assert [await loader.load(1), await loader.load(1), await loader.load(2)] == [2, 2, 4]
    assert source.batches == [[1], [2]]


async def test_no_batch_is_larger_than_a_thousand() -> None:
    source = Doubling()
    loader = Loader(source.load_many)

    assert await asyncio.gather(*map(loader.load, range(2500))) == [2 * key for key in range(2500)]
    assert sorted(map(len, source.batches)) == [500, 1000, 1000]


async def test_everybody_who_waits_for_a_batch_sees_its_error() -> None:
    async def broken(keys: Sequence[int]) -> dict[int, int]:
        raise LookupError("away")

    loader = Loader(broken)
    answers = await asyncio.gather(loader.load(1), loader.load(2), loader.load(1), return_exceptions=True)

    assert [str(answer) for answer in answers] == ["away"] * 3
    with pytest.raises(LookupError):
        await loader.load(1)


async def test_one_who_stops_waiting_takes_the_answer_from_nobody() -> None:
    released = asyncio.Event()

    async def slow(keys: Sequence[int]) -> dict[int, int]:
        await released.wait()
        return {key: key for key in keys}

    loader = Loader(slow)
    impatient, patient = asyncio.create_task(loader.load(1)), asyncio.create_task(loader.load(1))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    released.set()
    assert await patient == 1


async def test_loaders_are_told_apart_by_name_and_forget_together() -> None:
    source, loaders = Doubling(), Loaders()

    assert await loaders.loader("a", source.load_many).load(1) == 2
    assert await loaders.loader("a", source.load_many).load(1) == 2
    assert await loaders.loader(("a", 1), source.load_many).load(1) == 2
    loaders.forget()
    assert await loaders.loader("a", source.load_many).load(1) == 2
    assert source.batches == [[1], [1], [1]]
