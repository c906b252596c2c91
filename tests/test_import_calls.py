"""`tollpath import-calls`: a switch's file is charged once, whatever is in it and however often it is imported."""

import asyncio
import json
import os
import pty
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from models.database import Database
from resolvers.audit import audit
from tests.call_files import OWN_HEADER, asterisk, own, text_of
from tests.charging_tree import Tree, charging_tree
from tests.charging_world import call
from tests.command_line import TOLLPATH, Run, complaint, environment, tollpath_here


@pytest.fixture
async def tree(db: Database) -> AsyncIterator[Tree]:
    async with charging_tree(db) as tree:
        yield tree


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calls.csv"


def write(file: Path, *lines: str) -> None:
    """Make it the file of these lines."""
    file.write_text(text_of(*lines))


def write_bytes(file: Path, content: bytes) -> None:
    """Make it a file of anything."""
    file.write_bytes(content)


async def run(database_url: str, file: Path, *options: str) -> Run:
    """The command, in a thread."""
    return await asyncio.to_thread(tollpath_here, "import-calls", file, *options, DATABASE_URL=database_url)


async def test_calls_are_charged_and_every_other_line_is_reported(tree: Tree, database_url: str, file: Path) -> None:
    write(
        file,
        OWN_HEADER,
        own("c1", "keytyh*good"),
        own("c2", "nobody*good"),
        own("c3", "GOOD*OP", seconds=90),
        own("c4", "keytyh*good", number="101-extension"),
        own("c5", "keytyh*good", number="+86 1234"),
        own("c1", "keytyh*good"),
        own("c1", "keytyh*good", seconds=61),
        own("c6", "keytyh*good", seconds="?"),
        own("c7", "keytyh*good", seconds=7 * 24 * 3600 + 1),
    )
    done = await run(database_url, file)
    assert (done.exit_code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[3] == (
        "line 9: durationSeconds is no whole number of seconds: '?': c6,keytyh*good,+43 1 234,,2026-01-31T12:00:00Z,?"
    )
    assert [line.split(":")[0] for line in lines[:-1]] == ["line 3", "line 5", "line 8", "line 9", "line 10"]
    assert lines[0].startswith("line 3: there is no account 'nobody*good': c2,nobody*good,")
    assert lines[-1] == (
        f"{file}: 2 calls charged (0 overdrawn), 1 kept without a rate, 1 there before, 0 not answered, 5 rejected."
    )
    assert await tree.balances() == ["-0.07500", "99.85000", "9.89000"]


async def test_the_same_file_again_charges_nothing_again(tree: Tree, database_url: str, file: Path) -> None:
    lines = [asterisk(f"1.{number}", "keytyh*good") for number in range(5)]
    write(file, *lines)
    assert (await run(database_url, file)).out == (
        f"{file}: 5 calls charged (0 overdrawn), 0 kept without a rate, 0 there before, 0 not answered, 0 rejected.\n"
    )
    books = await tree.world.books()
    assert (await run(database_url, file)).out == (
        f"{file}: 0 calls charged (0 overdrawn), 0 kept without a rate, 5 there before, 0 not answered, 0 rejected.\n"
    )
    assert await tree.world.books() == books
    write(file, *lines, asterisk("1.5", "keytyh*good"))
    assert "1 calls charged (0 overdrawn), 0 kept without a rate, 5 there before" in (await run(database_url, file)).out
    assert await tree.balances() == ["-0.18000", "99.64000", "9.34000"]


async def test_asterisk_s_times_are_those_of_the_zone_that_is_named(tree: Tree, database_url: str, file: Path) -> None:
    write(file, asterisk("1.1", "keytyh*good", answer="2026-02-01 00:30:00"))
    await run(database_url, file, "--timezone", "Europe/Vienna")
    assert await tree.usage(tree.keytyh) == [("2026-01-31", 1, 60, 11_000)]


async def test_calls_that_were_carried_are_charged_below_zero_and_new_ones_refused(
    tree: Tree, database_url: str, file: Path
) -> None:
    await tree.world.credit(tree.keytyh, "-9.80")
    write(file, OWN_HEADER, own("c1", "keytyh*good"), own("c2", "keytyh*good"))
    done = await run(database_url, file, "--policy", "CHECK_CREDIT")
    assert done.exit_code == 0
    assert done.out.splitlines()[0].startswith("line 3: The credit does not cover this call.: c2,keytyh*good,")
    assert (await tree.world.state(tree.keytyh)).balance == "0.09000"
    done = await run(database_url, file)
    assert done.out.startswith(f"{file}: 1 calls charged (1 overdrawn), 0 kept without a rate, 1 there before")
    assert (await tree.world.state(tree.keytyh)).balance == "-0.02000"


async def test_switches_that_number_alike_are_told_apart_by_a_prefix(tree: Tree, database_url: str, file: Path) -> None:
    write(file, asterisk("1.1", "keytyh*good"))
    for prefix in ("vienna-", "graz-", "graz-"):
        await run(database_url, file, "--call-id-prefix", prefix)
    assert await tree.world.select("SELECT call_id FROM calls ORDER BY 1") == [("graz-1.1",), ("vienna-1.1",)]


async def test_a_call_that_the_api_charged_is_not_charged_by_its_file(
    tree: Tree, database_url: str, file: Path
) -> None:
    await tree.world.booked(call(tree.keytyh, "c1", number="431234"))
    write(file, OWN_HEADER, own("c1", "keytyh*good", number="0043 1234"))
    assert "0 calls charged (0 overdrawn), 0 kept without a rate, 1 there before" in (await run(database_url, file)).out


async def test_a_dry_run_checks_lines_and_accounts_and_charges_nothing(
    tree: Tree, database_url: str, file: Path
) -> None:
    write(file, OWN_HEADER, own("c1", "keytyh*good"), own("c2", "nobody*good"))
    books = await tree.world.books()
    done = await run(database_url, file, "--dry-run")
    assert done.exit_code == 0
    assert done.out.splitlines()[-1] == (
        f"{file}: 1 calls could be charged, 0 not answered, 1 rejected. Nothing was charged."
    )
    assert await tree.world.books() == books


async def test_programs_are_answered_in_json(tree: Tree, database_url: str, file: Path) -> None:
    lines = [asterisk("1.1", "keytyh*good"), asterisk("1.2", "keytyh*good", disposition="FAILED"), "x"]
    write_bytes(file, text_of(*lines).encode() + b"\xff,\xff\n")
    done = await run(database_url, file, "--json")
    assert json.loads(done.out) == {
        "file": str(file),
        "dryRun": False,
        "good": 1,
        "charged": 1,
        "unrated": 0,
        "duplicates": 0,
        "overdrawn": 0,
        "notAnswered": 1,
        "rejectedInAll": 2,
        "rejected": [
            {"line": 3, "reason": "it has 1 columns, Master.csv has 16 and more", "text": "x"},
            {"line": 4, "reason": "it has 2 columns, Master.csv has 16 and more", "text": "?,?"},
        ],
    }


async def test_a_call_of_an_account_made_later_is_charged_when_its_file_is_imported_again(
    tree: Tree, database_url: str, file: Path
) -> None:
    write(file, OWN_HEADER, own("c1", "late*good"))
    done = await run(database_url, file)
    assert (done.exit_code, done.err) == (1, f"tollpath: {file} has no line that can be imported\n")
    late = await tree.world.customer("late", of=tree.good, credit="1")
    assert (await run(database_url, file)).exit_code == 0
    assert await tree.world.balances(late) == ["0.94000"]


async def test_a_bom_is_passed_over_and_a_username_in_other_bytes_is_no_account(
    tree: Tree, database_url: str, file: Path
) -> None:
    lines = text_of(OWN_HEADER, own("c1", "keytyh*good"), own("c2", "kéytyh*good"))
    write_bytes(file, b"\xef\xbb\xbf" + lines.replace("é", "\udce9").encode("utf-8", "surrogateescape"))
    done = await run(database_url, file)
    assert done.out.splitlines()[0].startswith("line 3: there is no account 'k\\udce9ytyh*good': c2,k?ytyh*good")
    assert await tree.balances() == ["-0.03000", "99.94000", "9.89000"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", " is empty"),
        (b"\n\n", " is no file of calls: it is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", " is no file of calls: its first line is neither a header with callId"),
        (b"a,b\n1,2\n", " is no file of calls: its first line is neither a header with callId"),
    ],
    ids=["empty", "blank", "a picture", "another table"],
)
async def test_a_file_that_is_none_of_calls_is_refused_in_one_line(
    tree: Tree, database_url: str, file: Path, content: bytes, message: str
) -> None:
    write_bytes(file, content)
    books = await tree.world.books()
    done = await run(database_url, file)
    assert done.exit_code in (1, 2)
    assert (str(file) + message) in complaint(done, done.exit_code)
    assert await tree.world.books() == books


