"""The commands as processes: what they say, how they end, and that a failure is one line."""

import json
import os
import re
import socket
import time
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from typer.main import get_command
from typer.testing import CliRunner

from billing.passwords import Passwords
from server.cli import app
from server.settings import documented_settings
from tests.command_line import complaint, started, tollpath, tollpath_here
from tests.raw_connection import connect

COMMANDS = sorted(getattr(get_command(app), "commands"))  # noqa: B009 - a group, which its type does not tell


async def value(url: str, query: str) -> object:
    connection = await connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def test_help_lists_every_command_and_the_exit_codes() -> None:
    run = tollpath("--help")
    assert run.exit_code == 0
    for command in COMMANDS:
        assert command in run.out
    assert "0 done, 1 refused or differences found, 2 wrong use or environment" in " ".join(run.out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    # In this process: a process each would take longer than all the rest.
    run = CliRunner().invoke(app, [command, "--help"], prog_name="tollpath")
    assert run.exit_code == 0
    assert f"Usage: tollpath {command}" in run.output


def test_an_unknown_command_or_option_is_wrong_use() -> None:
    for run in (tollpath("no-such-command"), tollpath_here("serve", "--no-option"), tollpath_here("import-rates")):
        assert run.exit_code == 2
        assert run.out == ""
        assert "Traceback" not in run.err


def test_a_wrong_setting_ends_a_command_in_one_line(tmp_path: Path) -> None:
    run = tollpath("serve", "--data-dir", tmp_path / "data", TOLLPATH_CURENCY="EUR")
    assert complaint(run) == "there is no setting TOLLPATH_CURENCY: did you mean TOLLPATH_CURRENCY?"
    assert not (tmp_path / "data").exists()


def test_settings_are_listed_for_people_and_programs() -> None:
    listed = json.loads(tollpath_here("settings", "--json").out)
    assert [item["variable"] for item in listed] == [item.variable for item in documented_settings()]
    text = tollpath_here("settings").out
    table = tollpath_here("settings", "--form", "markdown").out
    for item in documented_settings():
        assert item.variable in text
        assert f"| `{item.variable}` | " in table
        assert item.description in text
        assert item.description in table


def test_the_first_migration_makes_the_operator_and_shows_its_password_once(tmp_path: Path) -> None:
    first = tollpath("migrate", "--data-dir", tmp_path / "data")
    assert (first.exit_code, first.out.count("\n")) == (0, 1)
    assert re.search(r"Username: operator  Password: \S{16}\n", first.err)
    second = tollpath("migrate", "--data-dir", tmp_path / "data")
    assert (second.exit_code, second.out, second.err) == (0, first.out, "")


async def test_the_shown_password_is_the_operators(empty_database_url: str) -> None:
    run = tollpath_here("migrate", DATABASE_URL=empty_database_url, TOLLPATH_OPERATOR_USERNAME="boss")
    shown = re.search(r"Username: boss  Password: (\S+)", run.err)
    assert shown is not None, run
    stored = await value(empty_database_url, "SELECT password_hash FROM accounts WHERE username = 'boss'")
    assert await Passwords().matches(shown[1], str(stored))
    assert await value(empty_database_url, "SELECT count(*) FROM accounts") == 1


async def test_a_chosen_operator_password_is_not_shown(empty_database_url: str) -> None:
    run = tollpath_here("migrate", "--json", DATABASE_URL=empty_database_url, TOLLPATH_OPERATOR_PASSWORD="sesame")
    assert (run.exit_code, run.err) == (0, "")
    revision = await value(empty_database_url, "SELECT version_num FROM alembic_version")
    assert json.loads(run.out) == {"revision": revision}
    stored = await value(empty_database_url, "SELECT password_hash FROM accounts")
    assert await Passwords().matches("sesame", str(stored))


async def test_an_operator_that_cannot_be_is_refused_by_the_name_of_its_setting(empty_database_url: str) -> None:
    short = tollpath_here("migrate", DATABASE_URL=empty_database_url, TOLLPATH_OPERATOR_PASSWORD="abc")
    assert complaint(short) == (
        "TOLLPATH_OPERATOR_PASSWORD: Password is too short; password should at least contain 4 characters."
    )
    starred = tollpath_here("migrate", DATABASE_URL=empty_database_url, TOLLPATH_OPERATOR_USERNAME="a*b")
    assert complaint(starred).startswith("TOLLPATH_OPERATOR_USERNAME: ")
    assert await value(empty_database_url, "SELECT count(*) FROM accounts") == 0


async def test_two_first_starts_at_once_make_one_operator(empty_database_url: str) -> None:
    with (
        started("migrate", DATABASE_URL=empty_database_url) as one,
        started("migrate", DATABASE_URL=empty_database_url) as other,
    ):
        ends = [one.communicate(timeout=60), other.communicate(timeout=60)]
    assert [one.returncode, other.returncode] == [0, 0], ends
    assert sorted("Password:" in err for _, err in ends) == [False, True]
    assert await value(empty_database_url, "SELECT count(*) FROM accounts") == 1


def test_a_port_in_use_is_said_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = tollpath("serve", "--port", port, "--data-dir", tmp_path / "data")
        assert complaint(run) == (
            f"cannot listen on 127.0.0.1:{port}: Address already in use; name another with --port"
        )
    assert not (tmp_path / "data").exists()


def test_a_host_that_is_not_ours_is_said() -> None:
    run = tollpath("serve", "--host", "no-such-host.invalid")
    assert complaint(run) == (
        "cannot listen on no-such-host.invalid: Name or service not known; name another with --host"
    )


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        # Of a block that is kept for documentation: no machine has it.
        ("192.0.2.1", "192.0.2.1:8000: Cannot assign requested address"),
        ("a..b", "a..b: it is no host name"),
    ],
)
def test_a_host_that_cannot_be_listened_on_names_its_option(host: str, reason: str) -> None:
    run = tollpath("serve", "--host", host, "--port", "8000")
    assert complaint(run) == f"cannot listen on {reason}; name another with --host"


