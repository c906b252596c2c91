"""The folder of the workers' figures goes with its server; what a killed one left goes at the next start."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from server.metrics_folder import metrics_folder
from tests.embedded_users import wait_until

# Holds its folder, and so does its child, which outlives it until its standard input ends.
OWNER = """
import subprocess, sys
from server.metrics_folder import metrics_folder
with metrics_folder() as folder:
    (folder.path / "counter_1.db").touch()
    subprocess.Popen(["cat"], pass_fds=[folder.lock_fd], stdout=subprocess.DEVNULL)
    print(folder.path, flush=True)
    sys.stdout.close()
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def start_and_end() -> None:
    with metrics_folder():
        pass


def is_removed_by_a_start(folder: Path) -> bool:
    start_and_end()
    return not folder.exists()


def test_the_folder_is_private_and_goes_with_its_context(temporary_folder: Path) -> None:
    with metrics_folder() as folder:
        assert folder.path.parent == temporary_folder
        assert folder.path.stat().st_mode & 0o777 == 0o700
    assert list(temporary_folder.iterdir()) == []


def test_a_folder_is_removed_only_when_its_owner_and_all_that_inherited_its_lock_are_gone() -> None:
    read_end, write_end = os.pipe()
    with subprocess.Popen([sys.executable, "-c", OWNER], stdin=read_end, stdout=subprocess.PIPE, text=True) as owner:
        os.close(read_end)
        assert owner.stdout is not None
        left = Path(owner.stdout.readline().strip())
        start_and_end()
        assert (left / "counter_1.db").exists()
        owner.kill()
        owner.wait()
        start_and_end()
        assert (left / "counter_1.db").exists(), "its child lives"
    os.close(write_end)
    wait_until(lambda: is_removed_by_a_start(left))


def test_what_is_no_folder_of_ours_is_let_be(temporary_folder: Path) -> None:
    elsewhere = temporary_folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "owner.lock").touch()
    (temporary_folder / "tollpath-metrics-link").symlink_to(elsewhere)
    (temporary_folder / "tollpath-metrics-file").touch()
    # As earlier versions made them: whether somebody still writes into it cannot be told.
    (temporary_folder / "tollpath-metrics-old").mkdir()
    before = sorted(temporary_folder.rglob("*"))
    start_and_end()
    assert sorted(temporary_folder.rglob("*")) == before
