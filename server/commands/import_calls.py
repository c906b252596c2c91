"""`tollpath import-calls`: a switch's file of calls through the charging engine."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from zoneinfo import ZoneInfo

import typer

from billing.batcher import Batcher
from billing.call_records import (
    LINE_CHARS_MAX,
    CallRecord,
    Line,
    NotAnswered,
    NotCallRecords,
    RejectedLine,
    printable,
    read_call_records,
)
from billing.charge_order import CallStatus, ChargeOrder, ChargePolicy, parse_order
from billing.charging import ChargingEngine
from billing.errors import CallFailed, Refusal
from billing.price_book import PriceBook
from models.database import Database
from resolvers.account_directory import AccountDirectory
from server.commands.common import (
    BadEnvironment,
    Opened,
    Refused,
    existing_file,
    settings_for_command,
    with_database,
    write,
    write_json,
)
from server.commands.progress import progress_bar

# Charged together, in one transaction; what is in before a kill stays in.
_CALLS_AT_ONCE = 1000
# A file with more rejected lines than this is another kind of file, or needs another account; they are all counted.
_REJECTED_LISTED_MAX = 10_000


@dataclass(slots=True)
class Imported:
    """What became of a file's lines. With ``dry_run`` nothing was charged, and ``good`` says what would be sent."""

    dry_run: bool
    good: int = 0
    charged: int = 0
    unrated: int = 0
    duplicates: int = 0
    overdrawn: int = 0
    not_answered: int = 0
    failed: int = 0
    rejected_in_all: int = 0
    rejected: list[RejectedLine] = field(default_factory=list)

    def reject(self, line: RejectedLine) -> None:
        """Count a line and, unless there are too many, keep it."""
        self.rejected_in_all += 1
        if len(self.rejected) < _REJECTED_LISTED_MAX:
            self.rejected.append(line)


def import_calls(
    file: Annotated[Path, typer.Argument(help="Asterisk's Master.csv, or CSV with a header (see below).")],
    policy: Annotated[
        ChargePolicy, typer.Option(help="ALWAYS_CHARGE: they were carried. CHECK_CREDIT: refuse as if they were new.")
    ] = ChargePolicy.ALWAYS_CHARGE,
    timezone: Annotated[str, typer.Option(help="Zone of times that name none, such as Europe/Vienna.")] = "UTC",
    call_id_prefix: Annotated[
        str, typer.Option(help="Put before each callId, where several switches number alike.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check lines and accounts, charge nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded PostgreSQL.")] = None,
) -> None:
    """Charge the calls of a switch's file, each along its whole path, once.

    A header names the columns callId, username, number, startedAt, durationSeconds and, if there is one, callerNumber.
    Without a header the file is Asterisk's Master.csv (cdr_csv with loguniqueid): the accountcode is the username, the
    call begins at answer and lasts billsec; what was not answered is left out.

    Import the same file again after whatever happened: what is charged already is not charged again. Lines that
    cannot be calls are reported with their number and reason, and the others are charged (exit code 0; 1 where there
    was no good line, or where calls have to be sent again).
    """
    settings = settings_for_command(data_dir=data_dir)
    zone = _zone(timezone)
    total = _count_lines(existing_file(file))

    async def work(opened: Opened) -> Imported:
        with progress_bar("Charging calls") as on_lines, file.open("rb") as stream:
            lines = _lines(stream)
            importer = CallImporter(opened.database, policy=policy, call_id_prefix=call_id_prefix, dry_run=dry_run)
            async for done in importer.run(read_call_records(lines, timezone=zone)):
                on_lines(done, total)
            return importer.imported

    try:
        # Without accounts every call would be rejected.
        imported = with_database(settings, work, create=False)
    except NotCallRecords as error:
        raise Refused(f"{file} is no file of calls: {error}") from None
    if as_json:
        write_json(_as_json(file, imported))
    else:
        _report(file, imported)
    if imported.failed:
        raise Refused(f"{file}: {imported.failed} calls could not be booked: import the file again")
    if imported.rejected_in_all and not imported.good + imported.not_answered:
        raise Refused(f"{file} has no line that can be imported")


