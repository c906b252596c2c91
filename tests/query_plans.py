"""The plans of what reads ask, as text that is the same on every machine.

Costs, sizes and the numbers that tell tables of one name apart are left out; what is the same for several months is
said once.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import event

from models.database import Database
from tests.counted_statements import noted_reads

# What a person needs to see of a node, in this order.
_CONDITIONS = ("Index Cond", "Recheck Cond", "Join Filter", "Hash Cond", "Merge Cond", "Filter", "Sort Key")
_MONTH = re.compile(r"\b(calls|charges|call_adjustments)_[0-9]{4}_[0-9]{2}(_[a-z_]+?)?(_idx|_pkey)?\b")
_ALIAS = re.compile(r"\b([a-z_]+?)_[0-9]+\b(?=\.)")


class Asked(NamedTuple):
    """A statement with what it carries; ``planned_once`` where its plan is kept for whatever it carries."""

    sql: str
    parameters: tuple[Any, ...]
    planned_once: bool


@asynccontextmanager
async def recorded(db: Database) -> AsyncIterator[list[Asked]]:
    """The statements that are sent for reading meanwhile: those of resolvers, and of whole queries."""
    statements: list[Asked] = []
    engine = db._engine.sync_engine

    def on_execute(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append(Asked(statement, tuple(parameters), planned_once=False))

    def on_read(sql: str, arguments: Sequence[Any]) -> None:
        statements.append(Asked(sql, tuple(arguments), planned_once=True))

    event.listen(engine, "before_cursor_execute", on_execute)
    try:
        with noted_reads(on_read):
            yield statements
    finally:
        event.remove(engine, "before_cursor_execute", on_execute)


async def plan(connection: "asyncpg.Connection[Any]", asked: Asked) -> dict[str, Any]:
    """PostgreSQL's plan: for these very values, or for any."""
    explain = "EXPLAIN (FORMAT JSON, COSTS OFF)"
    if not asked.planned_once:
        (row,) = await connection.fetch(f"{explain} {asked.sql}", *asked.parameters)
    else:
        values = f"({', '.join(['NULL'] * len(asked.parameters))})" if asked.parameters else ""
        async with connection.transaction():
            await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            await connection.execute(f"PREPARE asked AS {asked.sql}")
            (row,) = await connection.fetch(f"{explain} EXECUTE asked{values}")
            await connection.execute("DEALLOCATE asked")
    found: dict[str, Any] = json.loads(row[0])[0]["Plan"]
    return found


def scanned_whole(node: dict[str, Any]) -> set[str]:
    """The tables that the plan reads from one end to the other; of a month, the monthly table."""
    found = {_MONTH.sub(r"\1", node["Relation Name"])} if node["Node Type"] == "Seq Scan" else set()
    return found.union(*map(scanned_whole, node.get("Plans", ())))


def as_text(node: dict[str, Any]) -> str:
    """The plan, one node a line, its conditions below it."""
    return "\n".join(_lines(node)) + "\n"


def _lines(node: dict[str, Any]) -> Iterator[str]:
    words = [
        node["Node Type"] if node.get("Join Type", "Inner") == "Inner" else f"{node['Join Type']} {node['Node Type']}"
    ]
    if node.get("Scan Direction") == "Backward":
        words.append("backward")
    if "Index Name" in node:
        words.append(f"by {_named(node['Index Name'])}")
    if "Relation Name" in node:
        words.append(f"of {_named(node['Relation Name'])}")
    if "Subplan Name" in node:
        words.append(f"({node['Subplan Name']})")
    yield " ".join(words)
    for condition in _CONDITIONS:
        if condition in node:
            value = node[condition]
            yield f"      {condition}: {_plain(', '.join(value) if isinstance(value, list) else value)}"
    previous, count = "", 0
    for child in [*(as_text(child) for child in node.get("Plans", ())), ""]:
        if child != previous:
            if count:
                yield from _indented(previous, count)
            previous, count = child, 0
        count += 1


def _indented(text: str, count: int) -> Iterator[str]:
    first, *rest = text.splitlines()
    yield f"  {first}" + (f"  (the same for {count} months)" if count > 1 else "")
    yield from (f"  {line}" for line in rest)


def _named(name: str) -> str:
    return _MONTH.sub(lambda match: f"{match[1]}{match[2] or ''}{match[3] or ''} of a month", name)


def _plain(condition: str) -> str:
    """Without the numbers that tell the months' tables apart, and without the dates of months."""
    return re.sub(r"'[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.+]+'", "'...'", _ALIAS.sub(r"\1", condition))
