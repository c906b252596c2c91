"""The embedded PostgreSQL: what it makes, who shares it, and what it survives."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, bundled_bin_dir
from tests.conftest import connect
from tests.embedded_users import (
    EmbeddedUser,
    is_locked,
    is_running,
    keeper_id,
    kill,
    owner_of_process,
    postmaster_id,
    wait_until,
)

IS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def stopped_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a first start and a stop leave it."""
    data_dir = tmp_path_factory.mktemp("embedded") / "data"
    with EmbeddedPostgres(data_dir):
        pass
    return data_dir


@pytest.fixture
def data_dir(stopped_folder: Path, tmp_path: Path) -> Path:
    """A copy of `stopped_folder` of this test alone."""
    subprocess.run(["cp", "-a", stopped_folder, tmp_path / "data"], check=True)
    return tmp_path / "data"


@pytest.fixture
def users() -> Iterator[list[EmbeddedUser]]:
    """Whoever is put here is killed in the end."""
    started: list[EmbeddedUser] = []
    yield started
    for user in started:
        user.kill()


async def value(url: str, query: str) -> object:
    connection = await connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def moved(data_dir: Path, parent: Path) -> Path:
    parent.mkdir(mode=0o700)
    return data_dir.rename(parent / "data")


def program_of(process_id: int) -> Path:
    # Not its `exe`: in a container even root may not read that of another user's process.
    return Path(Path(f"/proc/{process_id}/cmdline").read_text().split("\0")[0])


def socket_dir(url: str) -> Path:
    return Path(url.partition("?host=")[2])


