"""How PostgreSQL answers the main reads, held to the texts in tests/plans.

On a database large enough that an index is worth its while. Where a plan has changed for a reason, write the texts anew
with `TOLLPATH_WRITE_PLANS=1 pytest tests/test_plans.py`, and read the difference.
"""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from models.database import Database
from resolvers.account_directory import AccountDirectory
from resolvers.context import Rules, Services
from tests.benchmarks.big_database import Filler, Size
from tests.benchmarks.reads import Reads, ask
from tests.conftest import TEMPLATE
from tests.query_plans import as_text, plan, recorded, scanned_whole
from tests.raw_connection import connect

_FOLDER = Path(__file__).with_name("plans")
_SIZE = Size(accounts=20_000, calls=100_000, months=4, now=datetime(2026, 6, 30, tzinfo=UTC))
# A reseller with a few customers, and the account that calls most; a year before `now` lies within the calls.
_READS = Reads(
    middle=24,
    busy=11_014,
    leaves=[4_000],
    usernames=["karim4000*fatimar27"],
    now=datetime(2027, 5, 10, tzinfo=UTC),
)

_NAMES = (
    "customers of 200,000 by USERNAME",
    "customers of 200,000 by USERNAME DESC",
    "customers of 200,000 by CREATED_AT",
    "customers of 200,000 by PATH",
    "customers of 200,000 with '99999'",
    "customers of 200,000 that are resellers",
    "four levels below the operator",
    "descendants of operator by USERNAME",
    "descendants of operator by CREATED_AT",
    "descendants of operator by PATH",
    "descendants of operator with '99999'",
    "descendants of middle reseller by USERNAME",
    "descendants of middle reseller by PATH",
    "calls of operator",
    "calls of operator oldest first",
    "calls of operator of one day",
    "calls of operator to 10...",
    "calls of operator to a number nobody called",
    "calls of middle reseller",
    "calls of any leaf",
    "transactions of 20,000",
    "customerCount of 200,000",
    "descendantCount of the operator",
    "usage of the operator, 28 days",
    "account by username",
)

# What grows with the installation; nothing may read it from one end to the other.
_LARGE = {
    "tokens",
    "accounts",
    "account_state",
    "account_counts",
    "calls",
    "charges",
    "call_keys",
    "credit_transactions",
}

_TOKENS = """
    INSERT INTO tokens (account_id, kind, secret_digest, expires_at)
    SELECT id, 'SESSION', sha256(id::text::bytea), now() + interval '1 day' FROM accounts;
    ANALYZE tokens;
"""


@pytest.fixture(scope="module")
async def large_database_url(admin: "asyncpg.Connection[Any]", postgres: str) -> AsyncIterator[str]:
    """The URL of a database like those of benchmarks, only smaller."""
    await admin.execute(f"CREATE DATABASE of_plans TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    url = make_url(postgres).set(database="of_plans").render_as_string(hide_password=False).replace("%2F", "/")
    connection = await connect(url)
    await Filler(connection, _SIZE).fill()
    await connection.execute(_TOKENS)
    await connection.close()
    yield url
    await admin.execute("DROP DATABASE of_plans WITH (FORCE)")


async def plans_of(url: str, name: str) -> list[dict[str, Any]]:
    """The plans of the statements by which a read is answered."""
    db = Database(url)
    # Only what reads need: nothing else is to ask anything meanwhile.
    services = cast("Services", SimpleNamespace(db=db, directory=AccountDirectory(db), rules=Rules()))
    connection = await connect(url)
    try:
        async with recorded(db) as statements:
            await ask(services, _READS.all()[name])
        return [await plan(connection, one) for one in statements if one.sql.startswith(("SELECT", "WITH"))]
    finally:
        await connection.close()
        await db.close()


@pytest.mark.parametrize("name", _NAMES)
async def test_a_read_is_answered_as_its_text_says(large_database_url: str, name: str) -> None:
    plans = await plans_of(large_database_url, name)

    assert plans
    for one in plans:
        assert scanned_whole(one) & _LARGE == set()
    found = "\n".join(map(as_text, plans))
    file = _FOLDER / f"{name.replace(',', '').replace(' ', '-').replace('.', '').replace(chr(39), '').lower()}.txt"
    if os.environ.get("TOLLPATH_WRITE_PLANS"):
        file.write_text(found)
    assert found == file.read_text()


async def test_there_is_no_text_of_a_read_that_is_no_more() -> None:
    assert len(list(_FOLDER.glob("*.txt"))) == len(_NAMES)
