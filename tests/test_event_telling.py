"""Events that are told the moment they come, past the stream: which they are, and which come by the stream."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from resolvers import balance_watcher
from resolvers.account_directory import AccountRef
from resolvers.accounts import AccountRow
from resolvers.balance_state import SCAN_ACCOUNTS, BalanceState, LiveCause
from resolvers.balance_watcher import SubtreeWatcher, Watcher
from resolvers.request_errors import Unauthenticated
from schema.event_teller import EventTeller

OPERATOR = AccountRef(1, "operator", (1,))
GOOD = AccountRef(5, "good", (1, 5))
KEYTYH = AccountRef(7, "keytyh*good", (1, 5, 7))


async def no_row(_account_id: int) -> AccountRow | None:
    raise AssertionError("nobody asks for the row")


def state(version: int, account: AccountRef = KEYTYH) -> BalanceState:
    return BalanceState(account, 0, 0, 0, version, datetime(2026, 1, 31, tzinfo=UTC), LiveCause.CALL, no_row)


class Line:
    """Takes what it is told while it is ``free``; `order` notes how each event came."""

    def __init__(self) -> None:
        self.free = True
        self.order: list[tuple[str, int]] = []

    def tell(self, event: BalanceState) -> bool:
        if self.free:
            self.order.append(("told", event.version))
        return self.free

    async def read(self, watcher: Watcher) -> None:
        async for event in watcher:
            self.order.append(("read", event.version))


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
async def watcher(line: Line) -> AsyncIterator[Watcher]:
    """Watched by a reader that was given the first state, and waits."""
    watcher = Watcher([KEYTYH, GOOD], token_id=None, tell=line.tell)
    reading = asyncio.create_task(line.read(watcher))
    await settled()
    watcher.put(state(0))
    assert line.order == []
    await settled()
    yield watcher
    watcher.end()
    await reading


async def settled() -> None:
    """Let the reader do all that it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_comes_while_the_reader_waits_is_told_at_once_and_not_read_again(
    watcher: Watcher, line: Line
) -> None:
    watcher.put(state(1))
    watcher.put(state(2))
    assert line.order == [("read", 0), ("told", 1), ("told", 2)]
    await settled()
    watcher.put(state(2))
    watcher.put(state(1))
    await settled()
    assert line.order == [("read", 0), ("told", 1), ("told", 2)]


async def test_nothing_is_told_before_somebody_reads(line: Line) -> None:
    watcher = Watcher([KEYTYH], token_id=None, tell=line.tell)
    watcher.put(state(3))
    assert line.order == []
    assert (await anext(watcher)).version == 3


async def test_nothing_overtakes_what_the_reader_has_yet_to_deal_with(watcher: Watcher, line: Line) -> None:
    line.free = False
    watcher.put(state(1))
    line.free = True
    # The line is free again, but what was given to the reader comes first.
    watcher.put(state(1, GOOD))
    watcher.put(state(2))
    assert line.order == [("read", 0)]
    await settled()
    assert line.order == [("read", 0), ("read", 2), ("read", 1)]
    watcher.put(state(3))
    assert line.order[3:] == [("told", 3)]


async def test_who_is_not_told_the_first_in_time_hears_of_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balance_watcher, "_FIRST_STATE_WITHIN_S", 0.05)
    watcher = Watcher([KEYTYH], token_id=None, tell=line.tell)
    with pytest.raises(TimeoutError):
        await line.read(watcher)


async def test_after_its_end_a_watcher_is_told_nothing(line: Line) -> None:
    watcher = Watcher([KEYTYH], token_id=None, tell=line.tell)
    reading = asyncio.create_task(line.read(watcher))
    watcher.put(state(0))
    await settled()
    watcher.end(Unauthenticated())
    watcher.put(state(1))
    with pytest.raises(Unauthenticated):
        await reading
    assert line.order == [("read", 0)]


async def test_a_subtree_is_told_part_by_part_and_remembers_no_more_than_it_may(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance_watcher, "SUBTREE_ACCOUNTS_MAX", SCAN_ACCOUNTS + 10)
    accounts = [AccountRef(id_, f"c{id_}*operator", (1, id_)) for id_ in range(2, 2 * SCAN_ACCOUNTS + 10)]
    rest = [state(0, account) for account in (OPERATOR, *accounts)]
    asked = 0

    def scan(watcher: SubtreeWatcher) -> None:
        nonlocal asked
        asked += 1

    watcher = SubtreeWatcher([OPERATOR], token_id=None, ask=scan, tell=line.tell)
    reading = asyncio.create_task(line.read(watcher))
    await settled()
    assert asked == 1
    watcher.put_scanned(rest[:SCAN_ACCOUNTS])
    await settled()
    assert line.order == [("read", 0)] * SCAN_ACCOUNTS
    assert asked == 2
    watcher.put_scanned(rest[SCAN_ACCOUNTS : 2 * SCAN_ACCOUNTS])
    # Everything was told, so the next part is asked for though the reader was given nothing.
    assert asked == 3
    watcher.put_scanned(rest[2 * SCAN_ACCOUNTS :])
    assert asked == 3
    assert line.order[SCAN_ACCOUNTS:] == [("told", 0)] * (len(rest) - SCAN_ACCOUNTS)
    assert len(watcher._told) == SCAN_ACCOUNTS + 10
    watcher.put_change(state(1, accounts[-1]))
    watcher.put_change(state(1, accounts[-1]))
    assert line.order[len(rest) :] == [("told", 1)]
    watcher.end()
    await reading


class Writes:
    """Makes the text of an event, unless there is something about it."""

    def at_once(self, event: Any) -> str | None:
        if event == "broken":
            raise ValueError(event)
        return None if event == "needs a look" else f'"{event}"'

    async def write(self, event: Any) -> str:
        raise AssertionError("only the stream waits")


def test_a_teller_pushes_texts_and_leaves_the_rest_to_the_stream() -> None:
    line: list[str] = []

    def push(text: str) -> bool:
        if text == '"gone"':
            raise ConnectionResetError
        if text != '"full"':
            line.append(text)
        return text != '"full"'

    teller = EventTeller(Writes(), push)
    assert [teller.tell(event) for event in ("needs a look", "broken", "full", "gone")] == [False] * 4
    assert line == []
    assert teller.tell("one")
    assert line == ['"one"']
