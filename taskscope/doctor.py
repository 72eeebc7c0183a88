"""Can this machine run a comparison that is worth trusting? One small judgement for each fact."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Final, Literal

from rich.table import Table
from rich.text import Text

from taskscope.machine import Machine, read_machine

__all__ = ["Check", "Machine", "as_json", "diagnose", "exit_status", "read_machine", "render"]

type Status = Literal["ok", "doubt", "fail"]

_GIB: Final = 2**30
_COLOURS: Final = {"ok": "green", "doubt": "yellow", "fail": "red"}
_FAST_CLOCKS: Final = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page")
_LEAST_CORES: Final = 2
_CORES_FOR_ALL: Final = 4
_LEAST_BYTES: Final = 2 * _GIB  # of memory, and of disk
_LEAST_OPEN_FILES: Final = 4096
_QUIET_LOAD: Final = 0.25  # of each core


@dataclass(frozen=True, slots=True)
class Check:
    """One judgement: what was found, and unless that is ok, what to do about it."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def diagnose(machine: Machine) -> list[Check]:
    """Judge all facts, always in the same order."""
    return [judge(machine) for judge in _JUDGES]


def verdict(checks: Sequence[Check]) -> Status:
    """Return the worst status of all."""
    found = {check.status for check in checks}
    return "fail" if "fail" in found else "doubt" if "doubt" in found else "ok"


def exit_status(checks: Sequence[Check]) -> int:
    """Return 1 where a check fails, else 0: a doubt stops nobody."""
    return 1 if verdict(checks) == "fail" else 0


def as_json(checks: Sequence[Check]) -> dict[str, object]:
    """Return the overall verdict and every check, as JSON can hold them."""
    return {"verdict": verdict(checks), "checks": [asdict(check) for check in checks]}


def render(checks: Sequence[Check]) -> Table:
    """Return a table for people. Texts are shown as they are, never read as markup."""
    table = Table("check", "", "found", "what to do", title=f"this machine: {verdict(checks)}")
    for check in checks:
        status = Text(check.status, style=_COLOURS[check.status])
        table.add_row(Text(check.name), status, Text(check.found), Text(check.remedy))
    return table


def _python(machine: Machine) -> Check:
    found = ".".join(map(str, machine.python))
    if machine.python >= (3, 12):
        return Check("python", "ok", found)
    return Check("python", "fail", found, "Run with Python 3.12 or newer; `make setup` finds one.")


def _redis_server(machine: Machine) -> Check:
    # 6.2 brought LMOVE, with which tasks are taken from a queue.
    return _service(
        "redis-server", machine.redis_server, r"v=((\d+)\.(\d+)[.\d]*)", (6, 2), "redis"
    )


def _prometheus(machine: Machine) -> Check:
    # 2.33 made the @ modifier stable, with which results are read at the marks.
    pattern = r"version ((\d+)\.(\d+)[.\d]*)"
    return _service("prometheus", machine.prometheus, pattern, (2, 33), "prometheus")


def _service(
    name: str, output: str | None, pattern: str, least: tuple[int, int], option: str
) -> Check:
    wanted = ".".join(map(str, least))
    remedy = (
        f"Install {name} {wanted} or newer (`make setup`), "
        f"or name one that runs elsewhere with --{option}-url."
    )
    if output is None:
        return Check(name, "fail", "not on the PATH", remedy)
    version = re.search(pattern, output)
    if version is None:
        return Check(name, "fail", "on the PATH, but tells no version", remedy)
    if (int(version[2]), int(version[3])) < least:
        return Check(name, "fail", version[1], remedy)
    return Check(name, "ok", version[1])


def _cores(machine: Machine) -> Check:
    found = f"{machine.cores:g} usable"
    if machine.cores >= _CORES_FOR_ALL:
        return Check("cores", "ok", found)
    if machine.cores >= _LEAST_CORES:
        shared = "Load generator, broker and workers share them: compare variants with each other, "
        return Check("cores", "doubt", found, shared + "and take absolute numbers from 4 or more.")
    return Check("cores", "fail", found, "Use at least 2 cores, better 4.")


def _memory(machine: Machine) -> Check:
    found = f"{machine.memory_available_bytes / _GIB:.1f} GiB available"
    if machine.memory_available_bytes >= _LEAST_BYTES:
        return Check("memory", "ok", found)
    return Check("memory", "fail", found, "Free memory until 2 GiB are available, or add some.")


def _load(machine: Machine) -> Check:
    found = f"{machine.load_1m:.2f} over one minute, on {machine.cores:g} cores"
    if machine.load_1m <= _QUIET_LOAD * machine.cores:
        return Check("load", "ok", found)
    quiet = _QUIET_LOAD * machine.cores
    return Check(
        "load", "doubt", found, f"Stop what is busy, and wait until it is below {quiet:g}."
    )


def _clock(machine: Machine) -> Check:
    found = machine.clock_source or "not readable"
    if machine.clock_source in _FAST_CLOCKS:
        return Check("clock source", "ok", found)
    remedy = f"Reading this clock may be slow: choose one of {', '.join(_FAST_CLOCKS)} if there is."
    return Check("clock source", "doubt", found, remedy)


def _swap(machine: Machine) -> Check:
    found = f"{ceil(machine.swap_used_bytes / 2**20)} MiB in use"
    if machine.swap_used_bytes == 0:
        return Check("swap", "ok", found)
    remedy = "Free memory, then empty the swap: `sudo swapoff -a && sudo swapon -a`."
    return Check("swap", "doubt", found, remedy)


def _open_files(machine: Machine) -> Check:
    found = f"at most {machine.open_files}"
    if machine.open_files >= _LEAST_OPEN_FILES:
        return Check("open files", "ok", found)
    return Check("open files", "doubt", found, "Raise the limit in this shell: `ulimit -n 4096`.")


def _disk(machine: Machine) -> Check:
    found = f"{machine.disk_free_bytes / _GIB:.1f} GiB free at {machine.runs}"
    if machine.disk_free_bytes >= _LEAST_BYTES:
        return Check("disk", "ok", found)
    return Check("disk", "doubt", found, "Free space there until it is 2 GiB, or delete old runs.")


def _governor(machine: Machine) -> Check:
    found = ", ".join(machine.governors) or "not readable, as in most virtual machines"
    if "powersave" not in machine.governors:
        return Check("CPU governor", "ok", found)
    remedy = "Set it to performance: `sudo cpupower frequency-set -g performance`."
    return Check("CPU governor", "doubt", found, remedy)


def _other_work(machine: Machine) -> Check:
    if not machine.busy:
        return Check("other workers", "ok", "none running")
    remedy = "Stop them if they are yours: what they do is charged to the comparison."
    return Check("other workers", "doubt", ", ".join(machine.busy), remedy)


_JUDGES: Final[tuple[Callable[[Machine], Check], ...]] = (
    _python,
    _redis_server,
    _prometheus,
    _cores,
    _memory,
    _load,
    _clock,
    _swap,
    _open_files,
    _disk,
    _governor,
    _other_work,
)
