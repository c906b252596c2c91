"""What one subscriber still has to be told: the newest state of each account it watches, never a queue of them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from resolvers.access import AccountPath
from resolvers.account_directory import AccountRef
from resolvers.balance_state import SCAN_ACCOUNTS, BalanceState

# How many states of a subtree wait for a slow reader, and how many versions it has been told are remembered.
SUBTREE_ACCOUNTS_MAX = 5_000

_FIRST_STATE_WITHIN_S = 10.0

# Tells the subscriber of a state at once; False where it has to be given to whoever iterates.
Tell = Callable[[BalanceState], bool]


class Watcher:
    """Iterates over states: the present one of each of its accounts first, then each newer one.

    Only the newest state of an account is kept until it is taken, and of one account the versions taken only grow.
    The feed puts states in; whoever iterates takes them out. A state that comes while the reader waits, having dealt
    with all before, is first offered to ``tell``, if there is one: what that takes, answering True, the reader is not
    given. It must not raise. The very first state is always the reader's.
    """

    # Thousands of them are looked at again and again, and long ago each: what lies together is found sooner.
    __slots__ = ("_error", "_reader", "_tell", "_told", "_waiting", "accounts", "ended", "token_id")

    def __init__(
        self,
        accounts: Iterable[AccountRef],
        *,
        token_id: int | None,
        tell: Tell | None = None,
    ) -> None:
        self.accounts = tuple(accounts)
        self.token_id = token_id
        self.ended = False
        self._error: Exception | None = None
        self._tell = tell
        self._waiting: OrderedDict[int, BalanceState] = OrderedDict()
        self._told: OrderedDict[int, int] = OrderedDict()
        self._reader: asyncio.Future[None] | None = None

    def put(self, state: BalanceState) -> None:
        """Let the subscriber be told, unless it has been told this version or a newer one."""
        account_id = state.account.id
        known = self._waiting.get(account_id)
        if state.version <= (self._told.get(account_id, -1) if known is None else known.version):
            return
        if self._tell is not None and self._told and self._parked is not None and self._tell(state):
            self._note_told(state)
        else:
            self._waiting[account_id] = state
            self._wake()

    def end(self, error: Exception | None = None) -> None:
        """Stop at once: the iteration ends, by ``error`` if there is one, whatever still waits."""
        if not self.ended:
            self.ended, self._error = True, error
            self._waiting.clear()
            self._wake()

    def __aiter__(self) -> "Watcher":
        return self

    async def __anext__(self) -> BalanceState:
        """The next state. Raises: TimeoutError where the first does not come, since the database is away."""
        if not self._waiting:
            # Only before the first state has been told is there nothing in it.
            if self._told:
                await self._until_woken()
            else:
                async with asyncio.timeout(_FIRST_STATE_WITHIN_S):
                    await self._until_woken()
        if self.ended:
            raise self._error or StopAsyncIteration
        _, state = self._waiting.popitem(last=False)
        self._note_told(state)
        return state

    def _note_told(self, state: BalanceState) -> None:
        self._told[state.account.id] = state.version

    @property
    def _parked(self) -> "asyncio.Future[None] | None":
        """What the reader waits for; None where it has something to deal with, or nobody reads."""
        return None if self._reader is None or self._reader.done() else self._reader

    async def _until_woken(self) -> None:
        while not self._waiting and not self.ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    def _wake(self) -> None:
        if (parked := self._parked) is not None:
            parked.set_result(None)


class SubtreeWatcher(Watcher):
    """Watches accounts and everything below them, however much that is, in bounded memory.

    The present states are read from the tree in its order (`Account.path`), a few hundred at a time and only when
    the reader has taken what came before; ``ask`` is called for the next of them. Changes of accounts which that
    scan has yet to reach are left to it. A reader so slow that `SUBTREE_ACCOUNTS_MAX` accounts wait is told none of
    them but the whole subtree once more, as it then stands; in a larger subtree it may then hear a version twice.
    """

    __slots__ = ("_ask", "_asked", "_once_more", "_reached", "_root")

    def __init__(
        self,
        accounts: Iterable[AccountRef],
        *,
        token_id: int | None,
        ask: Callable[["SubtreeWatcher"], None],
        tell: Tell | None = None,
    ) -> None:
        topmost: list[AccountRef] = []
        for account in sorted(accounts, key=lambda account: account.path):
            if not topmost or topmost[-1].id not in account.path:
                topmost.append(account)
        super().__init__(topmost, token_id=token_id, tell=tell)
        self._ask = ask
        self._asked = False
        self._root = 0
        self._reached: AccountPath | None = topmost[0].path
        self._once_more = False

    @property
    def next_range(self) -> tuple[AccountPath, AccountPath] | None:
        """From which path up to before which one the scan goes on; None when it is done."""
        if self._reached is None:
            return None
        *above, last = self.accounts[self._root].path
        return self._reached, (*above, last + 1)

    def put_change(self, state: BalanceState) -> None:
        """`put`, for a change of an account somewhere in the subtree."""
        if self._once_more or (self._reached is not None and state.account.path >= self._reached):
            return
        if len(self._waiting) >= SUBTREE_ACCOUNTS_MAX and state.account.id not in self._waiting:
            self._waiting.clear()
            self.start_over()
            return
        self.put(state)

    def put_scanned(self, states: Sequence[BalanceState]) -> None:
        """The states of `next_range`, or as many of its first as one scan reads."""
        self._asked = False
        for state in states:
            self.put(state)
        if len(states) == SCAN_ACCOUNTS:
            # No path lies between this one and itself with a 0: ids begin at 1.
            self._reached = (*states[-1].account.path, 0)
        else:
            self._root += 1
            if self._root < len(self.accounts):
                self._reached = self.accounts[self._root].path
            elif self._once_more:
                self._begin()
            else:
                self._reached = None
        if not self._waiting:
            self._ask_for_more()

    def start_over(self) -> None:
        """Tell the whole subtree again, once the scan that runs has come to its end: a slow reader sees that too."""
        if self._reached is None:
            self._begin()
        elif self._reached != self.accounts[0].path:
            self._once_more = True
        self._ask_for_more()

    def _begin(self) -> None:
        self._once_more = False
        self._root = 0
        self._reached = self.accounts[0].path

    def _ask_for_more(self) -> None:
        if self._reached is not None and not self._asked and not self.ended:
            self._asked = True
            self._ask(self)

    async def __anext__(self) -> BalanceState:
        """See `Watcher`."""
        if not self._waiting:
            self._ask_for_more()
        return await super().__anext__()

    def _note_told(self, state: BalanceState) -> None:
        super()._note_told(state)
        self._told.move_to_end(state.account.id)
        if len(self._told) > SUBTREE_ACCOUNTS_MAX:
            self._told.popitem(last=False)
