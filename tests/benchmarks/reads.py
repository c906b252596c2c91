"""First pages, and the thousandth, of what a back office reads, on the database of `tests.benchmarks.big_database`.

    python -m tests.benchmarks.reads FOLDER [--rounds N] [--only WORDS]

Each read is a GraphQL query by its text, from the checked operation to the bytes of the answer: by one statement where
there is one, by resolvers where there is none, as a server does it. In process, one at a time.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.tokens import Scope
from resolvers.access import Viewer
from resolvers.account_lists import CUSTOMERS, DESCENDANTS, AccountFilter, AccountOrder, AccountOrderField
from resolvers.account_lists import accounts_request as accounts_page
from resolvers.call_filter import CallFilter
from resolvers.context import RequestContext, Services
from resolvers.credit_transactions import transactions_request
from resolvers.pages import PageRequest
from schema.assembled import schema
from schema.node import global_id
from server.embedded_postgres import EmbeddedPostgres
from server.graphql_answer import encoded
from server.services import open_services
from server.settings import Settings
from tests.benchmarks.big_database import CHAIN, MIDDLE, OPERATOR, WIDE
from tests.benchmarks.machine import cpu_s_of_children, parent_of
from tests.benchmarks.report import Report, Row

_NOTES = (
    "In process: no HTTP. One read at a time, everything in memory or in the page cache; the operator asks.",
    "p95 is over rounds of the same read by turns; of `any leaf` over different accounts.",
    "CPU is processor time in ms of PostgreSQL's backends and of this process: what a read takes where nobody else "
    "wants the processor.",
)
_UNCOUNTED = 6
_LEAVES = text("SELECT id, username FROM accounts WHERE id % 9973 = 17 AND NOT is_reseller")
_BUSY = text(
    "SELECT account_id FROM usage_days JOIN account_counts USING (account_id) WHERE customers = 0 "
    "AND day = (SELECT max(day) FROM usage_days WHERE account_id = 1) ORDER BY calls DESC LIMIT 1"
)
_FIRST = {"first": None, "after": None, "last": None, "before": None}

_ACCOUNT = "nodes { id username isReseller blocked balance available createdAt } pageInfo { hasNextPage endCursor }"
_CALL = (
    "nodes { id number destination startedAt durationSeconds charged status account { username } } "
    "pageInfo { hasNextPage endCursor }"
)
_TRANSACTION = "nodes { id amount balanceAfter kind remark createdAt createdBy { username } } pageInfo { endCursor }"
_RATE = "nodes { prefix destination pricePerMinute } pageInfo { hasNextPage endCursor }"


class Read(NamedTuple):
    """A query, and the variables of each time it is asked."""

    query: str
    variables: Iterator[Mapping[str, Any]]


def _of_account(account_id: int, field: str, types: str = "", **variables: Any) -> Read:
    id_ = global_id("Account", account_id)
    return Read(f"query ($id: ID!{types}) {{ account(id: $id) {{ {field} }} }}", cycle([{"id": id_, **variables}]))


def _customers(account_id: int, order: str = "USERNAME", descending: bool = False, **chosen: Any) -> Read:
    return _accounts("customers", account_id, order, descending, chosen)


def _descendants(account_id: int, order: str = "PATH", **chosen: Any) -> Read:
    return _accounts("descendants", account_id, order, False, chosen)


def _levels(depth: int) -> str:
    inner = f" {_levels(depth - 1)}" if depth > 1 else ""
    return f"customers(first: 5) {{ nodes {{ id username balance{inner} }} pageInfo {{ hasNextPage }} }}"


def _accounts(name: str, account_id: int, order: str, descending: bool, chosen: dict[str, Any]) -> Read:
    after = chosen.pop("after", None)
    field = f"{name}(after: $after, filter: $filter, orderBy: $order) {{ {_ACCOUNT} }}"
    types = ", $after: String, $filter: AccountFilter, $order: AccountOrder"
    order_by = {"field": order, "descending": descending}
    return _of_account(account_id, field, types, after=after, filter=chosen or None, order=order_by)


def _calls(account_id: int, **chosen: Any) -> Read:
    names = {"after": "String", "direction": "SortDirection!", "since": "DateTime", "until": "DateTime"}
    names |= {"number": "String", "destination": "String", "status": "CallStatus"}
    arguments = ", ".join(f"{name}: ${name}" for name in chosen)
    types = "".join(f", ${name}: {names[name]}" for name in chosen)
    return _of_account(account_id, f"calls{f'({arguments})' if chosen else ''} {{ {_CALL} }}", types, **chosen)


def _rates(account_id: int, search: str | None = None) -> Read:
    return _of_account(account_id, f"rates(search: $search) {{ {_RATE} }}", ", $search: String", search=search)


@dataclass(frozen=True)
class Reads:
    """Who looks, and at what.

    Names say what there is in the large database; a smaller one has less of everything.
    """

    middle: int
    busy: int
    leaves: list[int]
    usernames: list[str]
    now: datetime

    def all(self) -> dict[str, Read]:
        """Every read, by its name."""
        return self._accounts() | self._calls() | self._others()

    def _accounts(self) -> dict[str, Read]:
        reads: dict[str, Read] = {}
        for field in AccountOrderField:
            for descending in (False, True):
                name = f"customers of 200,000 by {field.value}{' DESC' if descending else ''}"
                reads[name] = _customers(WIDE, field.name, descending)
        for words, account_id in (("operator", OPERATOR), ("middle reseller", self.middle), ("chain of 12", CHAIN)):
            for field in AccountOrderField:
                reads[f"descendants of {words} by {field.value}"] = _descendants(account_id, field.name)
        for search in ("anna", "99999", "a10", "zz", "3"):
            reads[f"customers of 200,000 with {search!r}"] = _customers(WIDE, search=search)
            reads[f"descendants of operator with {search!r}"] = _descendants(OPERATOR, "USERNAME", search=search)
            reads[f"descendants of middle with {search!r}"] = _descendants(self.middle, "USERNAME", search=search)
        reads["four levels below the operator"] = _of_account(OPERATOR, _levels(4))
        reads["customers of 200,000 that are blocked"] = _customers(WIDE, blocked=True)
        reads["customers of 200,000 that are resellers"] = _customers(WIDE, isReseller=True)
        return reads

    def _calls(self) -> dict[str, Read]:
        year_ago = self.now - timedelta(days=365)
        day = {"since": year_ago.isoformat(), "until": (year_ago + timedelta(days=1)).isoformat()}
        reads: dict[str, Read] = {}
        for words, account_id in (
            ("operator", OPERATOR),
            ("200,000", WIDE),
            ("middle reseller", self.middle),
            ("busy leaf", self.busy),
        ):
            reads |= {
                f"calls of {words}": _calls(account_id),
                f"calls of {words} oldest first": _calls(account_id, direction="ASC"),
                f"calls of {words} until a year ago": _calls(account_id, until=year_ago.isoformat()),
                f"calls of {words} of one day": _calls(account_id, **day),
                f"calls of {words} to 10...": _calls(account_id, number="10"),
                f"calls of {words} to 1500...": _calls(account_id, number="1500"),
                f"calls of {words} to 9990...": _calls(account_id, number="9990"),
                f"calls of {words} to a number nobody called": _calls(account_id, number="999999999999"),
            }
        any_leaf = _calls(OPERATOR)
        ids = cycle([{"id": global_id("Account", leaf)} for leaf in self.leaves])
        return reads | {"calls of any leaf": any_leaf._replace(variables=ids)}

    def _others(self) -> dict[str, Read]:
        names = cycle([{"username": name} for name in self.usernames])
        by_name = "query ($username: String!) { account(username: $username) { id username balance available } }"
        return {
            "transactions of 20,000": _of_account(WIDE, f"transactions {{ {_TRANSACTION} }}"),
            "rates of a reseller": _rates(WIDE),
            "rates with a common name": _rates(WIDE, "destination 5"),
            "rates with a rare name": _rates(WIDE, "destination 10999"),
            "rates with no such name": _rates(WIDE, "nowhere"),
            "customerCount of 200,000": _of_account(WIDE, "customerCount"),
            "descendantCount of the operator": _of_account(OPERATOR, "descendantCount"),
            "usage of the operator, 28 days": _of_account(OPERATOR, "usage { calls durationSeconds charged }"),
            "account by username": Read(by_name, names),
        }


async def far(connection: AsyncConnection) -> dict[str, Read]:
    """Page 1,000 of long lists: from where it begins."""

    async def thousandth(page: PageRequest, statement: str) -> str:
        row = (await connection.execute(text(f"{statement} OFFSET {999 * page.size - 1} LIMIT 1"))).one()
        return page.cursor(tuple(tuple(value) if isinstance(value, list) else value for value in row))

    def accounts(of: str, field: AccountOrderField) -> PageRequest:
        return accounts_page(of, AccountOrder(field), AccountFilter(), **_FIRST).page

    customers = await thousandth(
        accounts(CUSTOMERS, AccountOrderField.USERNAME),
        f"SELECT lower(username), id FROM accounts WHERE parent_id = {WIDE} ORDER BY 1, 2",
    )
    descendants = await thousandth(
        accounts(DESCENDANTS, AccountOrderField.PATH),
        f"SELECT path FROM accounts WHERE path > '{{{OPERATOR}}}' ORDER BY path",
    )
    calls = await thousandth(
        PageRequest(CallFilter().order, 20),
        f"SELECT started_at, call_no FROM charges WHERE account_id = {OPERATOR} ORDER BY 1 DESC, 2 DESC",
    )
    transactions = await thousandth(
        transactions_request(**_FIRST, since=None, until=None).page,
        f"SELECT created_at, id FROM credit_transactions WHERE account_id = {WIDE} ORDER BY 1 DESC, 2 DESC",
    )
    of_transactions = f"transactions(after: $after) {{ {_TRANSACTION} }}"
    return {
        "page 1,000: customers of 200,000 by USERNAME": _customers(WIDE, after=customers),
        "page 1,000: descendants of operator by PATH": _descendants(OPERATOR, after=descendants),
        "page 1,000: calls of operator": _calls(OPERATOR, after=calls),
        "page 1,000: transactions of 20,000": _of_account(
            WIDE, of_transactions, ", $after: String", after=transactions
        ),
    }


async def ask(services: Services, read: Read) -> bytes:
    """The answer, as a server sends it. Raises: RuntimeError: it has errors."""
    operation = schema.prepare(read.query)
    result = await schema.run(operation, dict(next(read.variables)), context_of(services))
    if result.errors:
        raise RuntimeError(f"{read.query}: {result.errors}")
    return encoded(result, "benchmark")


async def run(url: str, *, rounds: int, only: str = "") -> Report:
    """Measure every read by turns."""
    async with open_services(Settings(), url) as services:
        async with services.db.read() as connection:
            leaves = (await connection.execute(_LEAVES)).all()
            busy = await connection.scalar(_BUSY)
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            far_reads = await far(connection)
        reads = Reads(MIDDLE, busy, [row.id for row in leaves], [row.username for row in leaves], datetime.now(UTC))
        named = {name: read for name, read in (reads.all() | far_reads).items() if only in name}
        postmaster = parent_of(pid)
        figures: dict[str, list[_Figure]] = {name: [] for name in named}
        for number in range(_UNCOUNTED + rounds):
            for name, read in named.items():
                postgres = cpu_s_of_children(postmaster)
                client, begun = time.process_time(), time.perf_counter()
                await ask(services, read)
                taken, client = time.perf_counter() - begun, time.process_time() - client
                # The first few plan their statements and fill the memory.
                if number >= _UNCOUNTED:
                    figures[name].append(_Figure(taken, cpu_s_of_children(postmaster) - postgres, client))
    return Report("reads", "Pages of a large installation", [_row(*one) for one in figures.items()], _NOTES)


class _Figure(NamedTuple):
    """Seconds of one read: by the clock, and of the processor."""

    taken: float
    postgres: float
    client: float


def _row(name: str, figures: list[_Figure]) -> Row:
    taken = [figure.taken for figure in figures]
    cpu = [figure.postgres + figure.client for figure in figures]
    return {
        "what": name,
        "p50 ms": statistics.median(taken) * 1000,
        "p95 ms": statistics.quantiles(taken, n=20, method="inclusive")[-1] * 1000,
        "CPU p50": statistics.median(cpu) * 1000,
        "CPU p95": statistics.quantiles(cpu, n=20, method="inclusive")[-1] * 1000,
        "of it postgres": statistics.median([figure.postgres for figure in figures]) * 1000,
    }


def context_of(services: Services) -> RequestContext:
    """A request of the operator."""
    viewer = Viewer(OPERATOR, "operator", (OPERATOR,), True, frozenset(Scope), None)
    return RequestContext(services=services, viewer=viewer)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.reads", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", default="", help="reads with these words in their names")
    given = parser.parse_args()
    with EmbeddedPostgres(given.folder, durable=False) as url:
        print(asyncio.run(run(url, rounds=given.rounds, only=given.only)).as_text())


if __name__ == "__main__":
    main()
