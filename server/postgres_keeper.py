"""The keeper: a small process that owns the embedded PostgreSQL for as long as anybody uses it.

Every user of the server holds a shared lock on `tollpath.lock`; the kernel drops it however the user ends. The keeper
waits for the exclusive lock: when it gets it nobody is left, and it stops PostgreSQL. PostgreSQL in turn gets SIGINT
(a fast, clean shutdown) from the kernel should the keeper itself be killed. Run as
`python -m server.postgres_keeper DATA_DIR BIN_DIR durable|fast`, in a session of its own so that Ctrl-C ends the users
first. Standard library only: it starts fast and stays small.
"""

import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from server.postgres_binaries import ENVIRONMENT, check_version
from server.postgres_cluster import (
    SOCKET_NAME,
    Places,
    find_places,
    make_cluster,
    server_settings,
)
from server.postgres_folder import DataFolder, EmbeddedPostgresError, service_user

PR_SET_PDEATHSIG = 1
LEFTOVER_WAIT_S = 60
SHUTDOWN_WAIT_S = 120
# A server that crashes sooner than this after it became ready is not started again.
RESTART_AFTER_S = 1
LOG_BYTES_MAX = 10_000_000
NOBODY_LEFT = b"\0"

libc = ctypes.CDLL(None, use_errno=True)


def keep(folder: DataFolder, bin_dir: Path, *, durable: bool) -> None:
    """Start PostgreSQL and stay until its last user has gone; returns at once when another keeper is there.

    Raises: EmbeddedPostgresError when it cannot start, or has crashed again and again.
    """
    keeper_lock = os.open(folder.keeper_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(keeper_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    major = check_version(folder, bin_dir)
    places = find_places(folder, bin_dir, service_user(folder))
    # systemd-tmpfiles leaves a folder below /tmp alone while somebody holds a lock on it.
    fcntl.flock(os.open(places.runtime_dir, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)
    if not folder.cluster.exists():
        make_cluster(places, major=major, durable=durable)
    if folder.log.exists() and folder.log.stat().st_size > LOG_BYTES_MAX:
        folder.log.rename(folder.log.with_name("postgres.log.1"))
    events = _open_events()
    process = _start(places, durable=durable)
    _watch_users(folder, events)
    while True:
        ready_at = time.monotonic()
        server_file = _publish(places)
        nobody_left = _wait(process, events)
        folder.server_file.unlink(missing_ok=True)
        server_file.close()
        if nobody_left:
            _stop(process)
        # 0: somebody asked it to stop, by a signal or pg_ctl.
        if nobody_left or process.returncode == 0:
            break
        if time.monotonic() - ready_at < RESTART_AFTER_S:
            raise EmbeddedPostgresError(f"PostgreSQL keeps crashing; see {folder.log}")
        process = _start(places, durable=durable)
    if places.is_temporary:
        shutil.rmtree(places.runtime_dir)
        (folder.path / "runtime_dir").unlink()


def _start(places: Places, *, durable: bool) -> subprocess.Popen[bytes]:
    """Start PostgreSQL and return it when it takes connections."""
    cluster = places.folder.cluster
    _clear_leftovers(places)
    keeper_id = os.getpid()

    def die_with_keeper() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != keeper_id:
            os._exit(1)

    with open(places.folder.log, "ab") as log:
        log_start = log.tell()
        process = subprocess.Popen(
            [places.bin_dir / "postgres", "-D", places.cluster_name, *server_settings(places, durable=durable)],
            cwd=cluster,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=ENVIRONMENT,
            preexec_fn=die_with_keeper,
            **places.as_user(),
        )
    while not _is_ready(cluster / "postmaster.pid", process.pid):
        if process.poll() is not None:
            text = places.folder.log.read_bytes()[log_start:].decode(errors="replace")
            complaint = re.search(r"(?:FATAL|PANIC): +(.*)", text)
            reason = complaint.group(1) if complaint else f"it ended with code {process.returncode}"
            raise EmbeddedPostgresError(f"PostgreSQL does not start: {reason} (see {places.folder.log})")
        time.sleep(0.005)
    return process


def _is_ready(pid_file: Path, pid: int) -> bool:
    """What pg_ctl looks at: line 1 is the process, line 8 its state."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _clear_leftovers(places: Places) -> None:
    """Make way after a kill: wait for processes of an earlier server to end, then drop its lock files.

    PostgreSQL refuses a lock file whose number is by now some other process, or a zombie that nobody collects; only
    the processes' working folders tell. They are looked at as PostgreSQL's own user, since even root may not see
    those of others in a container.
    """
    cluster = places.folder.cluster
    pid_file = cluster / "postmaster.pid"
    if not pid_file.exists():
        return
    identity = (cluster.stat().st_dev, cluster.stat().st_ino)

    def nobody_inside() -> bool:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                status = (process / "cwd").stat()
            except OSError:
                continue
            if (status.st_dev, status.st_ino) == identity and int(process.name) != os.getpid():
                return False
        return True

    deadline = time.monotonic() + LEFTOVER_WAIT_S
    while not (nobody_inside() if places.user is None else places.user.answers(nobody_inside)):
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"another PostgreSQL is running in {cluster}: stop it first")
        time.sleep(0.02)
    pid_file.unlink(missing_ok=True)
    (places.socket_dir / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)


def _publish(places: Places) -> IO[str]:
    """Write where the server listens. The lock on the file lives and dies with what it says."""
    new = places.folder.path / "server.json.new"
    file = open(new, "w", opener=lambda path, flags: os.open(path, flags, 0o600))  # noqa: SIM115 - open while true
    fcntl.flock(file, fcntl.LOCK_EX)
    json.dump({"socket_dir": str(places.socket_dir)}, file)
    file.flush()
    new.rename(places.folder.server_file)
    return file


def _open_events() -> tuple[int, int]:
    """A pipe that gets a byte for each signal; the handlers exist so that signals arrive there and do nothing else."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return read_end, write_end


def _watch_users(folder: DataFolder, events: tuple[int, int]) -> None:
    def wait_for_last() -> None:
        fcntl.flock(os.open(folder.users_lock, os.O_RDWR), fcntl.LOCK_EX)
        os.write(events[1], NOBODY_LEFT)

    threading.Thread(target=wait_for_last, daemon=True).start()


def _wait(process: subprocess.Popen[bytes], events: tuple[int, int]) -> bool:
    """Sleep until nobody is left (True) or PostgreSQL has ended (False)."""
    while process.poll() is None:
        if NOBODY_LEFT in os.read(events[0], 4096):
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(SHUTDOWN_WAIT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait()


def main(arguments: list[str]) -> int:
    """Entry point; a refusal is one line on stderr and exit code 1."""
    data_dir, bin_dir, durability = arguments
    os.umask(0o077)
    try:
        keep(DataFolder(Path(data_dir)), Path(bin_dir), durable=durability == "durable")
    except EmbeddedPostgresError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"cannot run PostgreSQL: {error.strerror}: {error.filename}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
