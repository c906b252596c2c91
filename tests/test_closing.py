"""A month is closed: its calls are gone, balances, usage and the audit stay right, and nothing is charged twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from billing import closing
from billing.call_months import make_coming_months
from billing.closing import CannotClose, MonthSums, close_month, look_at_month
from billing.errors import ErrorCode, MonthClosed, Refusal
from billing.hold_order import Authorization, AuthorizeOrder, ExtendOrder, SettleOrder
from models.call_month import MONTHLY_TABLES, month_of
from models.database import Database
from resolvers.audit import audit
from resolvers.call_months import call_months
from tests.adjusting import outcome_of_refund, refunded, rerated
from tests.charging_tree import Tree, another_process, charging_tree
from tests.charging_world import ALWAYS_CHARGE, NOON, call, rate

JANUARY, FEBRUARY = date(2026, 1, 1), date(2026, 2, 1)
NEXT_DAY = NOON + timedelta(days=1)


@pytest.fixture
async def tree(db: Database) -> AsyncIterator[Tree]:
    """Calls in January: charged, refunded, unrated, charged anew at another price; and one in February."""
    async with charging_tree(db) as tree:
        world = tree.world
        await world.booked(
            call(tree.keytyh, "charged"),
            call(tree.keytyh, "refunded", started_at=NOON - timedelta(days=20)),
            call(tree.keytyh, "unrated", number="861", policy=ALWAYS_CHARGE),
            call(tree.good, "of the reseller", duration_s=600),
            call(tree.keytyh, "of February", started_at=NEXT_DAY),
        )
        await refunded(world, "refunded")
        await world.set_base_rates(rate("43", "0.02", effective_from=NOON - timedelta(days=1)))
        await rerated(world, until=NEXT_DAY)
        # A credit transaction in between has a balance that only the gone charges explain.
        await world.credit(tree.keytyh, "1")
        yield tree


async def everything(tree: Tree) -> dict[str, Any]:
    """All rows of the books, to compare."""
    tables = ("call_adjustments", "closed_months", "closed_usage")
    more = {table: sorted(await tree.world.select(f"SELECT t::text FROM {table} AS t")) for table in tables}
    return await tree.world.books() | more


async def call_ids(tree: Tree) -> list[str]:
    """Of the calls that are there."""
    return [row[0] for row in await tree.world.select("SELECT call_id FROM calls ORDER BY 1")]


async def test_the_calls_are_gone_and_balances_usage_keys_and_the_audit_stay(tree: Tree) -> None:
    states, usage, keys = (
        await tree.states(),
        [await tree.usage(member) for member in (tree.world.operator, tree.good, tree.keytyh)],
        await tree.world.select("SELECT * FROM call_keys ORDER BY 1"),
    )

    sums = await close_month(tree.world.db, JANUARY, keep=False)

    assert sums == MonthSums(calls=4, differences=0)
    assert await call_ids(tree) == ["of February"]
    assert await tree.world.select("SELECT DISTINCT started_at FROM charges") == [(NEXT_DAY,)]
    assert await tree.world.select("SELECT count(*) FROM call_adjustments") == [(0,)]
    assert await tree.states() == states
    assert [await tree.usage(member) for member in (tree.world.operator, tree.good, tree.keytyh)] == usage
    assert await tree.world.select("SELECT * FROM call_keys ORDER BY 1") == keys
    report = await audit(tree.world.db)
    assert (report.differences, report.calls, report.charges) == ((), 1, 3)
    assert await tree.world.select("SELECT to_regclass('calls_2026_01'), to_regclass('charges_2026_01')") == [
        (None, None)
    ]


async def test_what_a_closed_month_came_to_is_kept_for_each_account(tree: Tree) -> None:
    await close_month(tree.world.db, JANUARY, keep=False)
    rows = await tree.world.select(
        "SELECT account_id, own_calls, calls, duration_s, charged_units, refunded_units, given_back_units "
        "FROM closed_usage ORDER BY 1"
    )
    operator, good, keytyh = tree.world.operator.id, tree.good.id, tree.keytyh.id
    # 0.03 a minute was mended to 0.02 for 1 + 10 minutes; good pays 0.06, keytyh 0.11 a call of a minute.
    assert rows == [
        (operator, 0, 4, 780, 22_000, 3_000, 3_000 + 11_000),
        (good, 1, 4, 780, 66_000, 6_000, 6_000),
        (keytyh, 3, 3, 180, 11_000, 11_000, 11_000),
    ]
    assert await tree.world.select("SELECT month, state, calls FROM closed_months") == [(JANUARY, "DROPPED", 4)]


async def test_a_detached_month_is_kept_beside_the_books(tree: Tree) -> None:
    await close_month(tree.world.db, JANUARY, keep=True)
    assert await call_ids(tree) == ["of February"]
    assert await tree.world.select("SELECT call_id FROM calls_2026_01 ORDER BY 1") == [
        ("charged",),
        ("of the reseller",),
        ("refunded",),
        ("unrated",),
    ]
    assert [(row.month, row.calls, row.state, row.size_bytes > 0) for row in await call_months(tree.world.db)] == [
        (JANUARY, 4, "DETACHED", True),
        (FEBRUARY, 1, "OPEN", True),
    ]
    with pytest.raises(CannotClose, match="2026-01 is closed already"):
        await close_month(tree.world.db, JANUARY, keep=False)


async def refusal(tree: Tree, order: Any) -> tuple[str, str]:
    """(code, message) of the refusal of an order; nothing in the books has changed."""
    before = await everything(tree)
    (answer,) = await tree.world.batcher.submit([order])
    assert isinstance(answer, Refusal), answer
    assert await everything(tree) == before
    return answer.code.value, answer.message


async def test_a_late_duplicate_is_known_and_charged_nobody(tree: Tree) -> None:
    await close_month(tree.world.db, JANUARY, keep=False)
    known = (
        "MONTH_CLOSED",
        "This call is in the books; its month is closed, and its details are not kept any more.",
    )
    assert await refusal(tree, call(tree.keytyh, "charged")) == known
    assert await refusal(tree, call(tree.keytyh, "charged", policy=ALWAYS_CHARGE)) == known
    assert await refusal(tree, SettleOrder("charged", 60, None, tree.keytyh.id)) == known
    for ended in (
        AuthorizeOrder("charged", tree.keytyh.path, "431234", None, None),
        ExtendOrder("charged", 1, None, tree.keytyh.id),
    ):
        assert (await refusal(tree, ended))[0] == "CALL_ENDED"


async def test_a_call_id_of_a_closed_month_with_other_content_is_a_conflict(tree: Tree) -> None:
    await close_month(tree.world.db, JANUARY, keep=False)
    for other in (call(tree.good, "charged"), call(tree.keytyh, "charged", started_at=NEXT_DAY)):
        assert await refusal(tree, other) == (
            "IDEMPOTENCY_CONFLICT",
            "This callId was used before with other content.",
        )


async def test_a_new_call_of_a_closed_month_is_refused_whatever_the_policy(tree: Tree) -> None:
    await close_month(tree.world.db, JANUARY, keep=False)
    refused = ("INVALID_CALL", "Calls that began in 2026-01 are not taken any more: the month is closed.")
    assert await refusal(tree, call(tree.keytyh, "new")) == refused
    assert await refusal(tree, call(tree.keytyh, "new", policy=ALWAYS_CHARGE)) == refused
    assert await refusal(tree, AuthorizeOrder("new", tree.keytyh.path, "431234", None, NOON)) == refused
    assert await refusal(tree, SettleOrder("new", 60, NOON, tree.keytyh.id)) == refused


async def test_the_other_calls_of_a_batch_are_charged(tree: Tree) -> None:
    await close_month(tree.world.db, JANUARY, keep=False)
    outcomes = await tree.world.charge(
        call(tree.keytyh, "open", started_at=NEXT_DAY),
        call(tree.keytyh, "closed"),
        call(tree.keytyh, "charged"),
        call(tree.keytyh, "open too", started_at=NEXT_DAY),
    )
    assert [outcome.code if isinstance(outcome, Refusal) else outcome.duplicate for outcome in outcomes] == [
        *(False, ErrorCode.INVALID_CALL, ErrorCode.MONTH_CLOSED, False)
    ]


async def test_a_call_that_was_held_until_its_month_was_closed_is_refused_and_holds_nothing(tree: Tree) -> None:
    world = tree.world
    (running,) = await world.batcher.submit([AuthorizeOrder("running", tree.keytyh.path, "431234", None, NOON)])
    assert isinstance(running, Authorization)
    await world.execute("UPDATE holds SET expires_at = now()")
    await world.batcher.free_expired()
    await close_month(world.db, JANUARY, keep=False)
    assert (await refusal(tree, SettleOrder("running", 60, None, tree.keytyh.id)))[0] == "INVALID_CALL"
    assert (await refusal(tree, ExtendOrder("running", 1, None, tree.keytyh.id)))[0] == "INVALID_CALL"
    assert (await world.state(tree.keytyh)).held == "0.00000"


async def test_an_end_that_was_kept_for_a_call_of_a_closed_month_is_not_carried_out(tree: Tree) -> None:
    await tree.world.batcher.submit([SettleOrder("early", 60, NOON, tree.keytyh.id)])
    await close_month(tree.world.db, JANUARY, keep=False)
    late = AuthorizeOrder("early", tree.keytyh.path, "431234", None, NEXT_DAY)
    assert (await refusal(tree, late))[0] == "INVALID_CALL"


async def test_a_refund_and_a_rerating_of_a_closed_month_are_refused(tree: Tree) -> None:
    await close_month(tree.world.db, JANUARY, keep=False)
    before = await everything(tree)
    message = "The calls of 2026-01 cannot be changed any more: the month is closed."
    for call_id in ("charged", "refunded"):
        outcome = await outcome_of_refund(tree.world, call_id)
        assert isinstance(outcome, MonthClosed)
        assert outcome.message == message
    for dry_run in (True, False):
        with pytest.raises(MonthClosed, match="2026-01"):
            await rerated(tree.world, since=NOON, until=NEXT_DAY, dry_run=dry_run)
    assert await everything(tree) == before
    # The next month is open from its first instant on.
    await rerated(tree.world, since=datetime(2026, 2, 1, tzinfo=UTC), until=NEXT_DAY + timedelta(days=1))


async def test_another_process_that_took_the_month_for_open_sees_that_it_is_closed(
    tree: Tree, database_url: str
) -> None:
    async with another_process(database_url) as other:
        await other.booked(call(tree.keytyh, "before"))
        await close_month(tree.world.db, JANUARY, keep=False)
        (outcome,) = await other.charge(call(tree.keytyh, "after"))
        assert isinstance(outcome, Refusal)
        assert outcome.code is ErrorCode.INVALID_CALL


async def test_a_month_whose_charges_differ_from_the_usage_stays_open(tree: Tree) -> None:
    world = tree.world
    await world.execute("UPDATE usage_days SET duration_s = duration_s + 1 WHERE account_id = :id", id=tree.keytyh.id)
    before = await everything(tree)

    assert await look_at_month(world.db, JANUARY) == MonthSums(calls=4, differences=2)
    with pytest.raises(CannotClose, match="differ from the running usage in 2 places"):
        await close_month(world.db, JANUARY, keep=False)

    assert await everything(tree) == before
    await world.execute("UPDATE usage_days SET duration_s = duration_s - 1 WHERE account_id = :id", id=tree.keytyh.id)
    await world.booked(call(tree.keytyh, "the month is open"))


@pytest.mark.parametrize("lost", ["call_keys", "calls"])
async def test_a_month_of_which_a_key_or_a_call_is_lost_stays_open(db: Database, lost: str) -> None:
    async with charging_tree(db) as tree:
        await tree.world.booked(call(tree.keytyh, "one"))
        rows = await tree.world.select(f"SELECT * FROM {lost}")
        await tree.world.execute(f"CREATE TABLE spare AS SELECT * FROM {lost}")
        await tree.world.execute(f"DELETE FROM {lost}")
        with pytest.raises(CannotClose, match="differ"):
            await close_month(db, JANUARY, keep=False)
        await tree.world.execute(f"INSERT INTO {lost} SELECT * FROM spare")
        assert await tree.world.select(f"SELECT * FROM {lost}") == rows


async def test_looking_at_a_month_changes_nothing(tree: Tree) -> None:
    before = await everything(tree)
    assert await look_at_month(tree.world.db, JANUARY) == MonthSums(calls=4, differences=0)
    assert await everything(tree) == before


async def test_only_a_month_that_is_over_for_a_while_and_has_calls_can_be_closed(tree: Tree) -> None:
    present = month_of(datetime.now(UTC))
    await make_coming_months(tree.world.db)
    for month, reason in ((present, "can be closed from"), (date(2020, 5, 1), "there are no calls of 2020-05")):
        for attempt in (look_at_month(tree.world.db, month), close_month(tree.world.db, month, keep=False)):
            with pytest.raises(CannotClose, match=reason):
                await attempt


async def test_closing_goes_on_where_a_process_was_killed(tree: Tree) -> None:
    world = tree.world
    await world.execute("INSERT INTO closed_months (month, state) VALUES ('2026-01-01', 'CLOSING')")
    for table in MONTHLY_TABLES:
        await world.execute(f"ALTER TABLE {table}_2026_01 ADD CONSTRAINT month_is_closed CHECK (false) NOT VALID")
    assert (await audit(world.db)).differences == ()
    assert (await refusal(tree, call(tree.keytyh, "new")))[0] == "INVALID_CALL"
    (known,) = await world.booked(call(tree.keytyh, "charged"))
    assert known.duplicate

    await close_month(world.db, JANUARY, keep=False)

    assert await call_ids(tree) == ["of February"]
    assert (await audit(world.db)).differences == ()


async def test_calls_are_charged_while_a_month_is_closed(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is lost, none is charged after it, and each audit on the way finds the books right."""
    # However long it takes to close, on a machine that does something else as well.
    monkeypatch.setattr("billing.closing._ATTEMPTS_MAX", 1_000)
    await tree.world.credit(tree.good, "1000000")
    charged = closed = 0
    some_charged, over = asyncio.Event(), asyncio.Event()

    async def charge() -> None:
        nonlocal charged, closed
        while closed < 5:
            number = charged + closed
            old, new = await tree.world.charge(
                call(tree.good, f"old {number}"), call(tree.good, f"new {number}", started_at=NEXT_DAY)
            )
            assert not isinstance(new, Refusal)
            charged += not isinstance(old, Refusal)
            closed += isinstance(old, Refusal)
            if charged == 5:
                some_charged.set()
        over.set()

    async def look() -> None:
        while not over.is_set():
            assert (await audit(tree.world.db)).differences == ()
            # Audits without a gap would starve the closing, which gives way to each.
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), closing._PAUSE_S + 0.5)

    async def close() -> None:
        await some_charged.wait()
        # An audit that reads is given way to.
        await close_month(tree.world.db, JANUARY, keep=False)

    # Where one of them fails the others end too, which would go on for ever otherwise.
    async with asyncio.TaskGroup() as together:
        for doing in (charge(), look(), close()):
            together.create_task(doing)
    assert await tree.world.select("SELECT calls FROM closed_months") == [(4 + charged,)]


