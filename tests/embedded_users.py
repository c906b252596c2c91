"""Processes that use an embedded PostgreSQL, for tests that start, kill and outlive them."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.raw_connection import connect

CHECKOUT = Path(__file__).resolve().parent.parent

_PROGRAM = """
import sys
from pathlib import Path
from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

embedded = EmbeddedPostgres(Path(sys.argv[1]), bin_dir=Path(sys.argv[2]) if sys.argv[2] else None)
try:
    print(embedded.start(), flush=True)
except EmbeddedPostgresError as error:
    sys.exit(f"refused: {error}")
sys.stdin.readline()
embedded.stop()
"""


class EmbeddedUser:
    """A process that starts the embedded server, keeps using it, and stops when told."""

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        python: str = sys.executable,
        sources: Path = CHECKOUT,
        as_user: Mapping[str, Any] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [python, "-c", _PROGRAM, str(data_dir), str(bin_dir or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PYTHONPATH": str(sources), "PYTHONDONTWRITEBYTECODE": "1"},
            **(as_user or {}),
        )

    def url(self) -> str:
        """The URL it was given; waits until its server is ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        return line

    def complaint(self) -> str:
        """What it said on stderr; waits until it has ended."""
        return self.process.communicate()[1].strip()

    def stop(self) -> None:
        """Let it stop in order."""
        _, complaint = self.process.communicate("\n")
        assert self.process.returncode == 0, complaint

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def wait_until(condition: Callable[[], object], *, seconds: float = 30) -> None:
    """Wait for something another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def postmaster_id(data_dir: Path) -> int:
    """The process id of the PostgreSQL that runs in the folder."""
    return int((data_dir / "pgdata" / "postmaster.pid").read_text().splitlines()[0])


def keeper_id(data_dir: Path) -> int:
    """The process id of the keeper: the postmaster's parent."""
    return _status(postmaster_id(data_dir), "PPid")


def owner_of_process(process_id: int) -> int:
    """The user id a process runs as."""
    return _status(process_id, "Uid")


def is_running(process_id: int) -> bool:
    """Whether there is such a process that has not ended (a zombie has)."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process_id}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_locked(path: Path) -> bool:
    """Whether a process holds the file's lock; one that is being killed holds it a moment longer than it runs."""
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def kill(process_id: int) -> None:
    """kill -9, and wait until it is gone."""
    os.kill(process_id, signal.SIGKILL)
    wait_until(lambda: not is_running(process_id))


def _status(process_id: int, field: str) -> int:
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise AssertionError(field)


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def socket_dir(url: str) -> Path:
    """Where the server of a URL has its socket."""
    return Path(url.partition("?host=")[2])


async def value(url: str, query: str) -> object:
    """What a query answers, on a connection of its own."""
    connection = await connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
