"""A carrier's rate sheet (CSV) as rates and rejected lines. Pure: bytes in, values out.

Nothing is guessed and nothing is lost: every line with something in it is a rate, a harmless repetition of one, or is
rejected with its reason. Lines of one prefix that say different things are all rejected.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from billing.rate_changes import NewRate, problem_of
from billing.rating import Price
from billing.sheet_cells import (
    CellError,
    holds_all_day,
    read_blocked,
    read_destination,
    read_effective_from,
    read_increments,
    read_prefix,
    read_price,
    read_seconds,
)
from billing.sheet_columns import Column, Header, read_header, repeated_column

_DELIMITERS = (",", ";", "\t", "|")
# A title and an address may stand above the header, not a whole page.
_HEADER_WITHIN_LINES = 30
_LINES_BETWEEN_PROGRESS = 1_000


class NotARateSheet(Exception):
    """The file as a whole cannot be a rate sheet; the message is one line for a person."""


class RejectedLine(NamedTuple):
    """A line of the file (the first is 1), as it stands there, and why it is not imported."""

    line: int
    text: str
    reason: str


class SheetRate(NamedTuple):
    """A good line."""

    line: int
    rate: NewRate


@dataclass(slots=True)
class RateSheet:
    """What a file says. ``rates`` are in the file's order, each prefix (and instant) once."""

    header: Header
    rates: list[SheetRate] = field(default_factory=list)
    rejected: list[RejectedLine] = field(default_factory=list)
    repeated: int = 0


class _Line(NamedTuple):
    line: int
    text: str
    rate: NewRate
    time_of_day: str


def parse_rate_sheet(
    data: bytes,
    *,
    currency: str = "EUR",
    increments_s: tuple[int, int] = (1, 1),
    on_lines: Callable[[int, int], None] | None = None,
) -> RateSheet:
    """Read a sheet whose prices must be in ``currency``; ``increments_s`` where it has no column for them.

    ``on_lines`` is told lines read and lines in all, now and then. Raises: NotARateSheet.
    """
    lines = re.split(r"\r\n|\n|\r", _decoded(data))
    delimiter, header_line, header = _find_header(lines)
    _check_header(header, currency)
    sheet = RateSheet(header)
    read: list[_Line] = []
    for number, text in enumerate(lines[header_line:], header_line + 1):
        if on_lines is not None and number % _LINES_BETWEEN_PROGRESS == 0:
            on_lines(number, len(lines))
        try:
            cells = _cells(text, delimiter)
            if any(map(str.strip, cells)):
                read.append(_Line(number, text, *_read_row(cells, header, currency, increments_s)))
        except CellError as error:
            sheet.rejected.append(RejectedLine(number, text, str(error)))
    _settle_repetitions(sheet, read)
    sheet.rejected.sort()
    return sheet


def _decoded(data: bytes) -> str:
    if not data.strip():
        raise NotARateSheet("the file is empty")
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise NotARateSheet("this is a spreadsheet's own format: save it as CSV first")
    for encoding in ("utf-16",) if data.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise NotARateSheet("this is no text file: a rate sheet is CSV")


def _cells(text: str, delimiter: str) -> list[str]:
    # Line by line: a stray quotation mark must spoil its own line only, not swallow those below it.
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise CellError(f"the line is no CSV: {error}") from None


def _find_header(lines: Sequence[str]) -> tuple[str, int, Header]:
    """The delimiter, the number of the header's line and the header."""
    for number, text in enumerate(lines[:_HEADER_WITHIN_LINES], 1):
        for delimiter in _DELIMITERS:
            try:
                header = read_header(_cells(text, delimiter))
            except CellError:
                continue
            if header is not None:
                return delimiter, number, header
    raise NotARateSheet(
        f"none of the first {_HEADER_WITHIN_LINES} lines names a column of prefixes (such as Code or Prefix) "
        "and one of prices (such as Rate or Price per minute)"
    )