class CallImporter:
    """Charges the lines of one file in their sequence, some at a time; `imported` says what became of them so far."""

    def __init__(self, database: Database, *, policy: ChargePolicy, call_id_prefix: str, dry_run: bool) -> None:
        self.imported = Imported(dry_run)
        self._directory = AccountDirectory(database)
        self._batcher = Batcher(database, ChargingEngine(PriceBook()), batch_orders=_CALLS_AT_ONCE)
        self._policy = policy
        self._call_id_prefix = call_id_prefix

    async def run(self, lines: Iterable[Line]) -> AsyncIterator[int]:
        """Yields the number of the last line that is done, after each batch."""
        records: list[CallRecord] = []
        number = 0
        for line in lines:
            number = line.line
            if isinstance(line, CallRecord):
                records.append(line)
            elif isinstance(line, NotAnswered):
                self.imported.not_answered += 1
            else:
                self.imported.reject(line)
            if len(records) == _CALLS_AT_ONCE:
                await self._charge(records)
                records = []
                yield number
        await self._charge(records)
        self.imported.rejected.sort()
        yield number

    async def _charge(self, records: list[CallRecord]) -> None:
        accounts = await self._directory.by_username(record.username for record in records)
        now = datetime.now(UTC)
        good: list[tuple[CallRecord, ChargeOrder]] = []
        for record in records:
            account = accounts.get(record.username)
            if account is None:
                self._reject(record, f"there is no account {record.username!r}")
                continue
            try:
                order = parse_order(
                    call_id=self._call_id_prefix + record.call_id,
                    path=account.path,
                    number=record.number,
                    caller_number=record.caller_number,
                    started_at=record.started_at,
                    duration_s=record.duration_s,
                    policy=self._policy,
                    now=now,
                )
            except Refusal as refusal:
                self._reject(record, refusal.message)
            else:
                good.append((record, order))
        self.imported.good += len(good)
        if self.imported.dry_run:
            return
        outcomes = await self._batcher.charge([order for _, order in good])
        for (record, _), outcome in zip(good, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                self.imported.failed += isinstance(outcome, CallFailed)
                self._reject(record, outcome.message)
            elif outcome.duplicate:
                self.imported.duplicates += 1
            else:
                self.imported.charged += outcome.call.status == CallStatus.CHARGED
                self.imported.unrated += outcome.call.status == CallStatus.UNRATED
                self.imported.overdrawn += outcome.call.overdrawn

    def _reject(self, record: CallRecord, reason: str) -> None:
        self.imported.reject(RejectedLine(record.line, printable(record.text), reason))


def _zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise BadEnvironment(
            f"--timezone: this machine knows no zone {name!r}; name one such as Europe/Vienna"
        ) from None


def _count_lines(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))


def _lines(stream: BinaryIO) -> Iterator[str]:
    """The lines as text; bytes that are no UTF-8 stay what they are, and are refused where a column needs them."""
    bytes_max = 4 * (LINE_CHARS_MAX + 1)
    encoding = "utf-8-sig"
    while raw := stream.readline(bytes_max):
        yield raw.decode(encoding, "surrogateescape")
        encoding = "utf-8"
        while len(raw) == bytes_max and not raw.endswith(b"\n"):
            raw = stream.readline(bytes_max)


def _report(file: Path, imported: Imported) -> None:
    for line in imported.rejected:
        write(f"line {line.line}: {line.reason}: {line.text}")
    if imported.rejected_in_all > len(imported.rejected):
        write(f"and {imported.rejected_in_all - len(imported.rejected)} more")
    rest = f"{imported.not_answered} not answered, {imported.rejected_in_all} rejected."
    if imported.dry_run:
        write(f"{file}: {imported.good} calls could be charged, {rest} Nothing was charged.")
        return
    write(
        f"{file}: {imported.charged} calls charged ({imported.overdrawn} overdrawn), "
        f"{imported.unrated} kept without a rate, {imported.duplicates} there before, {rest}"
    )


def _as_json(file: Path, imported: Imported) -> dict[str, Any]:
    return {
        "file": str(file),
        "dryRun": imported.dry_run,
        "good": imported.good,
        "charged": imported.charged,
        "unrated": imported.unrated,
        "duplicates": imported.duplicates,
        "overdrawn": imported.overdrawn,
        "notAnswered": imported.not_answered,
        "rejectedInAll": imported.rejected_in_all,
        "rejected": [{"line": line.line, "reason": line.reason, "text": line.text} for line in imported.rejected],
    }
