"""Rows as an XLSX file, by XlsxWriter: written to disk first, since a ZIP file can only be made when all is known.

Texts are texts, never formulas or links; amounts and prices are exact numbers, times are dates in UTC.
"""

import asyncio
import io
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import xlsxwriter

from billing.money import MONEY_DECIMALS, RATE_DECIMALS, format_money, format_rate
from resolvers.exports import Cell, CellKind, Column, Export
from schema.scalars import format_instant

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SHEET_ROWS_MAX = 1_048_576

_BLOCK_BYTES = 64 * 1024
# A cell's number is a binary fraction, of which a spreadsheet keeps and shows so many digits.
_DIGITS_MAX = 15
_DAY_ZERO = datetime(1899, 12, 30, tzinfo=UTC)
# Excel takes 1900 for a leap year: before March its days are not those of the calendar.
_DATES_FROM = datetime(1900, 3, 1, tzinfo=UTC)
_DAY = timedelta(days=1)

_NUMBER_FORMATS = {
    CellKind.TEXT: "@",
    CellKind.WHOLE: "0",
    CellKind.MONEY: "0." + "0" * MONEY_DECIMALS,
    CellKind.PRICE: "0." + "0" * RATE_DECIMALS,
    CellKind.INSTANT: "yyyy-mm-dd hh:mm:ss",
    CellKind.FLAG: "General",
}
_WIDTHS = {CellKind.TEXT: 24, CellKind.INSTANT: 20}
_WIDTH_DEFAULT = 16

Result = TypeVar("Result")


async def xlsx_blocks(export: Export) -> AsyncGenerator[bytes, None]:
    """The bytes of the finished file. However this ends, every file of it is gone then."""
    with tempfile.TemporaryDirectory(prefix="tollpath-export-") as folder:
        book = XlsxBook(Path(folder), export.columns)
        try:
            async for rows in export.pages:
                await _in_thread(book, book.write, rows)
            await _in_thread(book, book.finish)
        finally:
            book.close()
        with book.path.open("rb") as file:
            while block := await asyncio.to_thread(file.read, _BLOCK_BYTES):
                yield block


async def _in_thread(book: "XlsxBook", work: Callable[..., Result], *arguments: Any) -> Result:
    """Off the event loop. When cancelled it waits until the thread has let go of the files, which it does soon."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        book.abandon()
        await asyncio.wait([running])
        raise


class XlsxBook:
    """A file that grows row by row, on disk. A full sheet is followed by another one with the same header."""

    def __init__(self, folder: Path, columns: Sequence[Column], *, sheet_rows_max: int = SHEET_ROWS_MAX) -> None:
        self.path = folder / "export.xlsx"
        self._columns = columns
        self._sheet_rows_max = sheet_rows_max
        self._output = _Output(self.path, "wb")
        self._book = xlsxwriter.Workbook(
            self._output, {"constant_memory": True, "tmpdir": str(folder), "use_zip64": True}
        )
        self._formats = [self._book.add_format({"num_format": _NUMBER_FORMATS[column.kind]}) for column in columns]
        self._bold = self._book.add_format({"bold": True})
        self._add_sheet()

    def write(self, rows: Sequence[Sequence[Cell]]) -> None:
        """Add rows at the end. Blocks on the disk."""
        for row in rows:
            if self._row == self._sheet_rows_max:
                self._add_sheet()
            for column, (write, cell) in enumerate(zip(self._writers, row, strict=True)):
                if cell is not None:
                    write(self._row, column, cell)
            self._row += 1

    def finish(self) -> None:
        """Write the file at `path`, unless it was abandoned. Blocks on the disk and the processor: with a million rows
        for a good part of a minute."""
        try:
            self._book.close()
        except _Abandoned:
            return

    def abandon(self) -> None:
        """Make `finish` end soon, from another thread: nobody waits for the file any more."""
        self._output.is_abandoned = True

    def close(self) -> None:
        """Close every open file, whether or not the file was finished."""
        for sheet in self._book.worksheets():
            # XlsxWriter closes these by itself only when it has finished.
            sheet._opt_close()
        self._output.close()

    def _add_sheet(self) -> None:
        sheet = self._book.add_worksheet()
        sheet.freeze_panes(1, 0)
        for index, (column, cell_format) in enumerate(zip(self._columns, self._formats, strict=True)):
            sheet.set_column(index, index, _WIDTHS.get(column.kind, _WIDTH_DEFAULT), cell_format)
            sheet.write_string(0, index, column.name, self._bold)
        self._writers = [_writer(sheet, column.kind) for column in self._columns]
        self._row = 1


class _Abandoned(Exception):
    """Nobody waits for the file any more."""


class _Output(io.FileIO):
    """The file that XlsxWriter's last, long step writes to."""

    is_abandoned = False
    _was_said = False

    def write(self, data: Any, /) -> int:
        """Raises: _Abandoned, once; what `zipfile` still writes to end in order goes nowhere."""
        if not self.is_abandoned:
            return super().write(data)
        if not self._was_said:
            self._was_said = True
            raise _Abandoned
        return memoryview(data).nbytes


def _writer(sheet: Any, kind: CellKind) -> Callable[[int, int, Any], object]:
    """What writes a cell of this kind at a row and a column."""
    match kind:
        case CellKind.TEXT:
            return _text_writer(sheet)
        case CellKind.WHOLE:
            return _number_writer(sheet, 0, str)
        case CellKind.MONEY:
            return _number_writer(sheet, MONEY_DECIMALS, format_money)
        case CellKind.PRICE:
            return _number_writer(sheet, RATE_DECIMALS, format_rate)
        case CellKind.INSTANT:
            return _instant_writer(sheet)
        case CellKind.FLAG:
            write_flag: Callable[[int, int, bool], object] = sheet.write_boolean
            return write_flag


def _text_writer(sheet: Any) -> Callable[[int, int, str], object]:
    def write(row: int, column: int, text: str) -> None:
        # XlsxWriter takes such a text for its own markup and would write it into the file as it is.
        sheet.write_string(row, column, f"'{text}" if text.startswith("<r>") else text)

    return write


def _number_writer(sheet: Any, decimals: int, text_of: Callable[[int], str]) -> Callable[[int, int, int], object]:
    """For whole units of so many decimals; one with more digits than a cell keeps is written as text."""

    def write(row: int, column: int, units: int) -> None:
        if len(str(abs(units)).rstrip("0")) <= _DIGITS_MAX:
            sheet.write_number(row, column, Decimal(units).scaleb(-decimals))
        else:
            sheet.write_string(row, column, text_of(units))

    return write


def _instant_writer(sheet: Any) -> Callable[[int, int, datetime], object]:
    def write(row: int, column: int, at: datetime) -> None:
        if at >= _DATES_FROM:
            sheet.write_number(row, column, (at - _DAY_ZERO) / _DAY)
        else:
            sheet.write_string(row, column, format_instant(at))

    return write
