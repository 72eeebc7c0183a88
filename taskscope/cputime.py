"""The CPU time of a worker's process tree, from outside and to the nanosecond."""

import time

import psutil


def tree_cpu_seconds(pid: int) -> float:
    """Return what a process, its descendants, and those that they have reaped have used so far.

    Live processes are read by their CPU clocks: /proc counts in ticks of 10 ms, which for ten pool
    processes would be a tenth of a second. Parents come before children, so nothing counts twice.
    """
    try:
        root = psutil.Process(pid)
        return sum(map(_used, (root, *root.children(recursive=True))))
    except psutil.NoSuchProcess:
        return 0.0


def _used(process: psutil.Process) -> float:
    try:
        reaped = process.cpu_times()
        own = time.clock_gettime(_clock_of(process.pid))
    except (psutil.NoSuchProcess, OSError):  # it ended meanwhile
        return 0.0
    return own + reaped.children_user + reaped.children_system


def _clock_of(pid: int) -> int:
    """Return the id of another process's CPU clock, as clock_getcpuclockid(3) makes it."""
    return (~pid << 3) | 2
