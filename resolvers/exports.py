"""What an export is: named columns and their rows, read page after page, as a client that turns every page would.

Each page is a statement of its own. Rows that stand still, such as booked calls, come exactly once; what changes while
an export runs is shown as it was when its page was read (docs/adr/0020 says why there is no one snapshot).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeVar

from resolvers.context import RequestContext
from resolvers.pages import Page, PageRequest

# Few enough to be read and written out between two other requests.
PAGE_ROWS = 500

Row = TypeVar("Row")
Cell = str | int | datetime | None


class CellKind(StrEnum):
    """What the cells of a column are. MONEY is in whole units of 0.00001, PRICE in whole units of 0.00000001."""

    TEXT = "TEXT"
    WHOLE = "WHOLE"
    MONEY = "MONEY"
    PRICE = "PRICE"
    INSTANT = "INSTANT"
    FLAG = "FLAG"


class Column(NamedTuple):
    """A column by the name of its GraphQL field; any cell of it may be None."""

    name: str
    kind: CellKind


@dataclass(frozen=True, slots=True)
class Export:
    """``pages`` are lists of rows, each with a cell for every column; the caller closes them."""

    columns: tuple[Column, ...]
    pages: AsyncGenerator[Sequence[Sequence[Cell]], None]


async def every_page(
    context: RequestContext, order: str, page_at: Callable[[PageRequest], Awaitable[Page[Row]]]
) -> AsyncGenerator[Sequence[Row], None]:
    """The rows of a list, page after page from its start; between two pages the request forgets what it has loaded.

    ``page_at`` reads the page that is asked for; a database connection is taken only as long as that lasts.
    """
    request = PageRequest(order, PAGE_ROWS)
    while True:
        context.loaders.forget()
        page = await page_at(request)
        yield page.rows
        if not page.has_next:
            return
        request = replace(request, position=page.positions[-1])
