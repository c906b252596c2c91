"""Rows as CSV (RFC 4180): comma, CRLF, quotes where they are needed, a header with the names of the GraphQL fields.

It begins with a byte order mark: without one Excel takes UTF-8 for the code page of its country, and every name with
an accent is spoilt. Times are ISO 8601 in UTC, amounts and prices exact decimal text with a point.
"""

import csv
import io
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

from billing.money import format_money, format_rate
from resolvers.exports import CellKind, Export
from schema.scalars import format_instant

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"

# What a spreadsheet would run, or would take apart (OWASP, "CSV Injection"), also in the wide forms of East Asia.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")
# A telephone number computes nothing, and is to be read.
_TELEPHONE = re.compile(r"\+[0-9 ]+", re.ASCII)


def defused(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would run it as a formula."""
    if _FORMULA.match(text) is None or _TELEPHONE.fullmatch(text) is not None:
        return text
    return f"'{text}"


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