async def test_whoever_reads_calls_for_long_is_given_way_to(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.closing._ATTEMPTS_MAX", 2)
    async with tree.world.db.transaction() as reader:
        await reader.exec_driver_sql("SELECT count(*) FROM calls")
        with pytest.raises(CannotClose, match="calls are being read for long"):
            await close_month(tree.world.db, JANUARY, keep=False)
    await close_month(tree.world.db, JANUARY, keep=False)


async def test_the_audit_finds_usage_of_a_closed_month_that_was_changed_and_a_key_that_was_lost(db: Database) -> None:
    async with charging_tree(db) as tree:
        await tree.world.booked(call(tree.keytyh, "one"), call(tree.keytyh, "two", started_at=NEXT_DAY))
        await close_month(db, JANUARY, keep=False)
        await tree.world.execute("CREATE TABLE spare AS SELECT * FROM call_keys")
        await tree.world.execute("UPDATE usage_days SET charged_units = charged_units + 1 WHERE day < '2026-02-01'")
        await tree.world.execute("DELETE FROM call_keys WHERE call_id = 'one'")
        found = [
            (one.check.value, one.username, one.subject, one.expected, one.found)
            for one in (await audit(db)).differences
        ]
        assert found == [
            ("CLOSED_CALL_KEYS", "keytyh*good", None, "1", "0"),
            ("USAGE_CHARGED", "op", "2026-01", "0.03000", "0.03001"),
            ("USAGE_CHARGED", "good*op", "2026-01", "0.06000", "0.06001"),
            ("USAGE_CHARGED", "keytyh*good", "2026-01", "0.11000", "0.11001"),
        ]
        await tree.world.execute("UPDATE usage_days SET charged_units = charged_units - 1 WHERE day < '2026-02-01'")
        await tree.world.execute("INSERT INTO call_keys SELECT * FROM spare WHERE call_id = 'one'")