async def test_a_first_start_makes_a_closed_folder_and_a_durable_database(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    with EmbeddedPostgres(data_dir) as url:
        assert mode(data_dir) == (0o711 if IS_ROOT else 0o700)
        assert mode(data_dir / "password") == 0o600
        assert mode(data_dir / "pgdata") == 0o700
        assert mode(data_dir / "postgres.log") == 0o600
        assert mode(socket_dir(url)) == 0o700
        assert len((data_dir / "password").read_text()) == 32
        connection = await connect(url)
        settings = {
            name: await connection.fetchval(f"SHOW {name}")
            for name in ("listen_addresses", "fsync", "synchronous_commit", "full_page_writes", "jit", "data_checksums")
        }
        assert settings == {
            "listen_addresses": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "jit": "off",
            "data_checksums": "on",
        }
        database = await connection.fetchrow(
            "SELECT datname, datlocprovider::text AS provider, datlocale, pg_encoding_to_char(encoding) AS encoding"
            "  FROM pg_database WHERE datname = current_database()"
        )
        assert dict(database or {}) == {
            "datname": "tollpath",
            "provider": "b",
            "datlocale": "C.UTF-8",
            "encoding": "UTF8",
        }
        methods = await connection.fetch("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        assert [row["auth_method"] for row in methods] == ["scram-sha-256"]
        await connection.close()
        expected_owner = (data_dir / "pgdata").stat().st_uid
        assert owner_of_process(postmaster_id(data_dir)) == expected_owner
        assert (expected_owner == 0) is False


async def test_a_wrong_password_is_refused(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        password = (data_dir / "password").read_text()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await connect(url.replace(password, "wrong"))


async def test_a_second_start_finds_what_the_first_wrote(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        await value(url, "CREATE TABLE kept AS SELECT 7 AS number")
        process_id = postmaster_id(data_dir)
    assert not is_running(process_id)
    with EmbeddedPostgres(data_dir) as again:
        assert again.partition("?")[0] == url.partition("?")[0]
        assert await value(again, "SELECT number FROM kept") == 7


def test_starting_twice_and_stopping_twice_is_harmless(data_dir: Path) -> None:
    embedded = EmbeddedPostgres(data_dir)
    assert embedded.start() == embedded.start()
    embedded.stop()
    embedded.stop()
    assert not (data_dir / "pgdata" / "postmaster.pid").exists()


async def test_a_second_process_uses_the_same_server_and_keeps_it_when_the_first_is_killed(
    data_dir: Path, users: list[EmbeddedUser]
) -> None:
    users += [EmbeddedUser(data_dir)]
    first_url = users[0].url()
    process_id = postmaster_id(data_dir)
    users += [EmbeddedUser(data_dir)]
    assert users[1].url() == first_url
    connection = await connect(first_url)
    users[0].kill()
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    assert await value(first_url, "SELECT 2") == 2
    assert postmaster_id(data_dir) == process_id
    users[1].stop()
    assert not is_running(process_id)


async def test_a_process_that_leaves_before_the_others_does_not_wait_for_them(
    data_dir: Path, users: list[EmbeddedUser]
) -> None:
    embedded = EmbeddedPostgres(data_dir)
    url = embedded.start()
    users += [EmbeddedUser(data_dir)]
    users[0].url()
    embedded.stop()
    assert await value(url, "SELECT 1") == 1
    users[0].stop()


def test_processes_that_start_at_once_in_a_new_folder_share_one_server(
    tmp_path: Path, users: list[EmbeddedUser]
) -> None:
    users += [EmbeddedUser(tmp_path / "data") for _ in range(4)]
    assert len({user.url() for user in users}) == 1
    process_id = postmaster_id(tmp_path / "data")
    for user in users:
        user.stop()
    assert not is_running(process_id)


def test_when_the_last_user_is_killed_the_server_shuts_down_cleanly(data_dir: Path, users: list[EmbeddedUser]) -> None:
    users += [EmbeddedUser(data_dir)]
    users[0].url()
    process_id = postmaster_id(data_dir)
    users[0].kill()
    wait_until(lambda: not is_running(process_id))
    assert (data_dir / "postgres.log").read_text().splitlines()[-1].endswith("database system is shut down")


async def test_when_the_keeper_is_killed_the_server_shuts_down_cleanly_and_can_be_started_again(
    data_dir: Path,
) -> None:
    embedded = EmbeddedPostgres(data_dir)
    await value(embedded.start(), "CREATE TABLE kept AS SELECT 7 AS number")
    process_id = postmaster_id(data_dir)
    kill(keeper_id(data_dir))
    wait_until(lambda: not is_running(process_id) and not is_locked(data_dir / "server.json"))
    with embedded as url:
        assert await value(url, "SELECT number FROM kept") == 7
    assert "was interrupted" not in (data_dir / "postgres.log").read_text()


async def test_after_kill_9_of_everything_a_start_recovers_what_was_committed(
    data_dir: Path, users: list[EmbeddedUser]
) -> None:
    users += [EmbeddedUser(data_dir)]
    await value(users[0].url(), "CREATE TABLE kept AS SELECT 7 AS number")
    keeper, postmaster = keeper_id(data_dir), postmaster_id(data_dir)
    os.kill(keeper, signal.SIGSTOP)
    os.kill(postmaster, signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    users[0].kill()
    wait_until(lambda: not is_running(postmaster) and not is_locked(data_dir / "server.json"))
    with EmbeddedPostgres(data_dir) as url:
        assert await value(url, "SELECT number FROM kept") == 7
    assert "database system was interrupted" in (data_dir / "postgres.log").read_text()


async def test_a_crashed_server_is_started_again_while_it_has_users(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        # A server that crashes within its first second is taken for one that always will.
        await value(url, "SELECT pg_sleep(1.1)")
        process_id = postmaster_id(data_dir)
        kill(process_id)
        wait_until(lambda: (data_dir / "server.json").exists() and postmaster_id(data_dir) != process_id)
        assert await value(url, "SELECT 1") == 1


async def test_a_pid_file_whose_number_is_now_another_process_does_not_stop_a_start(data_dir: Path) -> None:
    stale = data_dir / "pgdata" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{data_dir}/pgdata\n1700000000\n5432\n/nowhere\n\n\nready   \n")
    owner = (data_dir / "pgdata").stat()
    os.chown(stale, owner.st_uid, owner.st_gid)
    with EmbeddedPostgres(data_dir) as url:
        assert await value(url, "SELECT 1") == 1


async def test_a_first_start_that_was_killed_halfway_is_begun_anew(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    (data_dir / "pgdata.new").mkdir(parents=True)
    (data_dir / "pgdata.new" / "PG_VERSION").write_text("18")
    (data_dir / "tollpath.lock").touch()
    with EmbeddedPostgres(data_dir) as url:
        assert await value(url, "SELECT 1") == 1
    assert not (data_dir / "pgdata.new").exists()


def refusal(data_dir: Path, *, bin_dir: Path | None = None) -> str:
    with pytest.raises(EmbeddedPostgresError) as caught:
        EmbeddedPostgres(data_dir, bin_dir=bin_dir).start()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_folder_of_another_major_version_is_refused_and_left_alone(data_dir: Path) -> None:
    version_file = data_dir / "pgdata" / "PG_VERSION"
    version_file.write_text("14\n")
    assert refusal(data_dir) == (
        f"the data folder {data_dir} is of PostgreSQL 14 and the binaries are of 18: set TOLLPATH_PG_BIN to "
        "binaries of 14, or dump and load into another folder (--data-dir)"
    )
    assert version_file.read_text() == "14\n"


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    tmp_path.chmod(0o755)
    assert refusal(tmp_path) == (
        f"{tmp_path} is not empty and is no data folder of Tollpath: name another with --data-dir"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    assert mode(tmp_path) == 0o755


def test_a_folder_of_someone_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    data_dir, owner, me = Path("/"), "root", ""
    if IS_ROOT:
        data_dir, owner, me = tmp_path, "nobody", "root"
        os.chown(tmp_path, 65534, 65534)
    assert refusal(data_dir).startswith(f"the data folder {data_dir} belongs to {owner}, not to {me}")
    assert not (data_dir / "tollpath.lock").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert refusal(tmp_path / "data") == f"{tmp_path / 'data'} is not a folder: name another with --data-dir"
    assert refusal(tmp_path / "data" / "below") == (
        f"{tmp_path / 'data' / 'below'} is not a folder: name another with --data-dir"
    )


def test_a_missing_password_file_is_named(data_dir: Path) -> None:
    (data_dir / "password").unlink()
    assert refusal(data_dir) == f"{data_dir / 'password'} is missing: put it back from your backup"
    assert not (data_dir / "password").exists()


def test_a_folder_without_binaries_is_named(data_dir: Path, tmp_path: Path) -> None:
    assert refusal(data_dir, bin_dir=tmp_path) == (
        f"no working PostgreSQL in {tmp_path}: set TOLLPATH_PG_BIN to the folder that holds `postgres`"
    )


async def test_a_folder_too_deep_for_a_socket_gets_a_short_private_one(data_dir: Path, tmp_path: Path) -> None:
    deep = moved(data_dir, tmp_path / ("x" * 100))
    with EmbeddedPostgres(deep) as url:
        assert await value(url, "SELECT 1") == 1
        assert len(str(socket_dir(url))) < 40
        assert mode(socket_dir(url)) == 0o700
        assert mode(socket_dir(url).parent) == (0o711 if IS_ROOT else 0o700)
    assert not socket_dir(url).parent.exists()


async def test_a_short_socket_folder_that_somebody_else_put_there_is_not_used(data_dir: Path, tmp_path: Path) -> None:
    deep = moved(data_dir, tmp_path / ("x" * 100))
    trap = tmp_path / "trap"
    trap.mkdir()
    trap.chmod(0o777)
    (deep / "runtime_dir").write_text(str(trap))
    with EmbeddedPostgres(deep) as url:
        assert await value(url, "SELECT 1") == 1
        assert socket_dir(url).parent != trap
    assert list(trap.iterdir()) == []


async def test_a_folder_below_a_closed_home_works_and_the_home_stays_closed(data_dir: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with EmbeddedPostgres(moved(data_dir, home)) as url:
        assert await value(url, "SELECT 1") == 1
    assert mode(home) == 0o700


async def test_binaries_below_a_closed_home_work_and_keep_their_permissions(data_dir: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    package = bundled_bin_dir().parents[1]
    for source in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(source, home / source.name)
    bin_dir = home / package.name / "pginstall" / "bin"
    (bin_dir / "postgres").chmod(0o700)
    with EmbeddedPostgres(data_dir, bin_dir=bin_dir) as url:
        assert await value(url, "SELECT 1") == 1
        assert program_of(postmaster_id(data_dir)).is_relative_to(home) is not IS_ROOT
    assert mode(home) == 0o700
    assert mode(bin_dir / "postgres") == 0o700


@pytest.fixture
def ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, object]]]:
    """A folder of an ordinary user, and the arguments that start an `EmbeddedUser` as that user.

    When we are root, that is `nobody`, who reaches neither a closed checkout nor its packages: it gets copies.
    """
    if not IS_ROOT:
        yield tmp_path_factory.mktemp("ordinary"), {}
        return
    folder = Path("/tmp") / f"tollpath-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        sources = folder / "sources"
        shutil.copytree(
            Path(__file__).parents[1] / "server", sources / "server", ignore=shutil.ignore_patterns("__pycache__")
        )
        package = bundled_bin_dir().parents[1]
        for source in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(source, sources / source.name)
        (folder / "home").mkdir()
        os.chown(folder / "home", 65534, 65534)
        interpreters = [os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"]
        as_user = {"user": 65534, "group": 65534, "extra_groups": []}
        python = next(path for path in interpreters if runs(path, as_user))
        yield folder / "home", {"python": python, "sources": sources, "as_user": as_user}
    finally:
        shutil.rmtree(folder)


def runs(python: str, as_user: dict[str, object]) -> bool:
    try:
        return subprocess.run([python, "-c", ""], cwd="/", **as_user).returncode == 0  # type: ignore[call-overload]
    except OSError:
        return False


def test_an_ordinary_user_runs_it_as_itself_and_finds_it_again(
    ordinary_user: tuple[Path, dict[str, object]], users: list[EmbeddedUser]
) -> None:
    home, arguments = ordinary_user
    for _ in range(2):
        user = EmbeddedUser(home / "data", **arguments)  # type: ignore[arg-type]
        users.append(user)
        user.url()
        assert owner_of_process(postmaster_id(home / "data")) == home.stat().st_uid
        assert owner_of_process(keeper_id(home / "data")) == home.stat().st_uid
        assert mode(home / "data") == 0o700
        user.stop()


def test_an_ordinary_user_is_told_that_a_folder_belongs_to_root(
    ordinary_user: tuple[Path, dict[str, object]], users: list[EmbeddedUser]
) -> None:
    _, arguments = ordinary_user
    users.append(EmbeddedUser(Path("/usr"), **arguments))  # type: ignore[arg-type]
    assert users[0].complaint().startswith("refused: the data folder /usr belongs to root, not to ")
