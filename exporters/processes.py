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

from exporters import memory
from exporters.roles import Roles, parse_roles, roots_by_pid, with_monitor


class Process(memory.Process, Protocol):
    """The part of psutil.Process that is used."""

    @property
    def pid(self) -> int: ...
    @property
    def info(self) -> Mapping[str, Any]: ...
    def create_time(self) -> float: ...
    def oneshot(self) -> AbstractContextManager[None]: ...
    def cpu_times(self) -> Any: ...
    def status(self) -> str: ...


@dataclass(frozen=True)
class Usage:
    """The CPU time that a process, or several together, have used, and which of them are live."""

    user_seconds: float = 0.0
    system_seconds: float = 0.0
    live: tuple[Process, ...] = ()

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.user_seconds + other.user_seconds,
            self.system_seconds + other.system_seconds,
            self.live + other.live,
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
    except psutil.NoSuchProcess:
        return Usage()
    return Usage(
        user_seconds=cpu.user + cpu.children_user,
        system_seconds=cpu.system + cpu.children_system,
        live=() if zombie else (process,),
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
        self._memory: dict[str, memory.ProportionalMemory] = defaultdict(memory.ProportionalMemory)

    def collect(self) -> list[Metric]:
        """Read now. Raises OSError or RolesError for the file, psutil.Error for the processes."""
        roles = parse_roles(self._roles_file.read_text(encoding="utf-8"))
        reading = read(with_monitor(roles, self._own_pid), self._process_iter(["ppid"]))
        cpu_seconds = self._ledger.update(reading)
        live = {role: sum(trees.values(), Usage()).live for role, trees in reading.items()}
        memory_bytes = {role: self._memory[role].update(live[role]) for role in live}
        return emit(cpu_seconds, memory_bytes, {role: len(live[role]) for role in live})


def emit(
    cpu_seconds: Mapping[str, tuple[float, float]],
    memory_bytes: Mapping[str, int],
    live: Mapping[str, int],
) -> list[Metric]:
    """Name the metrics. A role without live processes uses no memory but keeps its CPU time."""
    cpu = CounterMetricFamily(
        "taskqueue_process_cpu_seconds",
        "CPU time of the role's process trees, processes that have ended included.",
        labels=["role", "mode"],
    )
    proportional = GaugeMetricFamily(
        "taskqueue_process_memory_bytes",
        "Memory of the role's live processes (sum of PSS: a page that they share counts once).",
        labels=["role"],
    )
    processes = GaugeMetricFamily(
        "taskqueue_processes", "Live processes of the role.", labels=["role"]
    )
    for role, (user, system) in cpu_seconds.items():
        cpu.add_metric([role, "user"], user)
        cpu.add_metric([role, "system"], system)
        proportional.add_metric([role], memory_bytes.get(role, 0))
        processes.add_metric([role], live.get(role, 0))
    return [cpu, proportional, processes]