def _check_header(header: Header, currency: str) -> None:
    repeated = repeated_column(header)
    if repeated is not None:
        names = " and ".join(repr(header.names[position]) for position in header.positions[repeated][:2])
        raise NotARateSheet(f"the columns {names} could both be meant: rename or remove one")
    others = sorted(header.currencies - {currency})
    if others:
        raise NotARateSheet(
            f"the prices are in {', '.join(others)}, but the currency of this installation is {currency}"
        )


def _read_row(cells: list[str], header: Header, currency: str, increments_s: tuple[int, int]) -> tuple[NewRate, str]:
    """The row's rate and its time of day. Raises: CellError."""
    extra = [cell for cell in cells[len(header.names) :] if cell.strip()]
    if extra:
        raise CellError(f"{len(header.names) + len(extra)} cells under {len(header.names)} columns")
    cells += [""] * (len(header.names) - len(cells))

    def cell(column: Column) -> str:
        position = header.first(column)
        return "" if position is None else cells[position]

    prefix = read_prefix(cell(Column.PREFIX))
    said_currency = cell(Column.CURRENCY).strip()
    if said_currency and said_currency.upper() != currency:
        raise CellError(f"the price is in {said_currency[:20]}, but the currency of this installation is {currency}")
    price_e8 = _one_price(cells, header)
    fee = cell(Column.FEE)
    fee_e8 = read_price(fee) if fee.strip() else 0
    blocked = price_e8 is None or fee_e8 is None or read_blocked(cell(Column.BLOCKED))
    first_s, next_s = increments_s
    if cell(Column.BOTH_INCREMENTS).strip():
        first_s, next_s = read_increments(cell(Column.BOTH_INCREMENTS))
    if cell(Column.FIRST_INCREMENT).strip():
        first_s = read_seconds(cell(Column.FIRST_INCREMENT))
    if cell(Column.NEXT_INCREMENT).strip():
        next_s = read_seconds(cell(Column.NEXT_INCREMENT))
    destination = read_destination(cell(Column.DESTINATION))
    effective_from = read_effective_from(cell(Column.EFFECTIVE_FROM))
    price = Price(price_e8 or 0, fee_e8 or 0, first_s, next_s, prefix, destination, blocked)
    rate = NewRate(price, effective_from)
    problem = problem_of(rate)
    if problem is not None:
        raise CellError(problem[1].removesuffix("."))
    return rate, cell(Column.TIME_OF_DAY)


def _one_price(cells: Sequence[str], header: Header) -> int | None:
    """The price that all price columns agree on. Raises: CellError."""
    positions = header.positions[Column.PRICE]
    prices = [read_price(cells[position]) for position in positions]
    for position, price in zip(positions, prices, strict=True):
        if price != prices[0]:
            first, other = header.names[positions[0]], header.names[position]
            raise CellError(
                f"{first!r} says {cells[positions[0]].strip()} and {other!r} says {cells[position].strip()}: "
                "a rate has one price per minute"
            )
    return prices[0]


def _settle_repetitions(sheet: RateSheet, read: Sequence[_Line]) -> None:
    """Take each prefix (and instant) once where all its lines agree, and reject them all where they do not."""
    groups: dict[tuple[str, object], list[_Line]] = {}
    for line in read:
        groups.setdefault((line.rate.price.prefix, line.rate.effective_from), []).append(line)
    for lines in groups.values():
        first = lines[0]
        if any(line.rate != first.rate for line in lines):
            sheet.rejected.extend(_contradictions(lines))
        elif not any(holds_all_day(line.time_of_day) for line in lines):
            sheet.rejected.extend(
                RejectedLine(
                    line.line, line.text, f"a price for {line.time_of_day.strip()!r} only: a rate holds all day"
                )
                for line in lines
            )
        else:
            sheet.rates.append(SheetRate(first.line, first.rate))
            sheet.repeated += len(lines) - 1


def _contradictions(lines: Sequence[_Line]) -> Iterator[RejectedLine]:
    for line in lines:
        other = next(other for other in lines if other.rate != line.rate)
        yield RejectedLine(
            line.line,
            line.text,
            f"the prefix {line.rate.price.prefix} stands on line {other.line} too, with other content",
        )
