"""What this machine is and does right now, gathered once; judging it is the doctor's part."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import psutil

from taskscope.quota import available_memory, read_line, usable_cores
from taskscope.scenario import FRAMEWORKS

_CLOCK = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_CPU = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Facts about a machine. None: absent, or not readable there.

    `redis_server` and `prometheus` are what their --version prints; `cores` and
    `memory_available_bytes` respect a container's limits; `open_files` is the soft limit;
    `busy` names the queue workers and brokers that run already.
    """

    python: tuple[int, int, int]
    redis_server: str | None
    prometheus: str | None
    cores: float
    memory_available_bytes: int
    load_1m: float
    clock_source: str | None
    swap_used_bytes: int
    open_files: int
    runs: str
    disk_free_bytes: int
    governors: tuple[str, ...]
    busy: tuple[str, ...]


def read_machine(runs: Path = Path("runs")) -> Machine:
    """Gather the facts about this machine; `runs` is where run directories go."""
    return Machine(
        python=sys.version_info[:3],
        redis_server=version_output("redis-server"),
        prometheus=version_output("prometheus"),
        cores=usable_cores(),
        memory_available_bytes=available_memory(),
        load_1m=os.getloadavg()[0],
        clock_source=read_line(_CLOCK),
        swap_used_bytes=psutil.swap_memory().used,
        open_files=_open_files(),
        runs=str(runs),
        disk_free_bytes=shutil.disk_usage(_existing(runs)).free,
        governors=_governors(),
        busy=found_busy(foreign_processes()),
    )


def version_output(program: str) -> str | None:
    """Return what `program --version` prints, '' where it does not run, None where it is absent."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout + done.stderr


def load_maker(command: Sequence[str]) -> str | None:
    """Name the broker or queue worker that a command line belongs to, or None for all others.

    A worker may have rewritten its title into one word: `[celeryd: ... (worker ...)]`.
    """
    words = [word for part in command for word in part.split()]
    if not words:
        return None
    program = _program(words)
    if program == "redis-server":
        return program
    for framework in FRAMEWORKS:
        if program.startswith(framework) and any("worker" in word for word in words):
            return f"{framework} worker"
    return None


def _program(words: Sequence[str]) -> str:
    """Name the program of a command line, past an interpreter and its options."""
    first, *rest = (PurePath(word.lstrip("[")).name for word in words)
    if not first.startswith("python"):
        return first
    return next((word for word in rest if not word.startswith("-")), first)


def found_busy(processes: Iterable[tuple[int, Sequence[str]]]) -> tuple[str, ...]:
    """Return one line for each kind of broker and worker among pids and command lines."""
    pids: dict[str, list[int]] = {}
    for pid, command in processes:
        if name := load_maker(command):
            pids.setdefault(name, []).append(pid)
    return tuple(
        f"{name} (pid {first}{f' and {len(more)} more' if more else ''})"
        for name, (first, *more) in pids.items()
    )


def foreign_processes() -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the pid and command line of every process that this one did not start."""
    own = {child.pid for child in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter(["cmdline"]):
        if process.pid not in own:
            yield process.pid, process.info["cmdline"] or ()


def _open_files() -> int:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _governors() -> tuple[str, ...]:
    lines = (read_line(path) for path in _CPU.glob("cpu[0-9]*/cpufreq/scaling_governor"))
    return tuple(sorted({line for line in lines if line}))


def _existing(path: Path) -> Path:
    """Return the nearest folder above `path` (or `path`) that is already there."""
    absolute = path.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.exists())