async def test_a_missing_file_and_an_unknown_zone_are_refused_before_anything_is_opened(file: Path) -> None:
    assert complaint(await run("postgresql://nobody@/none", file)) == f"cannot read {file}: No such file or directory"
    write(file, OWN_HEADER)
    assert "knows no zone 'Vienna'" in complaint(await run("postgresql://nobody@/none", file, "--timezone", "Vienna"))


async def test_killed_in_the_middle_and_run_again_it_charges_every_call_once(
    tree: Tree, database_url: str, file: Path
) -> None:
    await tree.world.credit(tree.keytyh, "10000")
    await tree.world.credit(tree.good, "10000")
    write(file, *(asterisk(f"1.{number}", "keytyh*good") for number in range(20_000)))
    for _ in range(2):
        killed = await asyncio.create_subprocess_exec(
            *(TOLLPATH, "import-calls", str(file)), env=environment({"DATABASE_URL": database_url})
        )
        ((before,),) = await tree.world.select("SELECT count(*) FROM call_keys")
        while await tree.world.select("SELECT count(*) FROM call_keys") == [(before,)]:
            await asyncio.sleep(0.005)
            assert killed.returncode is None
        killed.kill()
        await killed.wait()
        assert killed.returncode == -signal.SIGKILL
    ((charged,),) = await tree.world.select("SELECT count(*) FROM calls")
    assert 2 * 1000 <= charged < 20_000
    done = await run(database_url, file)
    assert f"{20_000 - charged} calls charged (0 overdrawn), 0 kept without a rate, {charged} there before" in done.out
    assert await tree.balances() == ["-600.00000", "8900.00000", "7810.00000"]
    assert (await audit(tree.world.db)).differences == ()


async def test_a_long_file_shows_a_bar_on_a_terminal_and_nowhere_else(
    tree: Tree, database_url: str, file: Path
) -> None:
    await tree.world.credit(tree.keytyh, "1000")
    await tree.world.credit(tree.good, "1000")
    write(file, OWN_HEADER, *(own(f"c{number}", "keytyh*good") for number in range(3000)))
    terminal, end = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(TOLLPATH, "import-calls", str(file)),
        env=environment({"DATABASE_URL": database_url, "TERM": "xterm"}),
        stdout=subprocess.PIPE,
        stderr=end,
    )
    os.close(end)
    shown = asyncio.create_task(asyncio.to_thread(read_all, terminal))
    out, _ = await process.communicate()
    assert "3001/3001" in await shown
    assert out.decode().startswith(f"{file}: 3000 calls charged")


def read_all(terminal: int) -> str:
    """Everything that was written to a terminal until it is closed."""
    parts = []
    try:
        while part := os.read(terminal, 65_536):
            parts.append(part)
    except OSError:  # how a terminal says that the other end is gone
        pass
    os.close(terminal)
    return b"".join(parts).decode()
