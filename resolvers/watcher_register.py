"""Who watches what: from a changed account to its watchers by look-ups alone."""

from collections.abc import Iterable, Sequence

from resolvers.access import AccountPath
from resolvers.account_directory import AccountRef
from resolvers.balance_state import BalanceState, LiveCause
from resolvers.balance_watcher import SubtreeWatcher, Watcher


class _Named:
    """One account that watchers name; ``joining`` are those of them for whom no state has been read yet."""

    __slots__ = ("account", "joining", "watchers")

    def __init__(self, account: AccountRef) -> None:
        self.account = account
        self.watchers: set[Watcher] = set()
        self.joining: list[Watcher] = []


class WatcherRegister:
    """Every watcher of the process, under the accounts it names, or under the tops of its subtrees."""

    def __init__(self) -> None:
        self._named: dict[int, _Named] = {}
        self._tops: dict[int, set[SubtreeWatcher]] = {}

    def __bool__(self) -> bool:
        return bool(self._named or self._tops)

    def __len__(self) -> int:
        named = (named.watchers for named in self._named.values())
        return len(set[Watcher]().union(*named)) + len(self.subtree_watchers)

    def add(self, watcher: Watcher) -> None:
        """Register; a watcher of named accounts is `take_joining` of each, so that it is told a state read later."""
        for account in watcher.accounts:
            if isinstance(watcher, SubtreeWatcher):
                self._tops.setdefault(account.id, set()).add(watcher)
                continue
            named = self._named.get(account.id)
            if named is None:
                named = self._named[account.id] = _Named(account)
            named.watchers.add(watcher)
            named.joining.append(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Forget a registered watcher."""
        for account in watcher.accounts:
            if isinstance(watcher, SubtreeWatcher):
                watchers = self._tops[account.id]
                watchers.remove(watcher)
                if not watchers:
                    del self._tops[account.id]
                continue
            named = self._named[account.id]
            named.watchers.remove(watcher)
            if watcher in named.joining:
                named.joining.remove(watcher)
            if not named.watchers:
                del self._named[account.id]

    @property
    def named_ids(self) -> Iterable[int]:
        """Every account that is named."""
        return self._named.keys()

    @property
    def subtree_watchers(self) -> set[SubtreeWatcher]:
        """Those that watch subtrees."""
        return set[SubtreeWatcher]().union(*self._tops.values())

    @property
    def has_subtrees(self) -> bool:
        """Whether accounts may be watched that nobody names."""
        return bool(self._tops)

    def named(self, account_id: int) -> AccountRef | None:
        """The account, if somebody names it."""
        named = self._named.get(account_id)
        return None if named is None else named.account

    def covers(self, path: AccountPath) -> bool:
        """Whether the account at the end of ``path`` is in a watched subtree."""
        return not self._tops.keys().isdisjoint(path)

    def take_joining(self, account_ids: Iterable[int]) -> dict[int, list[Watcher]]:
        """Those who wait for their first state of these accounts, by account; from now on they do not."""
        taken: dict[int, list[Watcher]] = {}
        for account_id in account_ids:
            named = self._named.get(account_id)
            if named is not None and named.joining:
                taken[account_id], named.joining = named.joining, []
        return taken

    def hand_out(self, state: BalanceState, *, joining: Sequence[Watcher], changed: bool) -> None:
        """Give the state to those who are ``joining``, and if it is ``changed`` to everybody who watches it."""
        if joining:
            present = state.told_as(LiveCause.PRESENT)
            for watcher in joining:
                watcher.put(present)
        if not changed:
            return
        named = self._named.get(state.account.id)
        if named is not None:
            for watcher in named.watchers:
                watcher.put(state)
        if self._tops:
            for account_id in state.account.path:
                for subtree_watcher in self._tops.get(account_id, ()):
                    subtree_watcher.put_change(state)
