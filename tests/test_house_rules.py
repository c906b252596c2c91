"""Rules about the code itself. Each is shown to fail on a bad line first, so that it cannot pass by being blind."""

from pathlib import Path

import pytest

from tests.house_rules import balance_writes, binary_fractions, lacks_docstring, writes

ROOT = Path(__file__).parent.parent
PACKAGES = ("billing", "models", "resolvers", "schema", "server")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def found_in(files: list[Path], rule) -> dict[str, list[str]]:  # type: ignore[no-untyped-def]
    found = {str(path.relative_to(ROOT)): rule(path.read_text()) for path in files}
    return {path: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize(
    "line",
    [
        "from sqlalchemy import insert\ninsert(Account).values(id=1)",
        "from sqlalchemy.dialects.postgresql import insert as put\nput(Account)",
        "from sqlalchemy import update\nawait tx.execute(update(Account))",
        "from sqlalchemy import delete\ndelete(Account)",
        "Account.__table__.delete()",
        "accounts_table.insert()",
        'text("INSERT INTO accounts VALUES (1)")',
        'SQL = """\nupdate accounts\nset username = 1"""',
        'text("UPDATE account_state AS state SET version = 1")',
        'text(f"DELETE FROM {table}")',
        'text("COPY accounts (id) FROM STDIN")',
        "connection.copy_records_to_table('accounts', records=[])",
    ],
)
def test_a_write_is_noticed(line: str) -> None:
    assert writes(line) != []


@pytest.mark.parametrize(
    "line",
    [
        "values.update(other)",
        "hashlib.sha256().update(data)",
        "from schema import update\nupdate(1)",
        '"""INSERT INTO accounts is only mentioned here."""',
        'text("SELECT updated FROM accounts FOR NO KEY UPDATE")',
        'description="Update an account and set its rate list."',
    ],
)
def test_what_is_no_write_is_let_be(line: str) -> None:
    assert writes(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "update(AccountState).values(balance_units=1)",
        "update(AccountState).values({'held_units': 1})",
        "insert(AccountState).values(balance_units=1)",
        'text("UPDATE account_state SET version = version + 1, balance_units = 5")',
        'text("UPDATE account_state AS s SET held_units = s.held_units - 1 WHERE 1 = 1")',
        'text("INSERT INTO account_state (account_id, balance_units) VALUES (1, 2)")',
    ],
)
def test_a_change_of_a_balance_is_noticed(line: str) -> None:
    assert balance_writes(line) != []


@pytest.mark.parametrize(
    "line",
    [
        "insert(CreditTransaction).values(balance_after_units=1)",
        'text("INSERT INTO holds (call_id, held_units) VALUES (1, 2) ON CONFLICT DO UPDATE SET held_units = 2")',
        "AccountRow(balance_units=1)",
        'text("SELECT balance_units, held_units FROM account_state WHERE held_units = 5")',
        'text("UPDATE account_state SET blocked = true WHERE balance_units = 0")',
        "insert(AccountState).values(account_id=1, credit_limit_units=None)",
    ],
)
def test_what_changes_no_balance_is_let_be(line: str) -> None:
    assert balance_writes(line) == []


@pytest.mark.parametrize("line", ["float(text)", "amount = 1.5", "units / 100", "units /= 2", "def f(x: float): ..."])
def test_a_binary_fraction_is_noticed(line: str) -> None:
    assert binary_fractions(line) != []


def test_whole_numbers_are_let_be() -> None:
    assert binary_fractions("units // 100 * 2 % 7") == []


def test_a_module_without_docstring_is_noticed() -> None:
    assert lacks_docstring("x = 1")
    assert not lacks_docstring('"""What it is."""\nx = 1')


def test_every_insert_update_and_delete_is_in_billing() -> None:
    elsewhere = [
        path
        for path in FILES
        if path.relative_to(ROOT).parts[0] != "billing" and path.relative_to(ROOT).parts[:2] != ("models", "migrations")
    ]
    assert len(elsewhere) > 20
    assert found_in(elsewhere, writes) == {}


def test_billing_does_write() -> None:
    assert "billing/accounts.py" in found_in(FILES, writes)


def test_only_one_module_changes_a_balance() -> None:
    assert list(found_in(FILES, balance_writes)) == ["billing/balances.py"]


def test_no_binary_fraction_comes_near_money() -> None:
    near = [path for path in FILES if path.relative_to(ROOT).parts[0] in ("billing", "schema")]
    assert found_in(near, binary_fractions) == {}


def test_every_module_says_what_it_is() -> None:
    assert [path for path in FILES if lacks_docstring(path.read_text())] == []
