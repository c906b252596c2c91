"""Where the embedded PostgreSQL can run: deep folders, closed homes, as root and as an ordinary user."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.embedded_postgres import EmbeddedPostgres, bundled_bin_dir
from tests.embedded_users import (
    EmbeddedUser,
    keeper_id,
    mode,
    owner_of_process,
    postmaster_id,
    socket_dir,
    value,
)

IS_ROOT = os.geteuid() == 0


def moved(data_dir: Path, parent: Path) -> Path:
    parent.mkdir(mode=0o700)
    return data_dir.rename(parent / "data")


def program_of(process_id: int) -> Path:
    # Not its `exe`: in a container even root may not read that of another user's process.
    return Path(Path(f"/proc/{process_id}/cmdline").read_text().split("\0")[0])


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
def ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
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


def runs(python: str, as_user: dict[str, Any]) -> bool:
    try:
        return subprocess.run([python, "-c", ""], cwd="/", **as_user).returncode == 0
    except OSError:
        return False


def test_an_ordinary_user_runs_it_as_itself_and_finds_it_again(ordinary_user: tuple[Path, dict[str, Any]]) -> None:
    home, arguments = ordinary_user
    for _ in range(2):
        with EmbeddedUser(home / "data", **arguments) as user:
            user.url()
            assert owner_of_process(postmaster_id(home / "data")) == home.stat().st_uid
            assert owner_of_process(keeper_id(home / "data")) == home.stat().st_uid
            assert mode(home / "data") == 0o700
            user.stop()


def test_an_ordinary_user_is_told_that_a_folder_belongs_to_root(ordinary_user: tuple[Path, dict[str, Any]]) -> None:
    _, arguments = ordinary_user
    with EmbeddedUser(Path("/usr"), **arguments) as user:
        assert user.complaint().startswith("refused: the data folder /usr belongs to root, not to ")
