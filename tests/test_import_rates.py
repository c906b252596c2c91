"""`tollpath import-rates`: a sheet into the base rates, and what it says to the person."""

import asyncio
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from billing.rate_sheet import parse_rate_sheet
from models.database import Database
from server.cli import main
from server.commands.import_rates import Imported, import_sheet
from tests.dirty_sheet import DIRTY

REAL_SHEET = Path(__file__).parents[2] / "shared" / "data" / "rate_sheet_real.csv"

DIRTY_STORED = [
    ("32", None, 5_000_000, False, "-infinity"),
    ("43", "Austria", 5_000_000, False, "-infinity"),
    ("431", "Austria,Vienna", 4_500_000, False, "-infinity"),
    ("43664", "Austria-Mobile", 10_000_000, False, "-infinity"),
    ("45", "Denmark", 10_000_000, False, "-infinity"),
    ("46", "Sweden", 10_000_000, False, "-infinity"),
    ("49", "Germany", 2_000_000, False, "-infinity"),
    ("86", "China", 0, True, "-infinity"),
]


class Run(NamedTuple):
    exit_code: int
    out: str
    err: str


async def run_command(database_url: str, file: Path, *options: str) -> Run:
    """The command as a person runs it: a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLPATH_")}
    environment |= {"DATABASE_URL": database_url, "TOLLPATH_OPERATOR_PASSWORD": "secret"}
    command = [sys.executable, "-c", "from server.cli import main; main()", "import-rates", str(file), *options]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return Run(process.returncode or 0, out.decode(), err.decode())


def written(folder: Path, content: bytes) -> Path:
    file = folder / "sheet.csv"
    file.write_bytes(content)
    return file


async def stored(db: Database) -> list[tuple[object, ...]]:
    statement = text(
        "SELECT prefix, destination, price_per_minute_e8, blocked, effective_from::text FROM rates ORDER BY 1, 5"
    )
    async with db.read() as connection:
        return [tuple(row) for row in await connection.execute(statement)]


async def imported(db: Database, content: bytes, *, replace: bool = False, dry_run: bool = False) -> Imported:
    return await import_sheet(db, parse_rate_sheet(content), replace=replace, dry_run=dry_run)


async def test_good_lines_are_imported_and_the_others_reported(database_url: str, db: Database, tmp_path: Path) -> None:
    run = await run_command(database_url, written(tmp_path, DIRTY))
    assert (run.exit_code, run.err) == (0, "")
    assert await stored(db) == DIRTY_STORED
    lines = run.out.splitlines()
    assert lines[1] == (
        "line 6: '*1003' is no telephone prefix: only digits are: Inbound On-Net To On-Net,*1003,0,0,peak"
    )
    assert lines[-2].endswith("sheet.csv: 8 rates (1 blocked), 15 rejected, 1 repeated.")
    assert lines[-1] == "Base rates: 8 prefixes changed."


async def test_the_same_file_again_changes_nothing(db: Database) -> None:
    assert (await imported(db, DIRTY)).changed == 8
    for replace in (False, True):
        assert (await imported(db, DIRTY, replace=replace)).changed == 0
        assert await stored(db) == DIRTY_STORED


async def test_a_dry_run_says_what_would_change_and_changes_nothing(
    database_url: str, db: Database, tmp_path: Path
) -> None:
    run = await run_command(database_url, written(tmp_path, DIRTY), "--dry-run", "--json")
    assert (run.exit_code, run.err) == (0, "")
    answer: dict[str, Any] = json.loads(run.out)
    assert answer.pop("file").endswith("sheet.csv")
    assert answer.pop("rejected")[0] == {
        "line": 5,
        "reason": "a spreadsheet has shortened the prefix to 5.41144E+11: its digits are lost",
        "text": "Austria Emergency Numbers,5.41144E+11,0.04,0.04,peak",
    }
    assert answer == {"dryRun": True, "rates": 8, "blocked": 1, "changed": 8, "repeated": 1, "ignoredColumns": []}
    assert await stored(db) == []


async def test_replacing_withdraws_what_the_new_sheet_leaves_out(db: Database) -> None:
    await imported(db, b"Code,Rate\n43,0.05\n44,0.06\n")
    assert (await imported(db, b"Code,Rate\n43,0.05\n", replace=True)).changed == 1
    assert [row[0] for row in await stored(db)] == ["43", "44", "44"]


@pytest.mark.parametrize(
    ("content", "options", "exit_code", "message"),
    [
        (b"", [], 2, "sheet.csv is empty"),
        (b"hello\n", [], 1, "sheet.csv: none of the first 30 lines names a column of prefixes"),
        (b"\x00\x01\x02", [], 1, "sheet.csv: this is no text file: a rate sheet is CSV"),
        (b"Code,Rate\n*1,0.05\n", [], 1, "sheet.csv has no line that can be imported"),
        (DIRTY, ["--strict"], 1, "sheet.csv: nothing is imported, since 15 lines are rejected"),
        (DIRTY, ["--increments", "0/60"], 2, "--increments: '0' is no increment: 1 to 86400 whole seconds are"),
        (DIRTY, ["--increments", "x"], 2, "--increments: 'x' are no increments: such as 60/60 or 30/6 are"),
    ],
    ids=["empty", "no columns", "binary", "no good line", "strict", "increments", "no increments"],
)
def test_a_file_that_cannot_be_imported_is_one_line_and_no_success_and_opens_no_database(
    content: bytes,
    options: list[str],
    exit_code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@192.0.2.1/nowhere")
    monkeypatch.setattr(sys, "argv", ["tollpath", "import-rates", str(written(tmp_path, content)), *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == exit_code
    err = capsys.readouterr().err
    assert err.startswith("tollpath: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("name", "problem"), [(".", "Is a directory"), ("absent.csv", "No such file or directory")])
def test_a_folder_or_an_absent_file_is_one_line_and_no_success(
    name: str, problem: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tollpath", "import-rates", name])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err) == (2, f"tollpath: cannot read {name}: {problem}\n")


def test_control_sequences_in_a_file_do_not_reach_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, b"Code,Rate\n\x1b[31m44,0.05\n")
    monkeypatch.setattr(sys, "argv", ["tollpath", "import-rates", str(file)])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.endswith(":  [31m44,0.05\n")


async def test_80_000_prefixes_are_imported_in_under_15_seconds(
    database_url: str, db: Database, tmp_path: Path
) -> None:
    lines = "".join(f"{1_000_000 + i},Destination {i // 7},0.{i:05d},60/1\n" for i in range(80_000))
    file = written(tmp_path, f"Code,Country,Rate,Increments\n{lines}".encode())
    # Processor time, not the clock: a busy machine is no fault of the import.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = await run_command(database_url, file, "--json")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(run.out)["changed"] == 80_000
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 15


async def test_the_real_sheet_is_imported_as_it_is(database_url: str, db: Database) -> None:
    if not REAL_SHEET.exists():
        pytest.skip("the real sheet is other people's data and not here: ../shared/data/rate_sheet_real.csv")
    run = await run_command(database_url, REAL_SHEET, "--json")
    answer = json.loads(run.out)
    assert (run.exit_code, answer["rates"], answer["blocked"], answer["changed"]) == (0, 856, 54, 856)
    rejected = {item["line"]: item["reason"] for item in answer["rejected"]}
    assert len(rejected) == 18
    assert rejected[37] == "a spreadsheet has shortened the prefix to 5.41144E+11: its digits are lost"
    assert rejected[360] == "'*1003' is no telephone prefix: only digits are"
    assert rejected[553].startswith("'Initial Rate per Minute' says Blocked and 'Increment Rate Per Minute' says 0.2")
    rows = {row[0]: row for row in await stored(db)}
    assert rows["86"][2:4] == (0, True)
    assert rows["937"][1:4] == ("Afghanistan-Mobile", 45_000_000, False)
    again = await imported(db, REAL_SHEET.read_bytes())
    assert (again.changed, len(await stored(db))) == (0, 856)
