"""How much memory a process takes, by the kernel's own count (proc(5)); Linux only, as the product is."""

from pathlib import Path


def resident_bytes(pid: int) -> int:
    """What it has in memory now."""
    return _field(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most that it had in memory since `reset_peak`."""
    return _field(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Begin to look for the peak anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
