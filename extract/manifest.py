"""`manifest.json`: what was asked for, on which machine, and where each cell's marks lie.

It holds no result: those are derived from `prometheus/` and `traces/`, again and again the same.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec

FILE_NAME = "manifest.json"
FORMAT = 1


class Problem(msgspec.Struct, frozen=True):
    """A doubt about a measurement: the check it concerns, what is wrong, and the remedy."""

    check: str
    message: str
    remedy: str


class ClockReading(msgspec.Struct, frozen=True):
    """Another host's clock, asked `pings` times at the instant `at` (Unix seconds).

    How much later it is than that of `reference` lies between the bounds, in nanoseconds.
    """

    host: str
    reference: str
    at: float
    lower_ns: int
    upper_ns: int
    pings: int


class CellRecord(msgspec.Struct, frozen=True):
    """One repetition of one variant. Marks are Unix seconds, None when they were never reached."""

    scenario: str
    framework: str
    variant: str
    repetition: int
    planned: int
    start: float | None = None
    end: float | None = None
    problems: tuple[Problem, ...] = ()
    clocks: tuple[ClockReading, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether both marks were reached."""
        return self.start is not None and self.end is not None

    def labels(self, session: str) -> dict[str, str]:
        """Return the labels that identify this cell in every series and span."""
        return {
            "session": session,
            "scenario": self.scenario,
            "framework": self.framework,
            "variant": self.variant,
            "repetition": str(self.repetition),
        }


class ProfileRecord(msgspec.Struct, frozen=True):
    """A repetition that was profiled, and is in no figure: where its time or memory went.

    `stacks` and `page` (the profiler's own flame graph) are paths within the run directory, "" if
    there is none; `tasks` is how many were sent meanwhile, and `cpu_seconds` what the worker's
    whole process tree used for them, where that was read.
    """

    scenario: str
    framework: str
    variant: str
    kind: Literal["cpu", "memory"]
    tasks: int = 0
    cpu_seconds: float | None = None
    stacks: str = ""
    page: str = ""
    problems: tuple[Problem, ...] = ()


class Share(msgspec.Struct, frozen=True):
    """What one of two variants that ran at once had; no cores where they were not divided."""

    scenario: str
    variant: str
    concurrency: int
    cores: tuple[int, ...]


class Manifest(msgspec.Struct, frozen=True):
    """A run. `prometheus` is "native" when the TSDB lies in the run directory, else a URL.

    `traces` likewise: where its spans went.
    `together` is () unless the variants ran at once: then the run was for watching only.
    """

    session: str
    created: str
    status: Literal["running", "complete", "interrupted", "failed"]
    command: tuple[str, ...]
    prometheus: str
    redis: str
    machine: dict[str, Any]
    versions: dict[str, str]
    scenarios: tuple[dict[str, Any], ...]
    order: tuple[str, ...]
    cells: tuple[CellRecord, ...] = ()
    profiles: tuple[ProfileRecord, ...] = ()
    together: tuple[Share, ...] = ()
    format: int = FORMAT
    traces: str = "native"

    @property
    def searched(self) -> bool:
        """Whether rates were chosen as it went, in search of capacities."""
        return self.command[:1] == ("capacity",)

    def write(self, directory: Path) -> None:
        """Write it in one step: a crash leaves the previous one."""
        store(self, directory)


def store(manifest: msgspec.Struct, directory: Path) -> None:
    """Write a manifest of any kind in one step: a crash leaves the previous one."""
    path = directory / FILE_NAME
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    temporary.replace(path)


def read(directory: Path) -> Manifest:
    """Read a run's manifest. OSError when there is none, msgspec.DecodeError when it is not one."""
    return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=Manifest)