def test_a_data_folder_of_someone_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    for run in (
        tollpath("serve", "--port", "0", "--data-dir", tmp_path),
        tollpath_here("migrate", "--data-dir", tmp_path),
        tollpath_here("demo", "--data-dir", tmp_path),
    ):
        assert complaint(run) == (
            f"{tmp_path} is not empty and is no data folder of Tollpath: name another with --data-dir"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_what_needs_a_database_makes_none_in_a_folder_without_one(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    file = tmp_path / "file.csv"
    file.write_text("prefix,destination,rate\n43,Austria,0.1\n")
    span = ("--since", "2026-01-01", "--until", "2026-02-01")
    commands: tuple[tuple[object, ...], ...] = (
        ("audit",),
        ("months",),
        ("drop-month", "2026-01"),
        ("reset-password", "operator", "--password-stdin"),
        ("rerate-calls", *span),
        ("import-calls", file),
        ("import-rates", file, "--dry-run"),
    )
    for command in commands:
        assert complaint(tollpath_here(*command, "--data-dir", data_dir, stdin=b"brand new")) == (
            f"there is no database in {data_dir}: name its folder with --data-dir or TOLLPATH_DATA_DIR, "
            "set DATABASE_URL, or make a new one with `tollpath migrate`"
        )
    assert not data_dir.exists()


def test_an_audit_names_the_embedded_database_that_it_read(data_dir: Path) -> None:
    assert tollpath_here("migrate", "--data-dir", data_dir).exit_code == 0
    run = tollpath("audit", "--data-dir", data_dir.name, cwd=data_dir.parent)
    assert f"\nread in one snapshot of the database tollpath in {data_dir}, " in run.out, run


def test_a_data_folder_beside_a_database_url_is_refused(tmp_path: Path) -> None:
    for command in ("audit", "migrate"):
        run = tollpath_here(command, "--data-dir", tmp_path / "data", DATABASE_URL="postgresql://nobody@192.0.2.1/none")
        assert complaint(run) == (
            "--data-dir names an embedded PostgreSQL and DATABASE_URL another database: give one of them"
        )
    assert not (tmp_path / "data").exists()


def test_a_database_that_is_not_there_is_said_without_its_password() -> None:
    url = "postgresql://toll:sesame@127.0.0.1:1/toll"
    for run in (tollpath("serve", "--port", "0", DATABASE_URL=url), tollpath_here("audit", DATABASE_URL=url)):
        assert complaint(run) == (
            "cannot reach the database at postgresql://toll:***@127.0.0.1:1/toll (Connection refused): "
            "check DATABASE_URL, and that this server runs"
        )


def test_a_database_that_never_answers_is_given_up_after_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        begun = time.monotonic()
        run = tollpath("migrate", DATABASE_URL=f"postgresql://toll@127.0.0.1:{port}/toll")
        assert time.monotonic() - begun < 20
    assert complaint(run) == (
        f"no database answers at postgresql://toll@127.0.0.1:{port}/toll in 5 s: "
        "check DATABASE_URL, and that this server runs"
    )


async def test_a_missing_database_and_a_refused_sign_in_are_said(postgres: str) -> None:
    url = make_url(postgres)
    missing = tollpath_here("migrate", DATABASE_URL=text_of(url.set(database="nothing_here")))
    assert complaint(missing).startswith("there is no database 'nothing_here' at postgresql://tollpath:***@")
    refused = tollpath_here("migrate", DATABASE_URL=text_of(url.set(password="wrong")))
    assert "refuses the sign-in: password authentication failed" in complaint(refused)


def text_of(url: object) -> str:
    return url.render_as_string(hide_password=False)  # type: ignore[attr-defined, no-any-return]


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(database_url: str) -> None:
    await value(database_url, "UPDATE alembic_version SET version_num = '9999'")
    for run in (
        tollpath("serve", "--port", "0", DATABASE_URL=database_url),
        tollpath_here("migrate", DATABASE_URL=database_url),
        tollpath_here("audit", DATABASE_URL=database_url),
    ):
        assert complaint(run) == (
            "The database is at revision 9999, which this version of Tollpath does not know: "
            "start the newer version that migrated it."
        )
    assert await value(database_url, "SELECT version_num FROM alembic_version") == "9999"
    assert await value(database_url, "SELECT count(*) FROM accounts") == 0


async def test_an_audit_of_a_database_that_is_not_migrated_changes_nothing(empty_database_url: str) -> None:
    run = tollpath_here("audit", DATABASE_URL=empty_database_url)
    assert complaint(run) == "the database is not up to date: run `tollpath migrate` first"
    assert await value(empty_database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.csv", tmp_path / "empty.csv"
    empty.touch()
    for file, reason in (
        (missing, f"cannot read {missing}: No such file or directory"),
        (tmp_path, f"cannot read {tmp_path}: Is a directory"),
        (empty, f"{empty} is empty"),
    ):
        assert complaint(tollpath_here("import-rates", file, "--data-dir", tmp_path / "data")) == reason
    assert not (tmp_path / "data").exists()


def test_models_that_need_no_migration_get_none() -> None:
    versions = Path(__file__).parents[1] / "models" / "migrations" / "versions"
    before = sorted(os.listdir(versions))
    run = tollpath_here("make-migration", "change nothing")
    assert complaint(run, exit_code=1) == ("the migrations already make what the models say: there is nothing to write")
    assert sorted(os.listdir(versions)) == before
