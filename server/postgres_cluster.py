"""PostgreSQL's cluster: the places of one run, initdb, settings.

Where PostgreSQL's user is not allowed to walk to a place, nothing outside the data folder gets other permissions:
the binaries are copied, the cluster is entered by the keeper before it gives up root and is called by the name
`/proc/self/cwd` from then on, and the socket lies in a folder of its own below /tmp.
"""

import os
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.postgres_binaries import ENVIRONMENT, are_usable, copy_binaries
from server.postgres_folder import DataFolder, EmbeddedPostgresError, ServiceUser

ROLE = DATABASE = "tollpath"
SOCKET_NAME = ".s.PGSQL.5432"
# sun_path holds 108 bytes with its closing zero.
SOCKET_PATH_BYTES_MAX = 107
CURRENT_FOLDER = "/proc/self/cwd"


@dataclass(frozen=True)
class Places:
    """Where one run of PostgreSQL finds everything."""

    folder: DataFolder
    user: ServiceUser | None
    bin_dir: Path
    # Holds the socket folder and, if need be, the copied binaries: the data folder itself or one below /tmp.
    runtime_dir: Path
    # The cluster's name for PostgreSQL, which is always started inside it.
    cluster_name: str

    @property
    def socket_dir(self) -> Path:
        return self.runtime_dir / "run"

    @property
    def is_temporary(self) -> bool:
        """Whether the runtime folder has to be removed in the end."""
        return self.runtime_dir != self.folder.path

    def as_user(self) -> Mapping[str, Any]:
        """Arguments for subprocess that give up root for good."""
        if self.user is None:
            return {}
        return {"user": self.user.uid, "group": self.user.gid, "extra_groups": []}


def find_places(folder: DataFolder, bin_dir: Path, user: ServiceUser | None) -> Places:
    """Decide the places, and make the socket folder and the copy of the binaries where they are needed."""
    reachable = user is None or user.answers(lambda: os.access(folder.path, os.X_OK))
    runtime_dir = folder.path
    if not reachable or len(os.fsencode(folder.path / "run" / SOCKET_NAME)) > SOCKET_PATH_BYTES_MAX:
        runtime_dir = _temporary_dir(folder)
    if user is not None and not user.answers(lambda: are_usable(bin_dir)):
        bin_dir = copy_binaries(bin_dir, runtime_dir, user)
    places = Places(folder, user, bin_dir, runtime_dir, str(folder.cluster) if reachable else CURRENT_FOLDER)
    _make_private(places.socket_dir, user)
    return places


def make_cluster(places: Places, *, major: int, durable: bool) -> None:
    """initdb into a folder of its own, with the database, then one rename: no half-made cluster is ever found."""
    new = places.folder.path / "pgdata.new"
    if new.exists():
        shutil.rmtree(new)
    _make_private(new, places.user)
    password = _password(places.folder)
    name = CURRENT_FOLDER if places.cluster_name == CURRENT_FOLDER else str(new)
    # The builtin provider sorts the same on every machine, whatever its C library; it came with 17.
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    if major < 17:
        locale = ["--locale=C.UTF-8"]
    read_end, write_end = os.pipe()
    os.write(write_end, password.encode())
    os.close(write_end)
    if places.user is not None:
        # /dev/fd opens the pipe anew, with the rights of the user that opens.
        os.fchown(read_end, places.user.uid, places.user.gid)
    try:
        _run(
            places,
            [
                "initdb", "--pgdata", name, "--username", ROLE, f"--pwfile=/dev/fd/{read_end}",
                "--auth=scram-sha-256", "--encoding=UTF8", *locale, *([] if durable else ["--no-sync"]),
            ],
            cwd=new,
            pass_fds=[read_end],
        )  # fmt: skip
    finally:
        os.close(read_end)
    _run(
        places,
        ["postgres", "--single", "-D", name, "-c", f"fsync={'on' if durable else 'off'}", "postgres"],
        cwd=new,
        input=f"CREATE DATABASE {DATABASE}\n",
    )
    new.rename(places.folder.cluster)
    _sync_dir(places.folder.path)


def server_settings(places: Places, *, durable: bool) -> list[str]:
    """Command line settings: full durability unless asked otherwise, sized for two cores and more, no TCP."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    settings = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": str(places.socket_dir),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        # Calls are kept by month, so a statement may lock some hundred tables and indexes.
        "max_locks_per_transaction": "256",
        "shared_buffers": f"{max(16, min(512, memory_mb // 4))}MB",
        "effective_cache_size": f"{max(64, memory_mb // 2)}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        "random_page_cost": "1.1",
        "jit": "off",
        # Compressing the pages that the log carries whole after a checkpoint (pglz, 0.15 ms each) cost charging up to
        # 14 ms of CPU for 1,000 calls; without it the log is hardly longer: most of these pages are young, half empty.
        "wal_compression": "off",
        # A commit waits until the log is on the disk, with the operator's row locked. It has less to wait for where the
        # log is written all the time: 13 ms became 9 for 4,000 calls, 27 became 17 out of a million customers.
        "wal_writer_delay": "10ms",
        "min_wal_size": "256MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] ",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "cluster_name": ROLE,
    }
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _temporary_dir(folder: DataFolder) -> Path:
    """A short folder below /tmp that only we can write; after a crash the recorded one is found again."""
    record = folder.path / "runtime_dir"
    if record.exists():
        path = Path(record.read_text())
        try:
            status = path.lstat()
        except FileNotFoundError:
            status = None
        # Anyone may have put something of that name into /tmp since: only our own closed folder is trusted.
        if status and stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022:
            return path
    path = Path(tempfile.mkdtemp(prefix="tollpath-", dir="/tmp"))
    if os.geteuid() == 0:
        path.chmod(0o711)
    record.write_text(str(path))
    return path


def _make_private(path: Path, user: ServiceUser | None) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


def _password(folder: DataFolder) -> str:
    """The role's password; made and written (0600) before there is a cluster that needs it."""
    if not folder.password_file.exists():
        new = folder.path / "password.new"
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
            file.flush()
            os.fsync(file.fileno())
        new.rename(folder.password_file)
    return folder.password_file.read_text()


def _run(places: Places, command: list[str], **options: Any) -> None:
    done = subprocess.run(
        [places.bin_dir / command[0], *command[1:]],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        **options,
        **places.as_user(),
    )
    complaint = re.search(r"(?:initdb: error|FATAL|ERROR|PANIC): +(.*)", done.stderr)
    if done.returncode != 0 or complaint:
        text = complaint.group(1) if complaint else " ".join(done.stderr.split())
        raise EmbeddedPostgresError(f"{command[0]} could not make the database: {text}")


def _sync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)
