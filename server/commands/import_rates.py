"""`tollpath import-rates`: a carrier's rate sheet into the base rates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.errors import Refusal
from billing.rate_lists import base_rate_list_id
from billing.rate_sheet import NotARateSheet, RateSheet, parse_rate_sheet
from billing.set_rates import set_rates
from billing.sheet_cells import CellError, read_increments
from models.database import Database
from server.commands.common import (
    BadEnvironment,
    Opened,
    Refused,
    existing_file,
    one_line,
    settings_for_command,
    with_database,
    write,
    write_json,
)
from server.commands.progress import progress_bar

_FILE_BYTES_MAX = 200_000_000


@dataclass(frozen=True)
class Imported:
    """What an import did, or with ``dry_run`` would do: ``changed`` counts prefixes."""

    sheet: RateSheet
    changed: int
    dry_run: bool

    @property
    def blocked(self) -> int:
        """Good lines that say that their destination is blocked."""
        return sum(line.rate.price.blocked for line in self.sheet.rates)


class _DryRun(Exception):
    """Thrown to roll a dry run back."""


def import_rates(
    file: Annotated[Path, typer.Argument(help="The sheet: CSV with a header, in any usual encoding.")],
    replace: Annotated[bool, typer.Option("--replace", help="Withdraw the prefixes that are not in it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare, change nothing.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Import nothing if a line is rejected.")] = False,
    increments: Annotated[
        str, typer.Option(help="First and next increment in seconds where the sheet has none, such as 60/60.")
    ] = "1/1",
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded PostgreSQL.")] = None,
) -> None:
    """Import a carrier's rate sheet into the operator's base rates.

    Good lines are imported and hold from now on, in one transaction; every other line is reported with its number
    and reason, and changes nothing (exit code 0; with --strict they stop the import, exit code 1). Destinations that
    the sheet calls blocked stay blocked. The same file again changes nothing.
    """
    settings = settings_for_command(data_dir=data_dir)
    sheet = _read(existing_file(file), settings.currency, increments)
    if not sheet.rates or (strict and sheet.rejected):
        if as_json:
            write_json(_as_json(file, Imported(sheet, 0, dry_run)))
        else:
            _report_rejected(sheet)
        raise Refused(
            f"{file}: nothing is imported, since {len(sheet.rejected)} lines are rejected"
            if sheet.rates
            else f"{file} has no line that can be imported"
        )

    async def work(opened: Opened) -> Imported:
        return await import_sheet(opened.database, sheet, replace=replace, dry_run=dry_run)

    try:
        imported = with_database(settings, work, create=not dry_run)
    except Refusal as refusal:
        raise Refused(refusal.message) from None
    if as_json:
        write_json(_as_json(file, imported))
    else:
        _report(file, imported)


async def import_sheet(database: Database, sheet: RateSheet, *, replace: bool, dry_run: bool) -> Imported:
    """Make the sheet's rates hold in the base rates from now on; with ``dry_run`` only count what that changes."""
    changed = 0
    try:
        async with database.transaction() as tx:
            changed = await _write(tx, sheet, replace=replace)
            if dry_run:
                raise _DryRun
    except _DryRun:
        pass
    return Imported(sheet, changed, dry_run)


async def _write(tx: AsyncConnection, sheet: RateSheet, *, replace: bool) -> int:
    rates = [line.rate for line in sheet.rates]
    with progress_bar("Writing rates") as on_written:
        return await set_rates(
            tx, rate_list_id=await base_rate_list_id(tx), rates=rates, replace=replace, on_written=on_written
        )


def _read(file: Path, currency: str, increments: str) -> RateSheet:
    try:
        increments_s = read_increments(increments)
    except CellError as error:
        raise BadEnvironment(f"--increments: {error}") from None
    try:
        with progress_bar("Reading lines") as on_lines:
            return parse_rate_sheet(_bytes(file), currency=currency, increments_s=increments_s, on_lines=on_lines)
    except NotARateSheet as error:
        raise Refused(f"{file}: {one_line(error)}") from None


def _bytes(file: Path) -> bytes:
    with file.open("rb") as opened:
        data = opened.read(_FILE_BYTES_MAX + 1)
    if len(data) > _FILE_BYTES_MAX:
        raise Refused(f"{file} has more than {_FILE_BYTES_MAX // 1_000_000} MB: no rate sheet is that long")
    return data


def _report(file: Path, imported: Imported) -> None:
    sheet = imported.sheet
    _report_rejected(sheet)
    if sheet.header.ignored:
        write(f"Columns that say nothing here: {', '.join(sheet.header.ignored)}.")
    repeated = f", {sheet.repeated} repeated" if sheet.repeated else ""
    write(f"{file}: {len(sheet.rates)} rates ({imported.blocked} blocked), {len(sheet.rejected)} rejected{repeated}.")
    would = "would change" if imported.dry_run else "changed"
    write(f"Base rates: {imported.changed} prefixes {would}." + (" Nothing was written." if imported.dry_run else ""))


def _report_rejected(sheet: RateSheet) -> None:
    for rejected in sheet.rejected:
        # What stands in the file must not reach the terminal as a control sequence.
        text = "".join(character if character.isprintable() else " " for character in rejected.text)
        write(f"line {rejected.line}: {rejected.reason}: {text}")


def _as_json(file: Path, imported: Imported) -> dict[str, Any]:
    sheet = imported.sheet
    return {
        "file": str(file),
        "dryRun": imported.dry_run,
        "rates": len(sheet.rates),
        "blocked": imported.blocked,
        "changed": imported.changed,
        "repeated": sheet.repeated,
        "rejected": [{"line": r.line, "reason": r.reason, "text": r.text} for r in sheet.rejected],
        "ignoredColumns": list(sheet.header.ignored),
    }
