"""A switch's file of calls (CSV), line by line. Pure: lines of text in, records out.

Two forms are known; the first line tells which it is.

    own        a header with callId, username, number, startedAt, durationSeconds and, if there is one, callerNumber,
               in any order and case, separated by commas, semicolons or tabs; other columns are left alone.
               startedAt is ISO 8601; without a time zone it is in the zone that the caller names. An apostrophe before
               a callId or callerNumber that a spreadsheet would run as a formula is not part of it.
    Asterisk   Master.csv of cdr_csv, which has no header: accountcode, src, dst, dcontext, clid, channel, dstchannel,
               lastapp, lastdata, start, answer, end, duration, billsec, disposition, amaflags, uniqueid and perhaps
               more. The accountcode is the username, dst the number, src the caller's; the call begins at answer and
               lasts billsec, the talked time, both in the zone that the caller names; its callId is the uniqueid.

Of Asterisk's lines only those are calls whose disposition is ANSWERED and whose billsec is above 0: the others were
never talked. A local time that comes twice in autumn is taken as the first. Nothing is guessed: every other line is
rejected with its reason. No field holds a line break, so that a stray quote spoils its own line only.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import chain
from typing import NamedTuple

from billing.spreadsheet_text import original

_OWN_COLUMNS = ("callid", "username", "number", "startedat", "durationseconds")
_OWN_OPTIONAL = "callernumber"
_DELIMITERS = (",", ";", "\t")

_ACCOUNTCODE, _SRC, _DST, _ANSWER, _BILLSEC, _DISPOSITION, _UNIQUEID = 0, 1, 2, 10, 13, 14, 16
# Up to amaflags; a file without uniqueid ends there, or with userfield.
_ASTERISK_COLUMNS_MIN = 16

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.(?P<decimals>[0-9]+))?)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
# Nanoseconds would be cut off unsaid.
_DECIMALS_MAX = 6
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

# Of a line that is longer, more than this is not read.
LINE_CHARS_MAX = 10_000
TEXT_CHARS_MAX = 200


class NotCallRecords(Exception):
    """The file as a whole has neither form; the message is one line for a person."""


class CallRecord(NamedTuple):
    """A call as its line (the first is 1) says it; ``number`` as it was dialled, ``started_at`` in UTC.

    ``text`` is the line as it stands there.
    """

    line: int
    text: str
    call_id: str
    username: str
    number: str
    caller_number: str | None
    started_at: datetime
    duration_s: int


class NotAnswered(NamedTuple):
    """A line of Asterisk's that is no call: nobody talked."""

    line: int


class RejectedLine(NamedTuple):
    """A line that cannot be a call, as it may be printed, and why."""

    line: int
    text: str
    reason: str


class _LineError(Exception):
    """Why a line is rejected."""


Line = CallRecord | NotAnswered | RejectedLine


def read_call_records(lines: Iterable[str], *, timezone: tzinfo) -> Iterator[Line]:
    """Each line that is not blank, in its sequence. ``timezone`` is that of times which name none.

    Raises: NotCallRecords: before the first line, if that says that the file is something else.
    """
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise NotCallRecords("it is empty")
    form = _form_of_header(first[1], timezone)
    if form is not None:
        return (_read(number, line, form) for number, line in numbered)
    if "\0" in first[1] or first[1].count(",") + 1 < _ASTERISK_COLUMNS_MIN:
        raise NotCallRecords(
            "its first line is neither a header with callId, username, number, startedAt and durationSeconds "
            "nor a line of Asterisk's Master.csv"
        )
    form = _Form(",", _asterisk(timezone))
    return (_read(number, line, form) for number, line in chain([first], numbered))


_Fields = tuple[str, str, str, str | None, datetime, int]


class _Form(NamedTuple):
    """How a line is cut, and what its cells say; None: nobody talked."""

    delimiter: str
    parse: Callable[[Sequence[str]], _Fields | None]


