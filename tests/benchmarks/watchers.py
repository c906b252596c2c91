"""Watchers: `balanceChanged` over thousands of WebSockets, beside the smallest fan-out that Starlette can do."""

import asyncio
import json
import signal
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

import httpx

from billing import tokens
from billing.balances import Cause, apply_to_locked, lock_states
from billing.tokens import Scope
from schema.node import global_id
from tests.benchmarks.machine import cpu_s_of_process
from tests.benchmarks.place import Place, place_with_tree
from tests.benchmarks.proof import prove
from tests.benchmarks.report import Options, Report, Row
from tests.raw_connection import Connection, connected
from tests.server_process import server_process

NAME = "watchers"

_WATCHERS = 1_000
_MANY_WATCHERS = 5_000
_SUBTREE_WATCHERS = 10
_SECONDS = 5.0
_ACCOUNTS_EACH = 20
_SELECTION = "{ account { id username } balance held available version cause at }"

# What an event of ours looks like, so that the fan-out sends as many bytes.
_EVENT = (
    '{"id":"1","type":"next","payload":{"data":{"balanceChanged":{"account":{"id":"QWNjb3VudDoxMDA2Ng==",'
    '"username":"customer10066*reseller3-118"},"balance":"9999999.99999","held":"0.00000",'
    '"available":"9999999.99999","version":%d,"cause":"CREDIT","at":"2026-01-31T12:00:00.123456Z"}}}}'
)

_WANTED = "5,000 watchers and 1,000 changes a second: p99 under 100 ms, at most 60 us each"
_NOTES = (
    "A delivery is one event that has reached one client. CPU is the server process's, in microseconds for each; "
    "what PostgreSQL and the client spend is not in it. All share the cores, so the latencies are theirs too.",
    "Latency is from the commit of a change, as whoever made it learns of it, to the client's socket.",
    "The fan-out is Starlette on the same uvicorn that sends the same bytes at the same times to the same number of "
    "sockets: it knows nobody, asks no database and makes no JSON. It is the limit of what goes by ASGI, and no peer.",
    "Pings are left out: each connection has one every 45 seconds, which costs as much as an event; a round is over "
    "before the first.",
    "Changes are made in transactions of so many accounts, as batches of calls make them; where two changes of an "
    "account fall into one read, at most every 40 ms, a watcher gets the newer state alone, so fewer deliveries.",
)


@dataclass
class _Figures:
    """One round: the deliveries, the time they took, processor time, and the latency of each."""

    deliveries: int
    cpu_s: float
    latencies_s: list[float]

    @property
    def cpu_us_each(self) -> float:
        return self.cpu_s / self.deliveries * 1_000_000


@dataclass
class _Way:
    """``watchers`` connections; in one second ``transactions``, each of them told to ``told_each`` of the watchers."""

    name: str
    watchers: int
    transactions: int
    told_each: int
    ours: Callable[["_Way"], Awaitable[_Figures]]
    rounds: list[_Figures] = field(default_factory=list)
    limit_rounds: list[_Figures] = field(default_factory=list)


