"""CPU and memory of each role's process trees: what a worker's own metrics leave out.

A tree is a listed process with all its descendants, down to the next listed process, which starts
a tree of its own. So a process counts once, in the role of its nearest listed ancestor.
"""

import os
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporters.roles import Roles, parse_roles, roots_by_pid, with_monitor


class Process(Protocol):
    """The part of psutil.Process that is used."""

    @property
    def pid(self) -> int: ...
    @property
    def info(self) -> Mapping[str, Any]: ...
    def create_time(self) -> float: ...
    def oneshot(self) -> AbstractContextManager[None]: ...
    def cpu_times(self) -> Any: ...
    def memory_info(self) -> Any: ...
    def status(self) -> str: ...


@dataclass(frozen=True)
class Usage:
    """What a process, or several together, have used (CPU) and use (the rest)."""

    user_seconds: float = 0.0
    system_seconds: float = 0.0
    resident_bytes: int = 0
    processes: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.user_seconds + other.user_seconds,
            self.system_seconds + other.system_seconds,
            self.resident_bytes + other.resident_bytes,
            self.processes + other.processes,
        )


type Root = tuple[int, float]
"""Process id and start time: an id alone may be given to a new process."""

type Reading = dict[str, dict[Root, Usage]]
"""Role -> live root -> use of its tree."""


def read(roles: Roles, processes: Iterable[Process]) -> Reading:
    """Walk the trees of all roles, over one pass through the process table."""
    by_pid: dict[int, Process] = {}
    children: dict[int, list[Process]] = defaultdict(list)
    for process in processes:
        by_pid[process.pid] = process
        children[process.info["ppid"]].append(process)
    roots = roots_by_pid(roles)
    reading: Reading = {role: {} for role in roles}
    for pid, role in roots.items():
        if root := by_pid.get(pid):
            used = (usage(process) for process in tree(root, children, roots))
            reading[role][pid, root.create_time()] = sum(used, Usage())
    return reading


def tree(
    root: Process, children: Mapping[int, Iterable[Process]], roots: Collection[int]
) -> Iterator[Process]:
    """Yield the root and its descendants, parents first, leaving out the trees of other roots."""
    pending = deque([root])
    while pending:
        process = pending.popleft()
        yield process
        pending.extend(c for c in children.get(process.pid, ()) if c.pid not in roots)


def usage(process: Process) -> Usage:
    """Read one process, with the CPU time of the children that it has reaped; none if it is gone.

    That counts nothing twice: the kernel adds a child's time to ``children_*`` only when the
    parent reaps it, and from then on the child is not in the process table. As parents are read
    before children, a child that is reaped during the walk is missed until the next scrape, never
    counted in both places (which ``CpuLedger`` would keep).
    """
    try:
        with process.oneshot():
            cpu = process.cpu_times()
            zombie = process.status() == psutil.STATUS_ZOMBIE
            resident = 0 if zombie else process.memory_info().rss
    except psutil.NoSuchProcess:
        return Usage()
    return Usage(
        user_seconds=cpu.user + cpu.children_user,
        system_seconds=cpu.system + cpu.children_system,
        resident_bytes=resident,
        processes=int(not zombie),
    )


class CpuLedger:
    """CPU time per role that never steps back, whatever dies.

    The highest time seen is kept for each root, not for the role as a whole: with one maximum a
    role, a root that replaces a dead one would count nothing until it had used as much.
    """

    def __init__(self) -> None:
        self._highest: dict[str, dict[Root, tuple[float, float]]] = defaultdict(dict)

    def update(self, reading: Reading) -> dict[str, tuple[float, float]]:
        """Take in a reading; return (user, system) seconds for every role ever seen."""
        for role, roots in reading.items():
            highest = self._highest[role]
            for root, now in roots.items():
                user, system = highest.get(root, (0.0, 0.0))
                highest[root] = max(user, now.user_seconds), max(system, now.system_seconds)
        return {
            role: (
                sum(user for user, _ in kept.values()),
                sum(system for _, system in kept.values()),
            )
            for role, kept in self._highest.items()
        }


class ProcessSource:
    """The trees of the roles in a file, which is read again at every scrape."""

    name = "processes"

    def __init__(
        self,
        roles_file: Path,
        process_iter: Callable[[list[str]], Iterable[Any]] = psutil.process_iter,
        own_pid: int | None = None,
    ) -> None:
        self._roles_file = roles_file
        self._process_iter = process_iter
        self._own_pid = os.getpid() if own_pid is None else own_pid
        self._ledger = CpuLedger()

    def collect(self) -> list[Metric]:
        """Read now. Raises OSError or RolesError for the file, psutil.Error for the processes."""
        roles = parse_roles(self._roles_file.read_text(encoding="utf-8"))
        reading = read(with_monitor(roles, self._own_pid), self._process_iter(["ppid"]))
        return emit(self._ledger.update(reading), reading)


def emit(cpu_seconds: Mapping[str, tuple[float, float]], reading: Reading) -> list[Metric]:
    """Name the metrics. A role without live processes uses no memory but keeps its CPU time."""
    cpu = CounterMetricFamily(
        "taskqueue_process_cpu_seconds",
        "CPU time of the role's process trees, processes that have ended included.",
        labels=["role", "mode"],
    )
    resident = GaugeMetricFamily(
        "taskqueue_process_resident_memory_bytes",
        "Sum of the resident sets of the role's live processes; shared pages count in each.",
        labels=["role"],
    )
    processes = GaugeMetricFamily(
        "taskqueue_processes", "Live processes of the role.", labels=["role"]
    )
    for role, (user, system) in cpu_seconds.items():
        now = sum(reading.get(role, {}).values(), Usage())
        cpu.add_metric([role, "user"], user)
        cpu.add_metric([role, "system"], system)
        resident.add_metric([role], now.resident_bytes)
        processes.add_metric([role], now.processes)
    return [cpu, resident, processes]