def _form_of_header(line: str, timezone: tzinfo) -> _Form | None:
    """None where the line is no header of our own form."""
    for delimiter in _DELIMITERS:
        columns = [cell.strip().strip('"').lower() for cell in line.split(delimiter)]
        if set(_OWN_COLUMNS) <= set(columns):
            for name in (*_OWN_COLUMNS, _OWN_OPTIONAL):
                if columns.count(name) > 1:
                    raise NotCallRecords(f"its header has the column {name} twice")
            return _Form(delimiter, _own(columns, timezone))
    return None


def _read(number: int, line: str, form: _Form) -> Line:
    text = line.rstrip("\r\n")
    try:
        if len(line) > LINE_CHARS_MAX:
            raise _LineError("it is too long")
        fields = form.parse(_cells(line, form.delimiter))
    except _LineError as error:
        return RejectedLine(number, printable(text), str(error))
    return NotAnswered(number) if fields is None else CallRecord(number, text, *fields)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, strict=True))
    except csv.Error:
        raise _LineError("its quotes do not match") from None


def _own(columns: Sequence[str], timezone: tzinfo) -> Callable[[Sequence[str]], _Fields]:
    call_id, username, number, started_at, duration = map(columns.index, _OWN_COLUMNS)
    caller = columns.index(_OWN_OPTIONAL) if _OWN_OPTIONAL in columns else None

    def parse(cells: Sequence[str]) -> _Fields:
        if len(cells) != len(columns):
            raise _LineError(f"it has {len(cells)} columns, the header has {len(columns)}")
        # Exports of ours come as spreadsheets may open them.
        return (
            original(_given("callId", cells[call_id])),
            _given("username", cells[username]),
            _given("number", cells[number]),
            original(cells[caller].strip()) or None if caller is not None else None,
            _time("startedAt", cells[started_at], timezone),
            _seconds("durationSeconds", cells[duration]),
        )

    return parse


def _asterisk(timezone: tzinfo) -> Callable[[Sequence[str]], _Fields | None]:
    def parse(cells: Sequence[str]) -> _Fields | None:
        if len(cells) < _ASTERISK_COLUMNS_MIN:
            raise _LineError(f"it has {len(cells)} columns, Master.csv has {_ASTERISK_COLUMNS_MIN} and more")
        talked_s = _seconds("billsec", cells[_BILLSEC])
        if cells[_DISPOSITION].strip().upper() != "ANSWERED" or talked_s == 0:
            return None
        return (
            _given("uniqueid (loguniqueid in cdr.conf)", cells[_UNIQUEID] if len(cells) > _UNIQUEID else ""),
            _given("accountcode", cells[_ACCOUNTCODE]),
            _given("dst", cells[_DST]),
            cells[_SRC].strip() or None,
            _time("answer", cells[_ANSWER], timezone),
            talked_s,
        )

    return parse


def _given(column: str, cell: str) -> str:
    cell = cell.strip()
    if not cell:
        raise _LineError(f"it has no {column}")
    return cell


def _time(column: str, cell: str, timezone: tzinfo) -> datetime:
    cell = cell.strip()
    written = _TIME.fullmatch(cell)
    if written is None:
        raise _LineError(f"{column} is no time such as 2026-01-31 12:00:00: {printable(cell)!r}")
    if len(written["decimals"] or "") > _DECIMALS_MAX:
        raise _LineError(f"{column} has more than {_DECIMALS_MAX} decimals of a second: {printable(cell)!r}")
    try:
        time = datetime.fromisoformat(cell.upper())
        return (time if time.tzinfo else time.replace(tzinfo=timezone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _LineError(f"{column} is a time that there is not: {printable(cell)!r}") from None


def _seconds(column: str, cell: str) -> int:
    cell = cell.strip()
    if _SECONDS.fullmatch(cell) is None:
        raise _LineError(f"{column} is no whole number of seconds: {printable(cell)!r}")
    return int(cell)


def printable(text: str) -> str:
    """The beginning of a text of the file as it may be printed: without control characters and broken bytes."""
    text = text[:TEXT_CHARS_MAX]
    if text.isprintable():
        return text
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(sign if sign.isprintable() else " " for sign in text)
