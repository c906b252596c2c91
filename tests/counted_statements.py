"""How many statements something takes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine, event

from models.driver_connections import DriverConnections


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Every SELECT that is sent meanwhile: that of a token not yet known, those of resolvers, whole queries as one.

    What the server does by itself, at times, are updates.
    """
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.lstrip().startswith("SELECT"):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with noted_reads(lambda sql, _: statements.append(sql)):
            yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def noted_reads(note: Callable[[str, Sequence[Any]], None]) -> Iterator[None]:
    """Each statement that is sent for a whole query, or for tokens, is noted before, with what it carries."""
    fetch = DriverConnections.fetch

    async def noted_fetch(self: DriverConnections, sql: str, arguments: Sequence[Any]) -> Any:
        note(sql, arguments)
        return await fetch(self, sql, arguments)

    with patch.object(DriverConnections, "fetch", noted_fetch):
        yield
