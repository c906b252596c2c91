"""How many statements something takes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from models.reading_connections import ReadingConnections


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Every SELECT that is sent meanwhile: that of a token not yet known, those of resolvers, whole queries as one.

    What the server does by itself, at times, are updates.
    """
    statements: list[str] = []
    fetch = ReadingConnections.fetch

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.lstrip().startswith("SELECT"):
            statements.append(statement)

    async def noted_fetch(self: ReadingConnections, sql: str, arguments: Sequence[Any]) -> Any:
        statements.append(sql)
        return await fetch(self, sql, arguments)

    event.listen(Engine, "before_cursor_execute", note)
    ReadingConnections.fetch = noted_fetch  # type: ignore[method-assign]
    try:
        yield statements
    finally:
        ReadingConnections.fetch = fetch  # type: ignore[method-assign]
        event.remove(Engine, "before_cursor_execute", note)
