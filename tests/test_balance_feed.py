"""The balance feed alone, on the database: what a watcher is told, and when it is told no more."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from billing import balances, tokens
from billing.accounts import create_customer, create_operator
from billing.balances import Cause
from billing.credit import CreditKind, book_credit
from billing.tokens import create_session, new_secret, revoke
from models.database import Database, driver_connection
from models.tables import Token
from resolvers import balance_feed, balance_watcher
from resolvers.account_directory import AccountDirectory, AccountRef
from resolvers.balance_feed import BalanceFeed
from resolvers.balance_state import BalanceState, LiveCause
from resolvers.balance_watcher import Watcher
from resolvers.request_errors import Unauthenticated

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


@dataclass(frozen=True)
class Tree:
    """operator ▶ luluka ▶ good ▶ keytyh, and a stranger beside luluka; all with a balance of 0 at version 0."""

    operator: AccountRef
    luluka: AccountRef
    good: AccountRef
    keytyh: AccountRef
    stranger: AccountRef


@pytest.fixture
async def tree(db: Database) -> Tree:
    async with db.transaction() as tx:
        operator = await create_operator(tx, username="operator", password_hash="")

        async def create(name: str, reseller_id: int) -> int:
            created = await create_customer(
                tx, reseller_id=reseller_id, author_id=operator, username=name, password_hash="", is_reseller=True
            )
            return created.id

        luluka = await create("luluka", operator)
        good = await create("good", luluka)
        keytyh = await create("keytyh", good)
        stranger = await create("stranger", operator)
    found = await AccountDirectory(db).by_id([operator, luluka, good, keytyh, stranger])
    return Tree(found[operator], found[luluka], found[good], found[keytyh], found[stranger])


@pytest.fixture
async def feed(db: Database) -> AsyncIterator[BalanceFeed]:
    async with BalanceFeed(db, AccountDirectory(db)) as feed:
        yield feed


async def credit(db: Database, account: AccountRef, units: int = 100_000) -> None:
    """Add to one account's balance, in a transaction of its own."""
    async with db.transaction() as tx:
        await book_credit(tx, author_id=1, account_id=account.id, kind=CreditKind.CREDIT, amount_units=units)


async def customers(db: Database, reseller: AccountRef, count: int) -> list[AccountRef]:
    """Many customers of a reseller at once, in the order of their ids."""
    async with db.transaction() as tx:
        rows = await tx.exec_driver_sql(
            "INSERT INTO accounts (id, username, parent_id, path, password_hash) "
            "OVERRIDING SYSTEM VALUE "
            f"SELECT n, 'c' || n || '*good', {reseller.id}, ARRAY{list(reseller.path)}::bigint[] || n, '' "
            f"FROM generate_series(1001, {1000 + count}) AS n RETURNING id, username, path"
        )
        accounts = [AccountRef(row.id, row.username, tuple(row.path)) for row in rows]
        await tx.exec_driver_sql(
            "INSERT INTO account_state (account_id, rate_list_id) SELECT a.id, l.id FROM accounts AS a, "
            "(SELECT id FROM rate_lists WHERE is_base) AS l WHERE a.id > 1000"
        )
    return accounts


async def add_to_all(db: Database, accounts: list[AccountRef]) -> None:
    """Add 1.00000 to each of the accounts, in one transaction."""
    async with db.transaction() as tx:
        connection = await driver_connection(tx)
        changes = {account.id: 100_000 for account in accounts}
        await tx.exec_driver_sql("SELECT 1")
        await balances.lock_states(connection, changes)
        await balances.apply_to_locked(connection, changes, Cause.CALL)


async def told(watcher: Watcher) -> BalanceState:
    """The next state."""
    async with asyncio.timeout(5):
        return await anext(watcher)


async def told_many(watcher: Watcher, count: int) -> list[BalanceState]:
    return [await told(watcher) for _ in range(count)]


async def told_until(watcher: Watcher, version: int) -> list[int]:
    """The versions told until this one."""
    versions = [(await told(watcher)).version]
    while versions[-1] < version:
        versions.append((await told(watcher)).version)
    return versions


async def session(db: Database, account: AccountRef, *, ttl_s: int = 3600) -> int:
    """The id of a new session."""
    async with db.transaction() as tx:
        await create_session(tx, account_id=account.id, checked_hash="", secret=new_secret(), ttl_s=ttl_s)
        token_id: int = (await tx.execute(select(func.max(Token.id)))).scalar_one()
        return token_id


