"""First pages, and the thousandth, of what a back office reads, on the database of `tests.benchmarks.big_database`.

    python -m tests.benchmarks.reads FOLDER [--rounds N] [--only WORDS]

Each read goes through the resolvers, in process, one at a time, each with loaders of its own as a request has them.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.tokens import Scope
from resolvers.access import Viewer
from resolvers.account_figures import customer_count, descendant_count, usage, usage_request
from resolvers.account_lists import (
    CUSTOMERS,
    DESCENDANTS,
    AccountFilter,
    AccountOrder,
    AccountOrderField,
    AccountsRequest,
    accounts_of,
    accounts_request,
)
from resolvers.accounts import visible_account_by_username
from resolvers.calls import CallFilter, SortDirection, calls_page
from resolvers.context import RequestContext, Services
from resolvers.credit_transactions import TransactionsRequest, transactions_of, transactions_request
from resolvers.pages import PageRequest
from resolvers.prices import tables_of_path
from resolvers.rates import RateFilter, rates_of_path, rates_page_request
from server.embedded_postgres import EmbeddedPostgres
from server.services import open_services
from server.settings import Settings
from tests.benchmarks.big_database import CHAIN, MIDDLE, OPERATOR, WIDE
from tests.benchmarks.machine import cpu_s_of_children, parent_of
from tests.benchmarks.report import Report, Row

_NOTES = (
    "In process: no HTTP, no GraphQL. One read at a time, everything in memory or in the page cache.",
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
_ANY_TIME = {"since": None, "until": None}
_FIRST = {"first": None, "after": None, "last": None, "before": None}
_NO_FILTER = AccountFilter()

Read = Callable[[RequestContext], Awaitable[Any]]


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
                order = AccountOrder(field, descending)
                name = f"customers of 200,000 by {field.value}{' DESC' if descending else ''}"
                reads[name] = self._customers(WIDE, order)
        for words, account_id in (("operator", OPERATOR), ("middle reseller", self.middle), ("chain of 12", CHAIN)):
            for field in AccountOrderField:
                reads[f"descendants of {words} by {field.value}"] = self._descendants(account_id, AccountOrder(field))
        for search in ("anna", "99999", "a10", "zz", "3"):
            chosen = AccountFilter(search=search)
            name = AccountOrder(AccountOrderField.USERNAME)
            reads[f"customers of 200,000 with {search!r}"] = self._customers(WIDE, name, chosen)
            reads[f"descendants of operator with {search!r}"] = self._descendants(OPERATOR, name, chosen)
            reads[f"descendants of middle with {search!r}"] = self._descendants(self.middle, name, chosen)
        blocked = AccountFilter(blocked=True)
        reads["customers of 200,000 that are blocked"] = self._customers(
            WIDE, AccountOrder(AccountOrderField.USERNAME), blocked
        )
        resellers = AccountFilter(is_reseller=True)
        reads["customers of 200,000 that are resellers"] = self._customers(
            WIDE, AccountOrder(AccountOrderField.USERNAME), resellers
        )
        return reads

    def _calls(self) -> dict[str, Read]:
        newest, oldest = CallFilter(), CallFilter(direction=SortDirection.ASC)
        year_ago = self.now - timedelta(days=365)
        reads: dict[str, Read] = {}
        for words, account_id in (
            ("operator", OPERATOR),
            ("200,000", WIDE),
            ("middle reseller", self.middle),
            ("busy leaf", self.busy),
        ):
            for name, chosen in (
                ("", newest),
                (" oldest first", oldest),
                (" until a year ago", CallFilter(until=year_ago)),
                (" of one day", CallFilter(since=year_ago, until=year_ago + timedelta(days=1))),
                (" to 10...", CallFilter(number_prefix="10")),
                (" to 1500...", CallFilter(number_prefix="1500")),
                (" to 9990...", CallFilter(number_prefix="9990")),
                (" to a number nobody called", CallFilter(number_prefix="999999999999")),
            ):
                reads[f"calls of {words}{name}"] = self._calls_of(account_id, chosen)
        leaves = iter(self.leaves * 1000)
        reads["calls of any leaf"] = lambda context: calls_page(
            context, next(leaves), newest, PageRequest(newest.order, 20)
        )
        return reads

    def _others(self) -> dict[str, Read]:
        transactions = transactions_request(**_FIRST, **_ANY_TIME)
        rates = rates_page_request(**_FIRST)
        names = iter(self.usernames * 1000)

        def rates_with(name: str) -> Read:
            async def read(context: RequestContext) -> Any:
                tables = await tables_of_path(context, (OPERATOR, WIDE))
                return await rates_of_path(tables, rates, RateFilter(name=name), None)

            return read

        return {
            "transactions of 20,000": lambda context: transactions_of(context, WIDE, transactions),
            "rates of a reseller": rates_with(""),
            "rates with a common name": rates_with("destination 5"),
            "rates with a rare name": rates_with("destination 10999"),
            "rates with no such name": rates_with("nowhere"),
            "customerCount of 200,000": lambda context: customer_count(context, WIDE),
            "descendantCount of the operator": lambda context: descendant_count(context, OPERATOR),
            "usage of the operator, 28 days": lambda context: usage(context, OPERATOR, usage_request(None, None)),
            "account by username": lambda context: visible_account_by_username(context, next(names)),
        }

    def _customers(self, account_id: int, order: AccountOrder, chosen: AccountFilter = _NO_FILTER) -> Read:
        request = accounts_request(CUSTOMERS, order, chosen, **_FIRST)
        return lambda context: accounts_of(context, account_id, request)

    def _descendants(self, account_id: int, order: AccountOrder, chosen: AccountFilter = _NO_FILTER) -> Read:
        request = accounts_request(DESCENDANTS, order, chosen, **_FIRST)
        return lambda context: accounts_of(context, account_id, request)

    def _calls_of(self, account_id: int, chosen: CallFilter) -> Read:
        page = PageRequest(chosen.order, 20)
        return lambda context: calls_page(context, account_id, chosen, page)

    async def far(self, connection: AsyncConnection) -> dict[str, Read]:
        """Page 1,000 of long lists: from where it begins."""
        order, path = AccountOrder(AccountOrderField.USERNAME), AccountOrder(AccountOrderField.PATH)
        newest = CallFilter()

        async def thousandth(first: PageRequest, statement: str) -> PageRequest:
            row = (await connection.execute(text(f"{statement} OFFSET {999 * first.size - 1} LIMIT 1"))).one()
            return replace(first, position=tuple(tuple(value) if isinstance(value, list) else value for value in row))

        customers = await thousandth(
            accounts_request(CUSTOMERS, order, _NO_FILTER, **_FIRST).page,
            f"SELECT lower(username), id FROM accounts WHERE parent_id = {WIDE} ORDER BY 1, 2",
        )
        descendants = await thousandth(
            accounts_request(DESCENDANTS, path, _NO_FILTER, **_FIRST).page,
            f"SELECT path FROM accounts WHERE path > '{{{OPERATOR}}}' ORDER BY path",
        )
        calls = await thousandth(
            PageRequest(newest.order, 20),
            f"SELECT started_at, call_no FROM charges WHERE account_id = {OPERATOR} ORDER BY 1 DESC, 2 DESC",
        )
        transactions = await thousandth(
            transactions_request(**_FIRST, **_ANY_TIME).page,
            f"SELECT created_at, id FROM credit_transactions WHERE account_id = {WIDE} ORDER BY 1 DESC, 2 DESC",
        )
        return {
            "page 1,000: customers of 200,000 by USERNAME": lambda context: accounts_of(
                context, WIDE, AccountsRequest(CUSTOMERS, customers, order, _NO_FILTER)
            ),
            "page 1,000: descendants of operator by PATH": lambda context: accounts_of(
                context, OPERATOR, AccountsRequest(DESCENDANTS, descendants, path, _NO_FILTER)
            ),
            "page 1,000: calls of operator": lambda context: calls_page(context, OPERATOR, newest, calls),
            "page 1,000: transactions of 20,000": lambda context: transactions_of(
                context, WIDE, TransactionsRequest(transactions, None, None)
            ),
        }


async def run(url: str, *, rounds: int, only: str = "") -> Report:
    """Measure every read by turns."""
    async with open_services(Settings(), url) as services:
        async with services.db.read() as connection:
            leaves = (await connection.execute(_LEAVES)).all()
            busy = await connection.scalar(_BUSY)
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
        reads = Reads(MIDDLE, busy, [row.id for row in leaves], [row.username for row in leaves], datetime.now(UTC))
        async with services.db.read() as connection:
            everything = reads.all() | await reads.far(connection)
        named = {name: read for name, read in everything.items() if only in name}
        postmaster = parent_of(pid)
        figures: dict[str, list[_Figure]] = {name: [] for name in named}
        for number in range(_UNCOUNTED + rounds):
            for name, read in named.items():
                context = context_of(services)
                postgres = cpu_s_of_children(postmaster)
                client, begun = time.process_time(), time.perf_counter()
                await read(context)
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
