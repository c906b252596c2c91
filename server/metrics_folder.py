"""The folder in which the workers of one server keep their figures; one that a killed server left is removed.

`owner.lock` in it is locked by the server and by its workers, who inherit the lock, for as long as one of them lives:
a killed server leaves its folder, and its workers end a moment later. A folder without that file is let be.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "tollpath-metrics-"
_LOCK = "owner.lock"


@dataclass(frozen=True)
class MetricsFolder:
    """``lock_fd`` is to be inherited by every process that writes into the folder."""

    path: Path
    lock_fd: int


@contextmanager
def metrics_folder() -> Iterator[MetricsFolder]:
    """An empty folder for as long as the context lives; those of servers that live no more are removed first."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        _remove_if_left(left)
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock_fd = _locked_file(path)
    try:
        yield MetricsFolder(path, lock_fd)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock_fd)


def _locked_file(folder: Path) -> int:
    """Locked before it gets its name, so that nobody finds it without its lock."""
    unnamed = folder / f"{_LOCK}.new"
    lock_fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(lock_fd, fcntl.LOCK_EX)
    unnamed.rename(folder / _LOCK)
    return lock_fd


def _remove_if_left(folder: Path) -> None:
    try:
        status = folder.lstat()
        # Everybody may put something of that name into /tmp: only a folder of our own is looked into.
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return
        lock_fd = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock_fd)
