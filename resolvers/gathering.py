"""Gather the same look-up of many requests into one statement, and remember nothing.

What is asked while a statement runs goes into the next one. So a lone request waits for nobody, a busy moment makes
large statements by itself, and no answer is older than its question.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Gathering(Generic[Key, Value]):
    """Looks up by key through ``load_many``, which answers a mapping; a key that it leaves out is None."""

    def __init__(self, load_many: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        self._load_many = load_many
        self._asked: dict[Key, asyncio.Future[Value | None]] = {}
        self._worker: asyncio.Task[None] | None = None

    async def load(self, key: Key) -> Value | None:
        """What ``load_many``, called after this, answers for ``key``. Raises: whatever it raised."""
        future = self._asked.get(key)
        if future is None:
            future = self._asked[key] = asyncio.get_running_loop().create_future()
            if self._worker is None:
                self._worker = asyncio.create_task(self._work())
        # Others may wait for the same: whoever goes away must not take it from them.
        return await asyncio.shield(future)

    async def _work(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                await self._answer(asked)
        finally:
            # Nothing else runs between the last look at what is asked and this line.
            self._worker = None

    async def _answer(self, asked: "dict[Key, asyncio.Future[Value | None]]") -> None:
        try:
            found = await self._load_many(list(asked))
        except BaseException as error:
            for future in asked.values():
                future.set_exception(error if isinstance(error, Exception) else RuntimeError("look-ups were stopped"))
                future.exception()  # whoever waits sees it; nobody waiting is no reason to warn
            if not isinstance(error, Exception):
                raise
            return
        for key, future in asked.items():
            future.set_result(found.get(key))
