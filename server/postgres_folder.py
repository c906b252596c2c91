"""The data folder of the embedded PostgreSQL: its files, who owns them, and the unprivileged user.

.tollpath/            0700 (0711 when root: PostgreSQL's own user has to pass through)
  tollpath.lock       marks the folder as ours; every user of the server holds a shared lock on it
  keeper.lock         held by the one keeper process
  server.json         where the server listens; locked by the keeper for as long as it is true
  password            0600
  pgdata/             the cluster, owned by PostgreSQL's user
  run/                0700, the socket (elsewhere when the path would be too long)
  postgres.log
"""

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used; the text is one line that says what to do."""


@dataclass(frozen=True)
class DataFolder:
    """The names inside one data folder; `path` is absolute."""

    path: Path

    @property
    def users_lock(self) -> Path:
        return self.path / "tollpath.lock"

    @property
    def keeper_lock(self) -> Path:
        return self.path / "keeper.lock"

    @property
    def server_file(self) -> Path:
        return self.path / "server.json"

    @property
    def password_file(self) -> Path:
        return self.path / "password"

    @property
    def cluster(self) -> Path:
        return self.path / "pgdata"

    @property
    def log(self) -> Path:
        return self.path / "postgres.log"

    def require_cluster(self) -> None:
        """Raises: EmbeddedPostgresError when there is no database in the folder, or no folder."""
        try:
            self.cluster.stat()
        except FileNotFoundError:
            raise EmbeddedPostgresError(
                f"there is no database in {self.path}: name its folder with --data-dir or TOLLPATH_DATA_DIR, "
                "set DATABASE_URL, or make a new one with `tollpath migrate`"
            ) from None
        except OSError:
            # A folder of someone else, or a file: `claim` says which.
            return

    def claim(self) -> None:
        """Make the folder, or check that it is ours: our user's, and either empty or marked by our lock file.

        Raises: EmbeddedPostgresError when it is anything else; nothing in it is changed then.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner_id = self.path.stat().st_uid
            if owner_id != os.geteuid():
                raise EmbeddedPostgresError(
                    f"the data folder {self.path} belongs to {user_name(owner_id)}, not to {user_name(os.geteuid())}: "
                    "start as its owner, or name another folder with --data-dir"
                )
            if any(self.path.iterdir()) and not self.users_lock.exists():
                raise EmbeddedPostgresError(
                    f"{self.path} is not empty and is no data folder of Tollpath: name another with --data-dir"
                )
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            os.close(os.open(self.users_lock, os.O_RDWR | os.O_CREAT, 0o600))
        except (FileExistsError, NotADirectoryError):
            raise EmbeddedPostgresError(f"{self.path} is not a folder: name another with --data-dir") from None
        except OSError as error:
            raise EmbeddedPostgresError(
                f"cannot use the data folder {self.path}: {error.strerror}; name another with --data-dir"
            ) from None


@dataclass(frozen=True)
class ServiceUser:
    """Whom PostgreSQL runs as when we are root (it refuses to run as root)."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        return user_name(self.uid)

    def answers(self, question: Callable[[], bool]) -> bool:
        """What `question` returns when this user asks it, in a child process; False when it raises."""
        child = os.fork()
        if child == 0:
            answer = False
            try:
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
                answer = question()
            finally:
                os._exit(0 if answer else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def service_user(folder: DataFolder) -> ServiceUser | None:
    """The user to run PostgreSQL as: None (ourselves) unless we are root; else the owner of an existing
    cluster, else `postgres`, else `nobody`.

    Raises: EmbeddedPostgresError when root finds neither.
    """
    if os.geteuid() != 0:
        return None
    if folder.cluster.exists():
        status = folder.cluster.stat()
        return ServiceUser(status.st_uid, status.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServiceUser(entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, and there is neither a user postgres nor nobody: "
        "start as an ordinary user, or set DATABASE_URL"
    )


def user_name(uid: int) -> str:
    """The login name of a user id, or `user 1234` when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
