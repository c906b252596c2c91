"""The installed `tollpath`, run as a person runs it: a process of its own."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from server.cli import main

TOLLPATH = Path(sys.executable).with_name("tollpath")


class Run(NamedTuple):
    """How a command ended."""

    exit_code: int
    out: str
    err: str


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Ours without any setting of Tollpath, and with these."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TOLLPATH_") and name not in ("DATABASE_URL", "FORCE_COLOR")
    }
    # The cheapest hash there is, and help texts that no narrow terminal breaks up.
    cheap = {"TOLLPATH_PASSWORD_HASH_MEMORY_KIB": "8", "TOLLPATH_PASSWORD_HASH_ROUNDS": "1", "COLUMNS": "200"}
    return clean | cheap | settings


def tollpath(*arguments: object, cwd: Path | None = None, **settings: str) -> Run:
    """Run a command to its end. ``settings`` are environment variables."""
    done = subprocess.run(
        [TOLLPATH, *map(str, arguments)],
        env=environment(settings),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def tollpath_here(*arguments: object, stdin: bytes | None = None, **settings: str) -> Run:
    """The same as `tollpath`, faster: in a thread of this process. Not for `serve`, which sets up the logs.

    ``stdin`` is what it reads; where it is None it cannot read.
    """
    out, err = io.StringIO(), io.StringIO()
    exit_codes: list[int] = []

    def run() -> None:
        try:
            main()
        except SystemExit as end:
            exit_codes.append(end.code if isinstance(end.code, int) else int(end.code is not None))

    with (
        patch.dict(os.environ, environment(settings), clear=True),
        patch.object(sys, "argv", ["tollpath", *map(str, arguments)]),
        patch.object(sys, "stdin", sys.stdin if stdin is None else io.TextIOWrapper(io.BytesIO(stdin))),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        # A thread of its own has no running event loop, whatever the test has.
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    (exit_code,) = exit_codes
    return Run(exit_code, out.getvalue(), err.getvalue())


@contextmanager
def started(*arguments: object, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    """A command that goes on; killed in the end where it still does."""
    with subprocess.Popen(
        [TOLLPATH, *map(str, arguments)],
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def complaint(run: Run, exit_code: int = 2) -> str:
    """The one line that a command that cannot go on says, on stderr, with this exit code and no other output."""
    assert run.exit_code == exit_code, run
    assert run.out == "", run
    assert run.err.count("\n") == 1, run
    assert run.err.startswith("tollpath: "), run
    return run.err.removeprefix("tollpath: ").rstrip("\n")
