"""Data folders that the embedded PostgreSQL refuses, in one line that says what to do, and leaves as they are."""

import os
from pathlib import Path

import pytest

from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from tests.embedded_users import mode

IS_ROOT = os.geteuid() == 0


def refusal(data_dir: Path, *, bin_dir: Path | None = None, create: bool = True) -> str:
    with pytest.raises(EmbeddedPostgresError) as caught:
        EmbeddedPostgres(data_dir, bin_dir=bin_dir, create=create).start()
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


def test_where_none_is_to_be_made_a_folder_without_a_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    for data_dir in (tmp_path, tmp_path / "none"):
        assert refusal(data_dir, create=False).startswith(f"there is no database in {data_dir}: ")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file", create=False) == (
        f"{tmp_path / 'file'} is not a folder: name another with --data-dir"
    )


def test_where_none_is_to_be_made_a_database_that_is_there_is_used(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, create=False) as url:
        assert url.startswith("postgresql")
