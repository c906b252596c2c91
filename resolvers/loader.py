"""Gather single look-ups of one request into one statement.

A list of fifty accounts asks fifty times for "my rate list". Each asks the same `Loader`, which waits until every
field that can run has asked and then loads all keys at once. What was loaded is remembered until `Loaders.forget`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

LoadMany = Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]

# One statement is never given more keys than this; its arrays and its answer stay small.
_KEYS_MAX = 1000


class Loader(Generic[Key, Value]):
    """Loads by key through ``load_many``, which answers a mapping; a key that it leaves out is None."""

    def __init__(self, load_many: LoadMany[Key, Value]) -> None:
        self._load_many = load_many
        self._known: dict[Key, asyncio.Future[Value | None]] = {}
        self._waiting: list[Key] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, key: Key) -> Value | None:
        """The value of ``key``, or None. Raises: whatever ``load_many`` raised."""
        future = self._known.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._known[key] = loop.create_future()
            if not self._waiting:
                # Once more around the loop, so that siblings which are ready to run can ask as well.
                loop.call_soon(loop.call_soon, self._dispatch)
            self._waiting.append(key)
        return await asyncio.shield(future)

    def _dispatch(self) -> None:
        keys, self._waiting = self._waiting, []
        for start in range(0, len(keys), _KEYS_MAX):
            task = asyncio.ensure_future(self._load(keys[start : start + _KEYS_MAX]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _load(self, keys: list[Key]) -> None:
        futures = [(key, self._known[key]) for key in keys]
        try:
            values = await self._load_many(keys)
        except BaseException as error:
            for _, future in futures:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # whoever waits sees it; nobody waiting is no reason to warn
            if not isinstance(error, Exception):
                raise
            return
        for key, future in futures:
            if not future.done():
                future.set_result(values.get(key))


class Loaders:
    """The loaders of one request, made on first use and told apart by a name such as ``("customers", page)``."""

    def __init__(self) -> None:
        self._loaders: dict[Hashable, Loader[Any, Any]] = {}

    def loader(self, name: Hashable, load_many: LoadMany[Key, Value]) -> Loader[Key, Value]:
        """The request's loader of this name; ``load_many`` is kept from the first call."""
        found = self._loaders.get(name)
        if found is None:
            found = self._loaders[name] = Loader(load_many)
        return found

    def forget(self) -> None:
        """Drop everything loaded. After a mutation, and before each event of a subscription."""
        self._loaders = {}
