"""Rows as CSV (RFC 4180): comma, CRLF, quotes where they are needed, a header with the names of the GraphQL fields.

It begins with a byte order mark: without one Excel takes UTF-8 for the code page of its country, and every name with
an accent is spoilt. Times are ISO 8601 in UTC, amounts and prices exact decimal text with a point.
"""

import csv
import io
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

from billing.money import format_money, format_rate
from billing.spreadsheet_text import defused
from resolvers.exports import CellKind, Export
from schema.scalars import format_instant

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"

_FORMATS: dict[CellKind, Callable[[Any], str]] = {
    CellKind.TEXT: defused,
    CellKind.WHOLE: str,
    CellKind.MONEY: format_money,
    CellKind.PRICE: format_rate,
    CellKind.INSTANT: format_instant,
    CellKind.FLAG: lambda value: "true" if value else "false",
}


async def csv_blocks(export: Export) -> AsyncGenerator[bytes, None]:
    """The bytes, a block for each page of rows; the first begins with the header."""
    head = b"\xef\xbb\xbf" + _block([[column.name for column in export.columns]])
    formats = [_FORMATS[column.kind] for column in export.columns]
    async for rows in export.pages:
        cells = [
            ["" if cell is None else text_of(cell) for cell in column]
            for text_of, column in zip(formats, zip(*rows, strict=True), strict=False)
        ]
        yield head + _block(zip(*cells, strict=True))
        head = b""


def _block(rows: Iterable[Sequence[str]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode()
