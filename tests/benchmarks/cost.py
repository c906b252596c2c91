"""What it takes to price a query: once for a new document, and again for each request of a remembered one."""

from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

from schema.assembled import schema
from schema.field_costs import FIELD_COSTS
from schema.query_cost import cost_of_operation, evaluated
from tests.benchmarks.report import Options, Report

NAME = "cost"

_LIST = "{ viewer { customers(first: 50) { nodes { id username balance rateList { name } usage { calls } } } } }"
_SIZED = "query ($first: Int!) " + _LIST.replace("50", "$first")
_TREE = """
query ($first: Int = 100, $size: Int, $usage: Boolean!) {
  viewer { customers(first: $first) { nodes { ...Shown customers(first: $size) { nodes { ...Shown } } } } }
}
fragment Shown on Account { id username balance held blocked usage @include(if: $usage) { calls charged } }
"""
_DOCUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "list, sizes in the text": (_LIST, {}),
    "list, size in a variable": (_SIZED, {"first": 50}),
    "tree, sizes and condition in variables": (_TREE, {"size": 100, "usage": True}),
}
_TIMES = 20_000
_NOTES = (
    "`each request` is what a remembered document adds to a request; a document whose cost is known adds a comparison.",
    "Times are processor time of one process, without reading the request and writing the answer's extensions.",
)


async def run(options: Options) -> Report:
    """Measure each document."""
    times = _TIMES // 100 if options.quick else _TIMES
    rounds = 1 if options.quick else options.rounds
    rows = []
    for name, (text, variables) in _DOCUMENTS.items():
        operation = schema.prepare(text)
        cost = operation.cost
        assert cost is not None
        rows.append(
            {
                "document": name,
                "cost": evaluated(cost, variables),
                "once, µs": _us(
                    lambda operation=operation: cost_of_operation(
                        schema._schema, operation.definition, operation.fragments, FIELD_COSTS
                    ),
                    times // 20,
                    rounds,
                ),
                "each request, µs": _us(
                    lambda cost=cost, variables=variables: evaluated(cost, variables), times, rounds
                ),
            }
        )
    return Report(NAME, "Pricing a query", rows, _NOTES)


def _us(work: Callable[[], object], times: int, rounds: int) -> float:
    found = []
    for _ in range(rounds):
        begun = process_time()
        for _ in range(times):
            work()
        found.append((process_time() - begun) / times * 1e6)
    return median(found)
