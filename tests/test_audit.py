"""`tollpath audit` finds every figure that is not what its rows say, and nothing else."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

import models.database
from billing.hold_order import Authorization, AuthorizeOrder
from models.database import Database
from resolvers.audit import audit
from tests.charging_world import ALWAYS_CHARGE, NOON, ChargingWorld, Member, call, charging_world, rate


@dataclass
class Books:
    """A tree of three levels with two calls of a minute each, at 0.10 on every level."""

    world: ChargingWorld
    reseller: Member
    customer: Member

    async def differences(self) -> list[tuple[Any, ...]]:
        """(check, username, of, expected, found) of each difference."""
        report = await audit(self.world.db)
        assert report.differences_in_all == len(report.differences)
        return [(d.check.value, d.username, d.subject, d.expected, d.found) for d in report.differences]


@pytest.fixture
async def books(db: Database) -> AsyncIterator[Books]:
    async with charging_world(db) as world:
        await world.set_base_rates(rate("43", "0.1"))
        reseller = await world.reseller("good", of=world.operator, credit="20")
        customer = await world.customer("keytyh", of=reseller, credit="10")
        await world.credit(customer, "5")
        await world.booked(call(customer, "first"), call(customer, "second", started_at=NOON + timedelta(days=1)))
        await world.credit(customer, "-1.5")
        yield Books(world, reseller, customer)


async def run_audit(database_url: str, *options: str) -> tuple[int, str, str]:
    """The command as a person runs it: exit code, stdout, stderr."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLPATH_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from server.cli import main; main()", "audit", *options),
        env=environment | {"DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_right_books_have_no_difference(books: Books) -> None:
    await books.world.booked(call(books.customer, "no rate", number="861", policy=ALWAYS_CHARGE))
    report = await audit(books.world.db)
    assert report.differences == ()
    assert (report.accounts, report.credit_transactions, report.calls, report.charges, report.usage_days) == (
        *(3, 4, 3),
        *(9, 6),
    )


async def test_empty_books_have_no_difference(db: Database) -> None:
    report = await audit(db)
    assert (report.accounts, report.charges, report.differences) == (0, 0, ())


async def test_a_changed_balance_is_found(books: Books) -> None:
    await books.world.execute(
        "UPDATE account_state SET balance_units = balance_units + 1 WHERE account_id = :id", id=books.customer.id
    )
    assert await books.differences() == [("BALANCE", "keytyh*good", None, "13.30000", "13.30001")]


async def authorized(books: Books, call_id: str) -> None:
    """A call that runs: 0.10000 is held on each level."""
    customer = books.customer
    (answer,) = await books.world.batcher.submit([AuthorizeOrder(call_id, customer.path, "431234", None, NOON)])
    assert isinstance(answer, Authorization)


async def test_what_running_calls_hold_is_no_difference(books: Books) -> None:
    await authorized(books, "running")
    report = await audit(books.world.db)
    assert (report.holds, report.differences) == (1, ())
    assert (await books.world.state(books.customer)).held == "0.10000"


async def test_a_hold_that_was_lost_is_found_on_every_level(books: Books) -> None:
    await authorized(books, "running")
    await books.world.execute("DELETE FROM holds")
    assert await books.differences() == [
        ("HELD", "op", None, "0.00000", "0.10000"),
        ("HELD", "good*op", None, "0.00000", "0.10000"),
        ("HELD", "keytyh*good", None, "0.00000", "0.10000"),
    ]


async def test_a_hold_of_an_ended_call_or_an_expired_one_that_still_holds_is_found(books: Books) -> None:
    await authorized(books, "running")
    await books.world.execute("UPDATE holds SET call_id = 'first', expires_at = NULL")
    assert await books.differences() == [
        ("HOLD_EXPIRED", "keytyh*good", "first", "nothing held", "{10000,10000,10000}"),
        ("HOLD_OF_ENDED_CALL", "keytyh*good", "first", "nothing held", "a hold"),
    ]


async def test_an_early_end_of_an_ended_call_is_found(books: Books) -> None:
    await books.world.execute(
        "INSERT INTO early_ends (call_id, reporter_id, duration_s, released) VALUES ('first', :id, 1, false)",
        id=books.reseller.id,
    )
    assert await books.differences() == [
        ("EARLY_END_OF_ENDED_CALL", "good*op", "first", "nothing kept", "an early end")
    ]


async def test_a_hold_on_another_path_is_found(books: Books) -> None:
    await authorized(books, "running")
    await books.world.execute("UPDATE holds SET path = path[1:2], held_units = held_units[1:2]")
    operator, reseller, customer = books.customer.path
    assert await books.differences() == [
        ("HOLD_PATH", "keytyh*good", "running", f"{{{operator},{reseller},{customer}}}", f"{{{operator},{reseller}}}"),
        ("HELD", "keytyh*good", None, "0.00000", "0.10000"),
    ]


async def test_an_amount_held_for_nothing_is_found(books: Books) -> None:
    await books.world.execute("UPDATE account_state SET held_units = 6000 WHERE account_id = :id", id=books.reseller.id)
    assert await books.differences() == [("HELD", "good*op", None, "0.00000", "0.06000")]


async def test_a_changed_usage_figure_is_found(books: Books) -> None:
    await books.world.execute(
        "UPDATE usage_days SET duration_s = 61 WHERE account_id = :id AND day = '2026-01-31'", id=books.reseller.id
    )
    assert await books.differences() == [("USAGE_DURATION", "good*op", "2026-01-31", "60", "61")]


async def test_a_missing_day_of_usage_is_found(books: Books) -> None:
    await books.world.execute(
        "UPDATE account_state SET usage_day = NULL, day_calls = 0, day_duration_s = 0, day_charged_units = 0 "
        "WHERE account_id = :id AND usage_day = '2026-02-01'",
        id=books.customer.id,
    )
    assert await books.differences() == [
        ("USAGE_CALLS", "keytyh*good", "2026-02-01", "1", "0"),
        ("USAGE_CHARGED", "keytyh*good", "2026-02-01", "0.10000", "0.00000"),
        ("USAGE_DURATION", "keytyh*good", "2026-02-01", "60", "0"),
    ]


async def test_a_missing_charge_is_found_with_its_call(books: Books) -> None:
    await books.world.execute("DELETE FROM charges WHERE account_id = :id AND started_at > :at", **at_noon(books))
    assert await books.differences() == [
        ("BALANCE", "good*op", None, "19.90000", "19.80000"),
        ("USAGE_CALLS", "good*op", "2026-02-01", "0", "1"),
        ("USAGE_CHARGED", "good*op", "2026-02-01", "0.00000", "0.10000"),
        ("USAGE_DURATION", "good*op", "2026-02-01", "0", "60"),
        ("CHARGE_ROWS", "keytyh*good", "second", "3", "2"),
    ]


def at_noon(books: Books) -> dict[str, Any]:
    return {"id": books.reseller.id, "at": NOON}


async def test_a_charge_of_somebody_who_is_not_on_the_path_is_found(books: Books) -> None:
    stranger = await books.world.customer("stranger", of=books.world.operator)
    await books.world.execute(
        "UPDATE charges SET account_id = :stranger WHERE account_id = :id AND started_at > :at",
        stranger=stranger.id,
        **at_noon(books),
    )
    differences = await books.differences()
    assert ("CHARGE_ROWS", "keytyh*good", "second", "3", "2") in differences
    assert ("CHARGE_ROWS_ELSEWHERE", "keytyh*good", "second", "0", "1") in differences
    assert ("BALANCE", "stranger*op", None, "-0.10000", "0.00000") in differences


async def test_a_call_whose_amount_is_not_what_its_account_paid_is_found(books: Books) -> None:
    await books.world.execute("UPDATE calls SET charged_units = 9999, billed_s = 59 WHERE call_id = 'first'")
    assert await books.differences() == [
        ("CALL_BILLED", "keytyh*good", "first", "60", "59"),
        ("CALL_CHARGED", "keytyh*good", "first", "0.10000", "0.09999"),
    ]


async def test_a_call_without_key_and_a_key_without_call_are_found(books: Books) -> None:
    await books.world.execute("UPDATE call_keys SET call_id = 'other' WHERE call_id = 'first'")
    assert await books.differences() == [
        ("CALL_KEY", "keytyh*good", "first", "1", "0"),
        ("KEY_WITHOUT_CALL", "keytyh*good", "other", "0", "1"),
    ]


async def test_charges_of_a_call_that_is_gone_are_found(books: Books) -> None:
    await books.world.execute("DELETE FROM calls WHERE call_id = 'first'")
    ((call_no,),) = await books.world.select("SELECT call_no FROM call_keys WHERE call_id = 'first'")
    differences = await books.differences()
    assert ("CHARGE_ROWS", "keytyh*good", f"call number {call_no}", "0", "3") in differences
    assert ("KEY_WITHOUT_CALL", "keytyh*good", "first", "0", "1") in differences


async def test_a_wrong_balance_after_a_credit_transaction_is_found(books: Books) -> None:
    await books.world.execute(
        "UPDATE credit_transactions SET balance_after_units = balance_after_units - 1 WHERE account_id = :id",
        id=books.reseller.id,
    )
    ((transaction_id,),) = await books.world.select(
        "SELECT id FROM credit_transactions WHERE account_id = :id", id=books.reseller.id
    )
    # Two calls have taken 0.20000 at some time: any value from 19.80000 on would do.
    assert await books.differences() == []
    await books.world.execute(
        "UPDATE credit_transactions SET balance_after_units = 1979999 WHERE account_id = :id", id=books.reseller.id
    )
    assert await books.differences() == [
        ("BALANCE_AFTER", "good*op", str(transaction_id), "19.80000 to 20.00000", "19.79999")
    ]


async def test_a_balance_after_that_grew_without_credit_is_found(books: Books) -> None:
    rows = await books.world.select(
        "SELECT id FROM credit_transactions WHERE account_id = :id ORDER BY id", id=books.customer.id
    )
    await books.world.execute(
        "UPDATE credit_transactions SET balance_after_units = balance_after_units + 20001 WHERE id = :id", id=rows[2][0]
    )
    assert await books.differences() == [
        ("BALANCE_AFTER", "keytyh*good", str(rows[2][0]), "13.30000 to 13.50000", "13.50001")
    ]


async def test_an_idempotency_key_of_no_transaction_is_found(books: Books) -> None:
    await books.world.execute("UPDATE idempotency_keys SET transaction_id = 999 WHERE key = 'key 1'")
    assert await books.differences() == [("CREDIT_KEY", "keytyh*good", "key 1", "a credit transaction", "none")]


async def test_a_wrong_path_is_found(books: Books) -> None:
    reseller, customer = books.reseller.id, books.customer.id
    await books.world.execute("UPDATE accounts SET path = ARRAY[77, :id] WHERE id = :id", id=customer)
    differences = await books.differences()
    operator = books.world.operator.id
    assert differences[0] == (
        *("PATH", "keytyh*good", None),
        *(f"{{{operator},{reseller},{customer}}}", f"{{77,{customer}}}"),
    )
    assert {difference[0] for difference in differences[1:]} == {"CHARGE_ROWS", "CHARGE_ROWS_ELSEWHERE"}


async def test_a_username_without_its_reseller_s_suffix_is_found(books: Books) -> None:
    await books.world.execute("UPDATE accounts SET username = 'keytyh*bad' WHERE id = :id", id=books.customer.id)
    assert await books.differences() == [("USERNAME", "keytyh*bad", None, "keytyh*good", "keytyh*bad")]


async def test_customers_of_an_account_that_is_no_reseller_are_found(books: Books) -> None:
    await books.world.execute("UPDATE accounts SET is_reseller = false WHERE id = :id", id=books.reseller.id)
    assert await books.differences() == [
        ("RESELLER", "good*op", None, "a reseller, since it has customers", "no reseller")
    ]


async def test_an_account_without_state_is_found(books: Books) -> None:
    lost = await books.world.customer("lost", of=books.reseller)
    await books.world.execute("DELETE FROM account_state WHERE account_id = :id", id=lost.id)
    assert await books.differences() == [("STATE", "lost*good", None, "a row of state", "none")]


async def test_the_audit_is_clean_while_calls_are_charged_and_credit_is_given(books: Books) -> None:
    world, customer = books.world, books.customer
    done = asyncio.Event()

    async def use() -> None:
        for number in range(60):
            orders = [call(customer, f"{number}.{part}", policy=ALWAYS_CHARGE) for part in range(10)]
            await asyncio.gather(world.charge(*orders), world.credit(customer, "0.3"))
        done.set()

    using = asyncio.create_task(use())
    calls = []
    while not done.is_set():
        report = await audit(world.db)
        assert report.differences == ()
        calls.append(report.calls)
    await using
    assert calls == sorted(calls)
    assert len(set(calls)) > 1


async def test_the_audit_may_take_longer_than_any_request(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.database, "_ANSWER_TIMEOUT_S", 0.5)
    database = Database(database_url)
    async with database.transaction() as tx:
        await tx.execute(text("LOCK TABLE charges"))
        auditing = asyncio.create_task(audit(database))
        await asyncio.sleep(1)
    assert (await auditing).differences == ()
    await database.close()


async def test_the_command_says_that_all_is_right_and_exits_with_0(books: Books, database_url: str) -> None:
    exit_code, out, err = await run_audit(database_url)
    lines = out.splitlines()
    assert (exit_code, err) == (0, "")
    assert [line.split() for line in lines[:6]] == [
        ["accounts", "3"],
        ["credit", "transactions", "4"],
        ["holds", "0"],
        ["calls", "2"],
        ["charges", "6"],
        ["usage", "days", "6"],
    ]
    assert lines[-1] == "OK: every balance, usage figure, charge and path agrees with its rows."


async def test_the_command_lists_each_difference_and_exits_with_1(books: Books, database_url: str) -> None:
    await books.world.execute(
        "UPDATE account_state SET balance_units = 0 WHERE account_id IN (:customer, :reseller)",
        customer=books.customer.id,
        reseller=books.reseller.id,
    )
    exit_code, out, err = await run_audit(database_url)
    assert (exit_code, err) == (1, "tollpath: the books are wrong in 2 places\n")
    assert [line.split() for line in out.splitlines()[-3:]] == [
        ["CHECK", "ACCOUNT", "OF", "EXPECTED", "FOUND"],
        ["BALANCE", "good*op", "19.80000", "0.00000"],
        ["BALANCE", "keytyh*good", "13.30000", "0.00000"],
    ]


async def test_the_command_answers_programs_in_json(books: Books, database_url: str) -> None:
    await books.world.execute(
        "UPDATE usage_days SET calls = 9 WHERE account_id = :id AND day = '2026-01-31'", id=books.customer.id
    )
    exit_code, out, _ = await run_audit(database_url, "--json")
    answer = json.loads(out)
    assert exit_code == 1
    assert answer["checked"] == {
        "accounts": 3,
        "creditTransactions": 4,
        "holds": 0,
        "calls": 2,
        "charges": 6,
        "usageDays": 6,
    }
    assert (answer["clean"], answer["differencesInAll"]) == (False, 1)
    host = make_url(database_url).query["host"]
    assert answer["database"] == f"postgresql://tollpath:***@/of_one_test?host={host}"
    assert answer["differences"] == [
        {
            "check": "USAGE_CALLS",
            "accountId": books.customer.id,
            "username": "keytyh*good",
            "of": "2026-01-31",
            "expected": "1",
            "found": "9",
        }
    ]


async def test_the_command_refuses_a_database_that_is_not_up_to_date(empty_database_url: str) -> None:
    exit_code, out, err = await run_audit(empty_database_url)
    assert (exit_code, out) == (2, "")
    assert err == "tollpath: the database is not up to date: run `tollpath migrate` first\n"


async def test_findings_without_end_are_counted_and_cut(db: Database) -> None:
    async with charging_world(db) as world:
        await world.execute(
            "INSERT INTO usage_days SELECT :id, date '2000-01-01' + day, 1, 1, 1 FROM generate_series(1, 1200) AS day",
            id=world.operator.id,
        )
        report = await audit(db)
    assert (len(report.differences), report.differences_in_all) == (3000, 3600)