async def run(options: Options) -> Report:
    """Measure each way beside the fan-out, several rounds."""
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, _SECONDS)
    async with place_with_tree(options.seed) as place:
        token = await _reading_token(place)
        ours = _Ours(place, token, seconds)
        share = 10 if options.quick else 1
        ways = [
            _Way("own accounts", _WATCHERS // share, 50, _ACCOUNTS_EACH, ours.own_accounts),
            _Way("own accounts", _MANY_WATCHERS // share, 50, _ACCOUNTS_EACH, ours.own_accounts),
            _Way("all the same account", _WATCHERS // share, 20, _WATCHERS // share, ours.one_account),
            _Way("whole subtrees", _SUBTREE_WATCHERS, 50, _SUBTREE_WATCHERS, ours.subtrees),
        ]
        # No round to warm up: each has processes of its own, which have served the first events before it begins.
        for _ in range(rounds):
            for way in ways:
                way.rounds.append(await way.ours(way))
                way.limit_rounds.append(await _fan_out(way, seconds))
        proof = await prove(place, options)
        return Report(
            NAME,
            "Watching balances over WebSockets",
            [_row(way, seconds) for way in ways],
            _NOTES,
            proof.alarms,
            {
                "rounds": f"{rounds} of {seconds:.0f} s, medians; seed {options.seed}",
                "changes a second": f"{50 * _ACCOUNTS_EACH:,}, in 50 transactions; of the one account 20",
                "wanted": _WANTED,
                "postgres": place.description,
                **proof.facts,
            },
        )


def _row(way: _Way, seconds: float) -> Row:
    def median(rounds: Sequence[_Figures], figure: Callable[[_Figures], float]) -> float:
        return statistics.median(map(figure, rounds))

    cpu = median(way.rounds, lambda one: one.cpu_us_each)
    limit = median(way.limit_rounds, lambda one: one.cpu_us_each)
    return {
        "who watches what": way.name,
        "watchers": way.watchers,
        "deliveries/s": median(way.rounds, lambda one: one.deliveries / seconds),
        "p50 ms": median(way.rounds, lambda one: _percentile_ms(one, 50)),
        "p99 ms": median(way.rounds, lambda one: _percentile_ms(one, 99)),
        "CPU us each": cpu,
        "fan-out: p99 ms": median(way.limit_rounds, lambda one: _percentile_ms(one, 99)),
        "fan-out: CPU us each": limit,
        "CPU ratio": cpu / limit,
    }


def _percentile_ms(figures: _Figures, percent: int) -> float:
    return statistics.quantiles(figures.latencies_s, n=100, method="inclusive")[percent - 1] * 1000


async def _reading_token(place: Place) -> str:
    secret = tokens.new_secret()
    async with connected(place.url) as connection:
        await connection.execute(
            "INSERT INTO tokens (account_id, kind, name, secret_digest, scopes) VALUES (1, $1, 'watching', $2, $3)",
            *(tokens.API, tokens.digest(secret), [Scope.READ.value]),
        )
    return secret


class _Clients:
    """The process that watches."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def end(self) -> list[list[tuple[float, int]]]:
        """Everything that has come, of each connection."""
        out, _ = await self._process.communicate(b"")
        events: list[list[tuple[float, int]]] = json.loads(out)["events"]
        return events


@asynccontextmanager
async def _clients(port: int, sayings: Sequence[Sequence[str]], *, first_events: int = 1) -> AsyncIterator[_Clients]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.watching_client", str(port), str(first_events)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**30,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(sayings).encode() + b"\n")
        await process.stdin.drain()
        assert await process.stdout.readline() == b"ready\n"
        yield _Clients(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _at_a_pace(count: int, per_s: int, act: Callable[[int], Awaitable[None]]) -> None:
    begun_at = perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, begun_at + number / per_s - perf_counter()))
        await act(number)
    # What is still on its way arrives.
    await asyncio.sleep(0.5)


@dataclass(frozen=True)
class _Ours:
    """The ways through a server of its own each."""

    place: Place
    token: str
    seconds: float

    async def own_accounts(self, way: _Way) -> _Figures:
        """Everybody watches one account, and each a different one; some of them change at a time."""
        watched = [account.id for account in self.place.tree.customers[: way.watchers]]
        sets = [watched[first : first + way.told_each] for first in range(0, way.watchers, way.told_each)]
        return await self._measure(way, [[account_id] for account_id in watched], sets, below=False)

    async def one_account(self, way: _Way) -> _Figures:
        """Everybody watches the same account."""
        account_id = self.place.tree.customers[0].id
        return await self._measure(way, [[account_id]] * way.watchers, [[account_id]], below=False)

    async def subtrees(self, way: _Way) -> _Figures:
        """A few watch the operator and everything below it: more than 10,000 accounts."""
        ids = [account.id for account in self.place.tree.customers[:1_000]]
        sets = [ids[first : first + _ACCOUNTS_EACH] for first in range(0, len(ids), _ACCOUNTS_EACH)]
        return await self._measure(way, [[1]] * way.watchers, sets, below=True)

    async def _measure(
        self, way: _Way, watched: Sequence[Sequence[int]], sets: Sequence[Sequence[int]], *, below: bool
    ) -> _Figures:
        sayings = [[_said("connection_init", {"Authorization": f"Bearer {self.token}"}), _asked(ids, below=below)]
                   for ids in watched]  # fmt: skip
        async with server_process(self.place.url, self.place.folder / "server.log") as server:
            port = int(server.address.rpartition(":")[2])
            told_first = sum(map(len, self.place.tree.levels)) if below else 1
            async with (
                _clients(port, sayings, first_events=told_first) as clients,
                connected(self.place.url) as connection,
            ):
                changes = _Changes(connection, self.place)
                await changes.begin()
                cpu_s = cpu_s_of_process(server.process.pid)
                begun_at = perf_counter()
                await _at_a_pace(
                    int(way.transactions * self.seconds),
                    way.transactions,
                    lambda number: changes.change(sets[number % len(sets)]),
                )
                cpu_s = cpu_s_of_process(server.process.pid) - cpu_s
                events = await clients.end()
                await changes.undo()
        came = [(when, version) for one in events for when, version in one if when > begun_at]
        return _Figures(len(came), cpu_s, [when - changes.committed_at[version] for when, version in came])


class _Changes:
    """Changes balances by one unit, and all of it back in the end: what was bought and sold stays true.

    Each transaction gives its accounts a version of its own, so that an event tells by which commit it came.
    """

    def __init__(self, connection: Connection, place: Place) -> None:
        self._connection = connection
        self._added: Counter[int] = Counter()
        self._version = 0
        self.committed_at: dict[int, float] = {}

    async def begin(self) -> None:
        self._version = await self._connection.fetchval("SELECT max(version) FROM account_state")

    async def change(self, account_ids: Sequence[int]) -> None:
        self._version += 1
        async with self._connection.transaction():
            await lock_states(self._connection, account_ids)
            await self._connection.execute(
                "UPDATE account_state SET version = $1 WHERE account_id = ANY($2)", self._version - 1, account_ids
            )
            await apply_to_locked(self._connection, dict.fromkeys(account_ids, 1), Cause.CREDIT)
        self.committed_at[self._version] = perf_counter()
        self._added.update(account_ids)

    async def undo(self) -> None:
        async with self._connection.transaction():
            await lock_states(self._connection, self._added)
            await apply_to_locked(
                self._connection, {account_id: -count for account_id, count in self._added.items()}, Cause.CREDIT
            )


def _asked(account_ids: Sequence[int], *, below: bool) -> str:
    ids = json.dumps([global_id("Account", account_id) for account_id in account_ids])
    query = (
        f"subscription {{ balanceChanged(accountIds: {ids}, includeDescendants: {json.dumps(below)}) {_SELECTION} }}"
    )
    return json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}})


def _said(kind: str, payload: object) -> str:
    return json.dumps({"type": kind, "payload": payload})


async def _fan_out(way: _Way, seconds: float) -> _Figures:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.fan_out"), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        sent_at: dict[int, float] = {}
        async with (
            _clients(port, [[]] * way.watchers) as clients,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            # A subtree's watchers are sent as many events as accounts have changed.
            repeats = _ACCOUNTS_EACH if way.watchers < _ACCOUNTS_EACH else 1

            async def send(number: int) -> None:
                for repeat in range(repeats):
                    version = number * repeats + repeat + 1
                    first = number * way.told_each % way.watchers
                    sent_at[version] = perf_counter()
                    answer = await client.post(
                        "/send", params={"first": first, "count": way.told_each}, content=_EVENT % version
                    )
                    assert answer.status_code == 200

            cpu_s = cpu_s_of_process(process.pid)
            await _at_a_pace(int(way.transactions * seconds), way.transactions, send)
            cpu_s = cpu_s_of_process(process.pid) - cpu_s
            events = await clients.end()
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
    came = [(when, version) for one in events for when, version in one if version]
    return _Figures(len(came), cpu_s, [when - sent_at[version] for when, version in came])
