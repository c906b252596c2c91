"""`tollpath rerate-calls`: charge the difference, or give it back, after a rate was mended."""

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer

from billing import balances
from billing.call_adjustments import Adjustment
from billing.call_records import printable
from billing.errors import NotFound, Refusal
from billing.money import format_money
from billing.price_book import PriceBook
from billing.rerated_call import Finding
from billing.rerating import RerateScope, count_calls, rerate_step
from models.database import Database
from resolvers.account_directory import AccountDirectory
from resolvers.rerating import RerateReport, rerate_scope
from schema.scalars import format_instant, parse_instant
from server.commands.common import (
    BadEnvironment,
    Opened,
    Refused,
    settings_for_command,
    with_database,
    write,
    write_json,
)
from server.commands.progress import progress_bar

_FOUND = {
    Finding.CHANGED: ("changed", "charged otherwise"),
    Finding.NEWLY_RATED: ("newlyRated", "unrated, have a price now"),
    Finding.STILL_UNRATED: ("stillUnrated", "unrated still"),
    Finding.WITHOUT_RATE: ("withoutRate", "charged, have no rate any more: left alone"),
    Finding.RIGHT: ("right", "right as they are"),
}


def rerate_calls(
    since: Annotated[str, typer.Option(help="Calls that began then or later: 2026-01-31, or 2026-01-31T12:00:00Z.")],
    until: Annotated[str, typer.Option(help="Calls that began before then; a day begins at midnight UTC.")],
    prefix: Annotated[str | None, typer.Option(help="Only calls to numbers that begin like this.")] = None,
    account: Annotated[
        str | None, typer.Option(help="Only calls of this account, by full username, and of everything below it.")
    ] = None,
    unrated_only: Annotated[
        bool, typer.Option("--unrated-only", help="Only give unrated calls their price; leave charged ones alone.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run/--apply", help="Say what would change, or change it.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded PostgreSQL.")] = None,
) -> None:
    """Rate booked calls anew, by their start, with the rates and the selected lists as they stand now.

    Every level of the path is charged the difference, or given it back; unrated calls get their price, below zero if
    need be; refunded calls stay refunded. Without --apply nothing is changed. Calls are done 200 at a time; after an
    interruption run it again: what is right already is left alone.
    """
    settings = settings_for_command(data_dir=data_dir)
    first, last = _instant("--since", since), _instant("--until", until)

    async def work(opened: Opened) -> RerateReport:
        operator_id, account_id = await _accounts(opened.database, account)
        scope = rerate_scope(first, last, prefix, account_id, unrated_only=unrated_only)
        return await _rerate(opened.database, scope, None if dry_run else operator_id)

    try:
        # Without calls there is nothing to rate.
        report = with_database(settings, work, create=False)
    except Refusal as refusal:
        raise Refused(refusal.message) from None
    if as_json:
        write_json(_as_json(report, dry_run))
    else:
        write("\n".join(_as_text(report, dry_run)))


def _instant(option: str, text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        pass
    try:
        return parse_instant(text)
    except ValueError as error:
        raise BadEnvironment(f"{option}: {error}, or a UTC day such as 2026-01-31") from None


async def _accounts(database: Database, username: str | None) -> tuple[int, int]:
    """The operator, and the account of this full username, the operator where None. Raises: NotFound."""
    async with database.charging_connection() as connection:
        operator_id = await balances.operator_id(connection)
    if username is None:
        return operator_id, operator_id
    found = (await AccountDirectory(database).by_username([username])).get(username)
    if found is None:
        raise NotFound(f"there is no account {printable(username)}: give the full username, such as keytyh*good")
    return operator_id, found.id


async def _rerate(database: Database, scope: RerateScope, author_id: int | None) -> RerateReport:
    price_book, report = PriceBook(), RerateReport()
    after, scanned = None, 0
    total = await count_calls(database, scope)
    with progress_bar("Rating calls") as on_calls:
        while True:
            step = await rerate_step(database, price_book, scope, after, author_id=author_id)
            report.add(step)
            after, scanned = step.after, scanned + step.scanned
            on_calls(scanned, total)
            if after is None:
                return report


def _as_text(report: RerateReport, dry_run: bool) -> list[str]:
    lines = [f"{report.found.total():,} calls looked at"]
    lines += [f"{report.found[finding]:>12,}  {words}" for finding, (_, words) in _FOUND.items()]
    if report.sample:
        lines += ["", "The first of them, what the caller pays:", *map(_sample_line, report.sample)]
    if report.totals:
        lines += ["", f"{'LEVEL':<12}{'CHARGED MORE':>20}{'GIVEN BACK':>20}"]
        for depth, total in sorted(report.totals.items()):
            level = "operator" if depth == 0 else f"depth {depth}"
            more, back = format_money(total.charged_units), format_money(total.given_back_units)
            lines.append(f"{level:<12}{more:>20}{back:>20}")
    if dry_run:
        lines += ["", "Nothing was changed: --apply does it."]
    return lines


def _sample_line(adjustment: Adjustment) -> str:
    call = adjustment.after.call
    before, after = format_money(adjustment.before.call.charged_units), format_money(call.charged_units)
    return f"  {format_instant(call.started_at)}  {call.number:<15}  {before} -> {after}  {printable(call.call_id)}"


def _as_json(report: RerateReport, dry_run: bool) -> dict[str, Any]:
    return {
        "dryRun": dry_run,
        "lookedAt": report.found.total(),
        **{key: report.found[finding] for finding, (key, _) in _FOUND.items()},
        "totals": [
            {
                "depth": depth,
                "charged": format_money(total.charged_units),
                "givenBack": format_money(total.given_back_units),
            }
            for depth, total in sorted(report.totals.items())
        ],
        "sample": [
            {
                "callId": adjustment.after.call.call_id,
                "number": adjustment.after.call.number,
                "startedAt": format_instant(adjustment.after.call.started_at),
                "before": format_money(adjustment.before.call.charged_units),
                "after": format_money(adjustment.after.call.charged_units),
            }
            for adjustment in report.sample
        ],
    }
