"""Where a benchmark runs: a fresh embedded PostgreSQL with the product's settings and full durability."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from billing.call_months import CallMonths, make_coming_months
from models.database import Database
from models.migrations.run import migrate
from server.embedded_postgres import EmbeddedPostgres
from tests.benchmarks.machine import cpu_s_of_family, filesystem_of, parent_of
from tests.benchmarks.tree import CHILDREN_BY_LEVEL, Tree, plan_tree, write_tree
from tests.raw_connection import connected


@dataclass(frozen=True)
class Place:
    """A migrated database with a tree in it. ``folder`` is for whatever a benchmark has to write."""

    url: str
    tree: Tree
    folder: Path
    postmaster_pid: int
    description: str

    def cpu_s_of_postgres(self) -> float:
        """Processor time of the whole database server so far."""
        return cpu_s_of_family(self.postmaster_pid)


async def fill(url: str, seed: int, children_by_level: Sequence[int]) -> Tree:
    """Write a tree into a migrated, empty database, and make the months that calls may be of."""
    await _make_months(url)
    tree = plan_tree(seed, children_by_level)
    async with connected(url) as connection:
        await write_tree(connection, tree, seed)
    return tree


async def _make_months(url: str) -> None:
    """Now and soon, for what is written behind the product's back; January 2026 for exports."""
    database = Database(url)
    try:
        await make_coming_months(database)
        async with database.charging_connection() as connection:
            await CallMonths().make_for(connection, [datetime(2026, 1, 1, tzinfo=UTC)])
    finally:
        await database.close()


@asynccontextmanager
async def place_with_tree(seed: int, children_by_level: Sequence[int] = CHILDREN_BY_LEVEL) -> AsyncIterator[Place]:
    """A server of its own, gone with everything in it at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="tollpath-benchmark-") as folder,
        EmbeddedPostgres(Path(folder, "data")) as url,
    ):
        await migrate(url)
        tree = await fill(url, seed, children_by_level)
        async with connected(url) as connection:
            settings = await connection.fetch(
                "SELECT name || '=' || setting AS text FROM pg_settings WHERE name = ANY($1) ORDER BY name",
                ["fsync", "synchronous_commit", "full_page_writes", "server_version", "shared_buffers"],
            )
            backend_pid = await connection.fetchval("SELECT pg_backend_pid()")
            description = ", ".join([*(row["text"] for row in settings), f"on {filesystem_of(Path(folder))}"])
            yield Place(url, tree, Path(folder), parent_of(backend_pid), description)
