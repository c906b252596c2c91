"""`tollpath audit`: are the books right?"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from resolvers.audit import AuditReport, Difference, audit
from server.commands.common import Opened, Refused, settings_for_command, with_database, write, write_json

# A person reads the first few of each kind; --json has more.
_SHOWN_OF_EACH_CHECK = 20

_HEADER = ("CHECK", "ACCOUNT", "OF", "EXPECTED", "FOUND")


def audit_books(
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded PostgreSQL.")] = None,
) -> None:
    """Work every balance, held amount, usage figure, charge and path out again from the rows, and compare.

    It only reads, one snapshot of the whole database, and may run while calls are charged. Exit code 0: all agree;
    1: differences, each listed with the account, what the rows say and what is kept.
    """

    async def work(opened: Opened) -> tuple[AuditReport, str, float]:
        begun = time.monotonic()
        report = await audit(opened.database)
        return report, opened.name, time.monotonic() - begun

    report, database, seconds = with_database(settings_for_command(data_dir=data_dir), work, migrate=False)
    if as_json:
        write_json(_as_json(report, database, seconds))
    else:
        write(_as_text(report, database, seconds))
    if report.differences:
        raise Refused(f"the books are wrong in {report.differences_in_all:,} places")


def _counts(report: AuditReport) -> dict[str, int]:
    return {
        "accounts": report.accounts,
        "credit transactions": report.credit_transactions,
        "holds": report.holds,
        "calls": report.calls,
        "charges": report.charges,
        "usage days": report.usage_days,
    }


def _as_text(report: AuditReport, database: str, seconds: float) -> str:
    lines = [f"{name:<20}{count:>16,}" for name, count in _counts(report).items()]
    # Right books say nothing to whoever believes that they are those of another database.
    lines.append(f"read in one snapshot of the database {database}, {seconds:.1f} s")
    if not report.differences:
        return "\n".join([*lines, "OK: every balance, usage figure, charge and path agrees with its rows."])
    shown = list(_first_of_each_check(report.differences))
    lines += ["", *_table([_HEADER, *(_cells(difference) for difference in shown)])]
    left_out = report.differences_in_all - len(shown)
    if left_out:
        lines.append(f"and {left_out:,} more; --json lists up to 1,000 of each check")
    return "\n".join(lines)


def _first_of_each_check(differences: Iterable[Difference]) -> Iterable[Difference]:
    seen: dict[str, int] = {}
    for difference in differences:
        seen[difference.check] = seen.get(difference.check, 0) + 1
        if seen[difference.check] <= _SHOWN_OF_EACH_CHECK:
            yield difference


def _cells(difference: Difference) -> tuple[str, ...]:
    account = difference.username or f"(no account {difference.account_id})"
    cells = (difference.check.value, account, difference.subject or "", difference.expected, difference.found)
    # What stands in a callId or a key must not reach the terminal as a control sequence.
    return tuple("".join(sign if sign.isprintable() else "?" for sign in cell) for cell in cells)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _as_json(report: AuditReport, database: str, seconds: float) -> dict[str, Any]:
    return {
        "database": database,
        "clean": not report.differences,
        "seconds": round(seconds, 3),
        "checked": {
            "accounts": report.accounts,
            "creditTransactions": report.credit_transactions,
            "holds": report.holds,
            "calls": report.calls,
            "charges": report.charges,
            "usageDays": report.usage_days,
        },
        "differencesInAll": report.differences_in_all,
        "differences": [
            {
                "check": difference.check.value,
                "accountId": difference.account_id,
                "username": difference.username,
                "of": difference.subject,
                "expected": difference.expected,
                "found": difference.found,
            }
            for difference in report.differences
        ],
    }
