"""Reads: the tree of 10,000 accounts and a page of 50, against PostGraphile 5 and a plain DataLoader version.

All answer from one database in one run, in turn. Before the clock starts they have to answer the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.http_client import answer_to, send_all
from tests.benchmarks.machine import CpuMeter, cpu_s_of_client, cpu_s_of_process, memory_mib_of_process
from tests.benchmarks.peer_place import PeerPlace, peer_place
from tests.benchmarks.peer_servers import FIELDS, PAGE_OF_50, Peer, running_peers
from tests.benchmarks.report import Options, Report, Row
from tests.benchmarks.rounds import Measured, Way, measure_in_turn
from tests.benchmarks.tree import CHILDREN_BY_LEVEL

NAME = "peers"

_CONNECTIONS = 16
# Of those who take a second for the tree; one process does not get faster by more, and some wait no longer.
_CONNECTIONS_SLOW = 4
# Each answer has it, and no error has.
_EXPECTED = b'"balance":'
# Who the others are compared with.
_BASELINE = "PostGraphile"

_WANTED = (
    "tree: latency at most 0.33, 5 x requests/s; page: 0.5, 3 x; 10 times the requests/s of the DataLoader version"
)
_NOTES = (
    f"Each account has eight fields: its id and {FIELDS}. All lists are in the sequence of the ids, which every peer "
    "has an index for. The tree is read by the operator, the page by a reseller.",
    "Tollpath looks up the token and keeps to what the viewer may see; the peers have no tokens and no access rules.",
    "One process each, JIT off for all, at most ten connections to the database. PostGraphile in production mode, "
    "plain lists instead of connections, balance, available, depth and blocked as columns of a view, plain ids.",
    "`by resolvers` is Tollpath with each field answered by its resolver instead of by one statement.",
    "p50 and p99 are of one request at a time; requests/s, CPU (processor time in milliseconds for each request) and "
    f"memory are with {_CONNECTIONS} connections ({_CONNECTIONS_SLOW} where the tree takes a second or so). The client "
    "shares the cores with the servers.",
    f"The last two columns compare with {_BASELINE}: latency as a share of its, requests/s as a multiple of its.",
)


@dataclass(frozen=True)
class _Question:
    """One of the two requests, and how often a peer is asked it alone and over many connections."""

    name: str
    alone: int
    together: int

    def request(self, peer: Peer) -> bytes:
        return peer.tree if self is _TREE else peer.page


_TREE = _Question("tree", alone=10, together=32)
_PAGE = _Question("page of 50", alone=200, together=1600)
# Slow peers do this part of it.
_SLOW_SHARE = 5


@dataclass(frozen=True)
class _Contest:
    """A peer's two ways to be asked one question."""

    question: _Question
    peer: Peer
    alone: Way
    together: Way


async def run(options: Options) -> Report:
    """See that all answer the same, then measure all of it in turn, several rounds."""
    rounds = 1 if options.quick else options.rounds
    async with peer_place(options.seed) as place, running_peers(place, place.place.folder) as peers:
        facts = {
            "rounds": f"{rounds}, medians; seed {options.seed}",
            "wanted": _WANTED,
            "postgres": place.place.description,
            "memory MiB at the start": _memory(peers),
        }
        alarms = []
        for question in (_TREE, _PAGE):
            answers = [await answer_to(peer.address, question.request(peer)) for peer in peers]
            accounts = [peer.accounts(answer) for peer, answer in zip(peers, answers, strict=True)]
            alarms += [
                f"{peer.name} answers the {question.name} otherwise than {peers[0].name}: no figure is worth anything."
                for peer, found in zip(peers, accounts, strict=True)
                if found != accounts[0]
            ]
            facts[question.name] = f"{len(accounts[0]):,} accounts, {len(answers[0]):,} bytes"
        contests = [_contest(place, question, peer, options) for question in (_TREE, _PAGE) for peer in peers]
        await measure_in_turn([way for contest in contests for way in (contest.alone, contest.together)], rounds)
        facts["memory MiB at the end"] = _memory(peers)
        title = f"Reading {len(CHILDREN_BY_LEVEL)} levels of customers, and a page of {PAGE_OF_50}: one process each"
        return Report(NAME, title, _rows(contests), _NOTES, alarms, facts)


def _contest(place: PeerPlace, question: _Question, peer: Peer, options: Options) -> _Contest:
    meter = CpuMeter(
        {
            "server": lambda: cpu_s_of_process(peer.pid),
            "postgres": place.place.cpu_s_of_postgres,
            "client": cpu_s_of_client,
        }
    )

    def way(requests: int, in_flight: int) -> Way:
        requests = in_flight if options.quick else requests // (_SLOW_SHARE if peer.slow else 1)

        async def measure() -> Measured:
            ready = [question.request(peer)] * requests
            meter.start()
            seconds, latencies_s = await send_all(peer.address, ready, in_flight=in_flight, expected=_EXPECTED)
            return Measured(len(ready), seconds, meter.taken_s(), latencies_s)

        return Way(f"{question.name}, {peer.name}, {in_flight} in flight", measure)

    return _Contest(
        question,
        peer,
        way(question.alone, 1),
        way(question.together, _CONNECTIONS_SLOW if peer.slow and question is _TREE else _CONNECTIONS),
    )


def _rows(contests: Sequence[_Contest]) -> list[Row]:
    baseline = {contest.question: contest for contest in contests if contest.peer.name == _BASELINE}
    rows: list[Row] = []
    for contest in contests:
        other = baseline[contest.question]
        rows.append(
            {
                "what": f"{contest.question.name}: {contest.peer.name}",
                "p50 ms": _latency_ms(contest, 50),
                "p99 ms": _latency_ms(contest, 99),
                "requests/s": contest.together.median(Measured.per_s),
                "CPU server": contest.together.median(lambda measured: measured.cpu_ms_per_1000("server")) / 1000,
                "CPU postgres": contest.together.median(lambda measured: measured.cpu_ms_per_1000("postgres")) / 1000,
                "CPU client": contest.together.median(lambda measured: measured.cpu_ms_per_1000("client")) / 1000,
                "latency": _ratio(_latency_ms(contest, 50), _latency_ms(other, 50)),
                "x requests/s": contest.together.median(Measured.per_s) / other.together.median(Measured.per_s),
            }
        )
    return rows


def _latency_ms(contest: _Contest, percent: int) -> float | None:
    return contest.alone.median_of_known(lambda measured: measured.percentile_ms(percent))


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other is not None else None


def _memory(peers: Sequence[Peer]) -> str:
    return ", ".join(f"{peer.name} {memory_mib_of_process(peer.pid):.0f}" for peer in peers)
