"""What this process may use of the machine: by affinity, and by the limits of its container."""

import os
from math import ceil
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> float:
    """Return how many cores this process may use, by affinity and by its container's quota."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota, _, period = (read_line(cgroup / "cpu.max") or "max").partition(" ")
    every = float(usable or 1)
    return every if quota == "max" else min(every, int(quota) / int(period))


def whole_cores() -> int:
    """Return how many processes those cores can keep busy."""
    return ceil(usable_cores())


def available_memory(cgroup: Path = _CGROUP) -> int:
    """Return the bytes that the machine has available, at most its container's limit."""
    limit = read_line(cgroup / "memory.max") or "max"
    available = psutil.virtual_memory().available
    return available if limit == "max" else min(available, int(limit))


def read_line(path: Path) -> str | None:
    """Return a file's first line without the blanks around it, or None if it cannot be read."""
    try:
        return path.read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError):
        return None
