"""The embedded PostgreSQL: what it makes, who shares it, and what it survives."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from server.embedded_postgres import EmbeddedPostgres
from tests.embedded_users import (
    EmbeddedUser,
    is_locked,
    is_running,
    keeper_id,
    kill,
    mode,
    owner_of_process,
    postmaster_id,
    socket_dir,
    value,
    wait_until,
)
from tests.raw_connection import connect

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def users() -> Iterator[list[EmbeddedUser]]:
    """Whoever is put here is killed in the end."""
    started: list[EmbeddedUser] = []
    yield started
    for user in started:
        user.kill()


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
