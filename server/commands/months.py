"""`tollpath months` and `tollpath drop-month`: which months of calls there are, and closing old ones."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from billing.closing import CannotClose, MonthSums, close_month, look_at_month
from resolvers.call_months import MonthRow, call_months
from schema.scalars import format_instant
from server.commands.common import (
    BadEnvironment,
    Opened,
    Refused,
    settings_for_command,
    with_database,
    write,
    write_json,
)


def months(
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded PostgreSQL.")] = None,
) -> None:
    """List the months that calls are kept by: how many calls began in each, what they take on disk, their state.

    Months are made before they are needed. `drop-month` closes old ones.
    """

    async def work(opened: Opened) -> list[MonthRow]:
        return await call_months(opened.database)

    rows = with_database(settings_for_command(data_dir=data_dir), work, migrate=False)
    if as_json:
        write_json({"months": [_as_json(row) for row in rows]})
    else:
        lines = [f"{'MONTH':<9}{'CALLS':>16}{'SIZE':>14}  STATE"]
        lines += [
            f"{row.month:%Y-%m}  {row.calls:>16,}{_megabytes(row.size_bytes):>14}  {row.state.lower()}" for row in rows
        ]
        write("\n".join(lines))


def drop_month(
    month: Annotated[str, typer.Argument(help="The UTC month to close, such as 2025-01.")],
    detach: Annotated[
        bool, typer.Option("--detach", help="Keep its tables, outside the books, to be dumped and dropped by hand.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it nothing is changed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded PostgreSQL.")] = None,
) -> None:
    """Close a month for ever: its calls and charges leave the database, what they came to stays.

    Balances, usage and credit transactions stay as they are, and every callId is still known. Calls that began in the
    month are not taken, refunded or rerated any more. First its charges are compared with the running usage; where
    they differ nothing is closed. May run beside the server.
    """
    first = _month(month)

    async def work(opened: Opened) -> MonthSums:
        if yes:
            return await close_month(opened.database, first, keep=detach)
        return await look_at_month(opened.database, first)

    try:
        sums = with_database(settings_for_command(data_dir=data_dir), work, migrate=False)
    except CannotClose as refusal:
        raise Refused(str(refusal)) from None
    if as_json:
        write_json(
            {
                "month": f"{first:%Y-%m}",
                "calls": sums.calls,
                "differences": sums.differences,
                "closed": yes,
                "detached": yes and detach,
            }
        )
    elif yes:
        kept = "detached: its tables are kept beside the books" if detach else "dropped"
        write(f"{first:%Y-%m} is closed and {kept} ({sums.calls:,} calls).")
    else:
        write(f"{first:%Y-%m} has {sums.calls:,} calls. Nothing was changed: --yes closes it.")
    if sums.differences:
        raise Refused(f"the charges differ from the running usage in {sums.differences:,} places: see `tollpath audit`")


def _month(given: str) -> date:
    try:
        return datetime.strptime(given, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise BadEnvironment(f"{given!r} is no month such as 2025-01") from None


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:,.1f} MB"


def _as_json(row: MonthRow) -> dict[str, Any]:
    return {
        "month": f"{row.month:%Y-%m}",
        "calls": row.calls,
        "sizeBytes": row.size_bytes,
        "state": row.state,
        "closedAt": None if row.closed_at is None else format_instant(row.closed_at),
    }