async def end_token(db: Database, account: AccountRef, token_id: int) -> None:
    async with db.transaction() as tx:
        assert await revoke(tx, token_id=token_id, account_id=account.id)


async def kill_listener(db: Database) -> None:
    """End the feed's connection at the server; returns when it has ended."""
    async with db.read() as connection:
        killed = await connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'tollpath feed' AND datname = current_database()"
        )
        assert killed.scalars().all() == [True]


async def test_the_present_state_comes_first_and_then_each_change_with_a_growing_version(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    await credit(db, tree.keytyh, 925_000)
    async with feed.watch([tree.keytyh], token_id=None) as watcher:
        first = await told(watcher)
        assert (first.account, first.balance_units, first.held_units, first.available_units) == (
            tree.keytyh,
            925_000,
            0,
            925_000,
        )
        assert (first.version, first.cause) == (1, LiveCause.PRESENT)
        for version, balance_units in ((2, 1_025_000), (3, 1_125_000)):
            await credit(db, tree.keytyh, 100_000)
            state = await told(watcher)
            assert (state.version, state.balance_units, state.cause) == (version, balance_units, LiveCause.CREDIT)
            assert state.at > first.at


async def test_a_limit_and_a_call_are_told_with_their_cause(db: Database, feed: BalanceFeed, tree: Tree) -> None:
    async with feed.watch([tree.keytyh], token_id=None) as watcher:
        assert (await told(watcher)).credit_limit_units == 0
        async with db.transaction() as tx:
            await tx.exec_driver_sql("SELECT 1")
            await balances.set_credit_limit_of(await driver_connection(tx), tree.keytyh.id, 500_000)
        limit = await told(watcher)
        assert (limit.cause, limit.available_units) == (LiveCause.LIMIT, 500_000)
        await add_to_all(db, [tree.keytyh])
        assert (await told(watcher)).cause is LiveCause.CALL


async def test_the_operators_available_amount_is_unlimited(feed: BalanceFeed, tree: Tree) -> None:
    async with feed.watch([tree.operator], token_id=None) as watcher:
        assert (await told(watcher)).available_units is None


async def test_a_cause_that_is_not_known_here_is_told_as_present(db: Database, feed: BalanceFeed, tree: Tree) -> None:
    async with feed.watch([tree.keytyh], token_id=None) as watcher:
        await told(watcher)
        async with db.transaction() as tx:
            await tx.exec_driver_sql(f"UPDATE account_state SET version = 1 WHERE account_id = {tree.keytyh.id}")
            await tx.exec_driver_sql(f"SELECT pg_notify('tollpath_balance', 'TAX {tree.keytyh.id}')")
        state = await told(watcher)
        assert (state.version, state.cause) == (1, LiveCause.PRESENT)


def test_every_cause_of_a_change_can_be_told() -> None:
    assert set(LiveCause.__members__) == {"PRESENT", *Cause.__members__}


async def test_a_slow_reader_gets_the_newest_state_and_none_of_those_between(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    async with (
        feed.watch([tree.keytyh], token_id=None) as slow,
        feed.watch([tree.keytyh], token_id=None) as quick,
    ):
        assert (await told(slow)).version == 0
        for _ in range(10):
            await credit(db, tree.keytyh)
        await told_until(quick, 10)
        assert (await told(slow)).version == 10
        await credit(db, tree.keytyh)
        assert (await told(slow)).version == 11


async def test_watchers_are_told_one_shared_state(db: Database, feed: BalanceFeed, tree: Tree) -> None:
    async with (
        feed.watch([tree.keytyh], token_id=None) as one,
        feed.watch([tree.keytyh, tree.good], token_id=None) as other,
        feed.watch([tree.luluka], include_descendants=True, token_id=None) as above,
    ):
        await told(one)
        await told_many(other, 2)
        await told_many(above, 3)
        await credit(db, tree.keytyh)
        state = await told(one)
        assert await told(other) is state
        assert await told(above) is state
        row = await state.account_row()
        assert (row.username, row.version) == ("keytyh*good", 1)
        assert await state.account_row() is row


async def test_changes_that_come_together_are_read_by_one_statement(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    many = await customers(db, tree.good, 50)
    async with feed.watch(many, token_id=None) as watcher:
        await told_many(watcher, 50)
        async with db.transaction() as tx:
            for account in many:
                await book_credit(tx, author_id=1, account_id=account.id, kind=CreditKind.CREDIT, amount_units=1)
        states = await told_many(watcher, 50)
    assert {state.account.id: state.version for state in states} == {account.id: 1 for account in many}
    assert len({state.at for state in states}) == 1


async def test_a_change_that_nobody_watches_is_not_read(db: Database, feed: BalanceFeed, tree: Tree) -> None:
    token_id = await session(db, tree.good)
    async with feed.watch([tree.good], token_id=token_id) as watcher:
        await told(watcher)
        async with db.read() as connection:
            query = (
                "SELECT query_start FROM pg_stat_activity "
                "WHERE application_name = 'tollpath feed' AND datname = current_database()"
            )
            before = await connection.exec_driver_sql(query)
            await credit(db, tree.keytyh)
            # Notifications come in the order of the commits.
            await end_token(db, tree.good, token_id)
            with pytest.raises(Unauthenticated):
                await told(watcher)
            after = await connection.exec_driver_sql(query)
            assert after.scalar_one() == before.scalar_one()


async def test_nothing_falls_between_the_first_state_and_the_changes(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    changes = 150

    async def change() -> None:
        for _ in range(changes):
            await credit(db, tree.keytyh)

    async def watch(delay_s: float, *, include_descendants: bool) -> list[int]:
        await asyncio.sleep(delay_s)
        account = tree.good if include_descendants else tree.keytyh
        async with feed.watch([account], include_descendants=include_descendants, token_id=None) as watcher:
            if include_descendants:
                assert (await told(watcher)).account == tree.good
            return await told_until(watcher, changes)

    changing = asyncio.create_task(change())
    watching = [watch(n / 100, include_descendants=bool(n % 2)) for n in range(60)]
    for versions in await asyncio.gather(*watching):
        assert versions == sorted(set(versions))
    await changing


async def test_two_feeds_tell_the_same_change(db: Database, database_url: str, feed: BalanceFeed, tree: Tree) -> None:
    elsewhere = Database(database_url)
    async with (
        BalanceFeed(elsewhere, AccountDirectory(elsewhere)) as other,
        feed.watch([tree.keytyh], token_id=None) as here,
        other.watch([tree.keytyh], token_id=None) as there,
    ):
        await told(here)
        await told(there)
        await credit(elsewhere, tree.keytyh)
        assert (await told(here)).version == 1
        assert (await told(there)).version == 1
    await elsewhere.close()


async def test_after_the_connection_was_lost_the_present_state_is_read_again(
    db: Database, feed: BalanceFeed, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance_feed, "_RECONNECT_AFTER_S", 1.0)
    async with (
        feed.watch([tree.keytyh, tree.good], token_id=None) as watcher,
        feed.watch([tree.luluka], include_descendants=True, token_id=None) as subtree_watcher,
    ):
        await told_many(watcher, 2)
        await told_many(subtree_watcher, 3)
        await kill_listener(db)
        await credit(db, tree.keytyh)
        for each in (watcher, subtree_watcher):
            state = await told(each)
            # Only a change that was missed is told without its cause. The other accounts are not told again.
            assert (state.account, state.version, state.cause) == (tree.keytyh, 1, LiveCause.PRESENT)
        await credit(db, tree.good)
        for each in (watcher, subtree_watcher):
            state = await told(each)
            assert (state.account, state.version, state.cause) == (tree.good, 1, LiveCause.CREDIT)


async def test_a_subtree_is_told_from_the_top_and_then_its_changes_and_no_others(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    async with feed.watch([tree.keytyh, tree.luluka], include_descendants=True, token_id=None) as watcher:
        first = await told_many(watcher, 3)
        assert [state.account for state in first] == [tree.luluka, tree.good, tree.keytyh]
        assert {state.cause for state in first} == {LiveCause.PRESENT}
        await credit(db, tree.stranger)
        await credit(db, tree.operator)
        await credit(db, tree.keytyh)
        state = await told(watcher)
        assert (state.account, state.version, state.cause) == (tree.keytyh, 1, LiveCause.CREDIT)


async def test_subtrees_beside_each_other_are_all_told(db: Database, feed: BalanceFeed, tree: Tree) -> None:
    async with feed.watch([tree.stranger, tree.good], include_descendants=True, token_id=None) as watcher:
        first = await told_many(watcher, 3)
        assert [state.account for state in first] == [tree.good, tree.keytyh, tree.stranger]
        await credit(db, tree.stranger)
        assert (await told(watcher)).account == tree.stranger


async def test_an_account_created_meanwhile_is_told_with_its_first_change(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    async with feed.watch([tree.good], include_descendants=True, token_id=None) as watcher:
        await told_many(watcher, 2)
        async with db.transaction() as tx:
            created = await create_customer(
                tx,
                reseller_id=tree.good.id,
                author_id=tree.good.id,
                username="late",
                password_hash="",
                credit_units=100_000,
            )
        state = await told(watcher)
        assert (state.account.id, state.account.username, state.balance_units) == (created.id, "late*good", 100_000)


async def test_a_large_subtree_is_told_once_each_in_the_order_of_the_tree(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    many = await customers(db, tree.good, 1_200)
    async with feed.watch([tree.operator], include_descendants=True, token_id=None) as watcher:
        states = await told_many(watcher, 1_205)
        assert [state.account.path for state in states] == sorted(state.account.path for state in states)
        assert len({state.account.id for state in states}) == 1_205
        await add_to_all(db, many)
        changed = await told_many(watcher, 1_200)
        assert {state.account.id for state in changed} == {account.id for account in many}
        assert {state.version for state in changed} == {1}


async def test_changes_during_the_first_telling_of_a_subtree_are_told_once(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    many = await customers(db, tree.good, 1_200)
    async with (
        feed.watch([tree.good], include_descendants=True, token_id=None) as watcher,
        feed.watch([many[0], many[-1]], token_id=None) as named,
    ):
        await told_many(named, 2)
        first = await told_many(watcher, 100)
        await add_to_all(db, many)
        await told_many(named, 2)
        rest = await told_many(watcher, 1_200)
    told_versions: dict[int, list[int]] = {}
    for state in first + rest:
        told_versions.setdefault(state.account.id, []).append(state.version)
    del told_versions[tree.good.id], told_versions[tree.keytyh.id]
    # What the reader had taken is told anew, what waited for it is replaced, what was not yet read comes as it is.
    assert list(told_versions.values()) == [[0, 1]] * 98 + [[1]] * 1_102


async def test_a_reader_too_slow_for_its_subtree_is_told_the_newest_states_of_all_of_it_in_bounded_memory(
    db: Database, feed: BalanceFeed, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance_watcher, "SUBTREE_ACCOUNTS_MAX", 20)
    many = await customers(db, tree.good, 600)
    async with (
        feed.watch([tree.good], include_descendants=True, token_id=None) as slow,
        feed.watch(many, token_id=None) as quick,
    ):
        await told_many(slow, 602)
        await told_many(quick, 600)
        for _ in range(3):
            await add_to_all(db, many)
            await told_many(quick, 600)
            assert len(slow._waiting) <= 20 + 500
        newest: dict[int, int] = {}
        while len(newest) < 600 or set(newest.values()) != {3}:
            state = await told(slow)
            assert state.version >= newest.get(state.account.id, 0)
            if state.account.id > 1000:
                newest[state.account.id] = state.version


async def test_a_watcher_ends_when_its_token_is_revoked_and_others_go_on(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    ending, staying = await session(db, tree.keytyh), await session(db, tree.keytyh)
    async with (
        feed.watch([tree.keytyh], token_id=ending) as one,
        feed.watch([tree.keytyh], token_id=staying) as other,
    ):
        await told(one)
        await told(other)
        await end_token(db, tree.keytyh, ending)
        with pytest.raises(Unauthenticated):
            await told(one)
        await credit(db, tree.keytyh)
        assert (await told(other)).version == 1
        with pytest.raises(Unauthenticated):
            await told(one)


async def test_ending_the_sessions_of_an_account_ends_its_watchers_but_one(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    ending, staying = await session(db, tree.keytyh), await session(db, tree.keytyh)
    async with (
        feed.watch([tree.good], include_descendants=True, token_id=ending) as one,
        feed.watch([tree.keytyh], token_id=staying) as other,
    ):
        await told_many(one, 2)
        await told(other)
        async with db.transaction() as tx:
            assert await tokens.end_sessions(tx, account_id=tree.keytyh.id, except_token_id=staying) == 1
        with pytest.raises(Unauthenticated):
            await told(one)
        await credit(db, tree.keytyh)
        assert (await told(other)).version == 1


async def test_a_watcher_ends_when_its_token_expires(db: Database, feed: BalanceFeed, tree: Tree) -> None:
    token_id = await session(db, tree.keytyh, ttl_s=1)
    async with feed.watch([tree.keytyh], token_id=token_id) as watcher:
        assert (await told(watcher)).version == 0
        with pytest.raises(Unauthenticated):
            await told(watcher)
    async with db.read() as connection:
        late = await connection.exec_driver_sql("SELECT now() - expires_at < interval '1 second' FROM tokens")
        assert late.scalar_one() is True


async def test_a_token_revoked_before_anybody_listened_tells_nothing(
    db: Database, feed: BalanceFeed, tree: Tree
) -> None:
    token_id = await session(db, tree.keytyh)
    await end_token(db, tree.keytyh, token_id)
    async with feed.watch([tree.keytyh], token_id=token_id) as watcher:
        with pytest.raises(Unauthenticated):
            await told(watcher)


async def test_a_token_revoked_while_the_connection_was_lost_ends_its_watcher(
    db: Database, feed: BalanceFeed, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance_feed, "_RECONNECT_AFTER_S", 1.0)
    token_id = await session(db, tree.keytyh)
    async with feed.watch([tree.keytyh], token_id=token_id) as watcher:
        await told(watcher)
        await kill_listener(db)
        await end_token(db, tree.keytyh, token_id)
        with pytest.raises(Unauthenticated):
            await told(watcher)


async def test_when_the_feed_stops_every_watcher_comes_to_its_end(db: Database, tree: Tree) -> None:
    async with BalanceFeed(db, AccountDirectory(db)) as feed:
        one = feed.watch([tree.keytyh], token_id=None)
        other = feed.watch([tree.keytyh], include_descendants=True, token_id=None)
        watchers = [await one.__aenter__(), await other.__aenter__()]
        for watcher in watchers:
            await told(watcher)
    for watcher in watchers:
        assert [state async for state in watcher] == []
    await one.__aexit__(None, None, None)
    await other.__aexit__(None, None, None)
    assert feed.watcher_count == 0


async def test_who_leaves_leaves_nothing_behind(db: Database, feed: BalanceFeed, tree: Tree) -> None:
    token_id = await session(db, tree.good)
    async with (
        feed.watch([tree.keytyh, tree.good], token_id=token_id),
        feed.watch([tree.good], include_descendants=True, token_id=token_id) as subtree_watcher,
    ):
        await told(subtree_watcher)
        assert feed.watcher_count == 2
    assert feed.watcher_count == 0
    assert not feed._watchers
    assert not feed._tokens._watchers


async def test_without_a_database_a_watcher_is_told_that_it_is_away(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance_watcher, "_FIRST_STATE_WITHIN_S", 0.2)
    nowhere = Database(NO_DATABASE)
    async with BalanceFeed(nowhere, AccountDirectory(nowhere)) as feed:
        for include_descendants in (False, True):
            async with feed.watch([tree.good], include_descendants=include_descendants, token_id=None) as watcher:
                with pytest.raises(TimeoutError):
                    await anext(watcher)
    await nowhere.close()


class Text(str):
    """One that weak references may be made to."""


async def test_what_was_written_of_a_state_needs_no_garbage_collector(
    db: Database, tree: Tree, feed: BalanceFeed
) -> None:
    gone = asyncio.Event()

    def tell(state: BalanceState) -> bool:
        written = state.texts[feed] = Text("the event")
        weakref.finalize(written, gone.set)
        return True

    async with feed.watch([tree.keytyh], token_id=None, tell=tell) as watcher:
        await told(watcher)
        reading = asyncio.ensure_future(anext(watcher))
        await asyncio.sleep(0)
        gc.disable()
        try:
            await credit(db, tree.keytyh)
            async with asyncio.timeout(5):
                await gone.wait()
        finally:
            gc.enable()
        reading.cancel()
