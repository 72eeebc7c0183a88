"""Profiles of each side's worker, in repetitions of their own that enter no figure.

Their series and spans bear the repetition "profile-cpu" or "profile-memory", which no query of a
result asks for; the spans are not kept.
"""

import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal

import msgspec

from compose import broker, profilers
from compose.cell import CellSpec
from compose.errors import ServiceError, tail
from compose.frameworks import framework
from compose.native import NativeStack
from extract import flames
from extract.manifest import Problem, ProfileRecord
from taskscope import allocations, prometheus_api
from taskscope.cputime import tree_cpu_seconds
from taskscope.measure import Side, cell_spec, drain, send, warm
from taskscope.plan import PlannedCell

type Kind = Literal["cpu", "memory"]
KINDS: Final[tuple[Kind, ...]] = ("cpu", "memory")
FOLDER: Final = "profiles"
_TRACES: Final = f"{FOLDER}/traces"
#: So much CPU time of the worker, or so long, is enough to see where it goes.
_CPU_SECONDS, _MOST_SECONDS = 3.0, 20.0
_MOST_TIMES: Final = 16
_ATTACH_SECONDS, _WRITE_SECONDS, _DRAW_SECONDS = 20.0, 60.0, 120.0


@dataclass(frozen=True)
class Profiling:
    """Profiles workers of one run."""

    stack: NativeStack
    directory: Path
    session: str
    trace_ratio: float

    def profile(self, planned: PlannedCell, kind: Kind) -> ProfileRecord:
        """Profile a variant's worker, and return where the profile lies.

        What went wrong is among its problems. ServiceError where Redis or Prometheus fails.
        """
        cell = planned.record()
        record = ProfileRecord(cell.scenario, cell.framework, cell.variant, kind)
        if kind == "memory" and not profilers.remembers():
            return _without(record, "memray is not installed", profilers.INSTALL)
        try:
            return self._profiled(planned, record)
        except ServiceError as error:
            self.stack.check_broker()
            prometheus_api.check(self.stack.prometheus_url)
            return _without(record, error.cause, error.remedy)
        finally:
            self.stack.stop_cells()
            shutil.rmtree(self.directory / _TRACES, ignore_errors=True)

    def _profiled(self, planned: PlannedCell, record: ProfileRecord) -> ProfileRecord:
        (self.directory / _TRACES).mkdir(parents=True, exist_ok=True)
        spec = cell_spec(self.stack, planned, self.session, self.trace_ratio)
        labels = {**spec.labels, "repetition": f"profile-{record.kind}"}
        spec = replace(spec, labels=labels, traces=_TRACES)
        broker.purge(self.stack.redis_url, framework(spec.framework), spec.worker.queue)
        stem = self.directory / FOLDER / f"{record.scenario}-{record.variant}-{record.kind}"
        taken = (self._cpu if record.kind == "cpu" else self._memory)(planned, spec, stem)
        folded = Path(f"{stem}.folded")
        flames.write(folded, taken.stacks)
        return msgspec.structs.replace(
            record,
            tasks=taken.tasks,
            cpu_seconds=taken.cpu_seconds,
            stacks=str(folded.relative_to(self.directory)),
            page=str(taken.page.relative_to(self.directory)),
        )

    def _cpu(self, planned: PlannedCell, spec: CellSpec, stem: Path) -> "_Taken":
        """Let py-spy watch a warm worker under its load."""
        svg = Path(f"{stem}.svg")
        (side,) = warm(self.stack, (planned,), [spec], _silent)
        command = profilers.py_spy(profilers.find(), side.cell.workers[0].pid, svg)
        with self.stack.running(f"{stem.name}-py-spy", command, {}) as spy:
            spy.wait_ready(lambda: profilers.READY in spy.log.read_bytes(), _ATTACH_SECONDS)
            tasks, used = _load(side)
            ended = spy.interrupt(_WRITE_SECONDS)
        if not ended or not svg.is_file():
            raise ServiceError(f"py-spy wrote no flame graph:\n{tail(spy.log)}", f"See {spy.log}.")
        try:
            return _Taken(tasks, flames.read_svg(svg.read_text(encoding="utf-8")), svg, used)
        except ValueError as error:
            raise ServiceError(f"{svg} cannot be read: {error}", f"See {spy.log}.") from None

    def _memory(self, planned: PlannedCell, spec: CellSpec, stem: Path) -> "_Taken":
        """Start a worker under memray, and read its record once it has ended."""
        record, html = Path(f"{stem}.bin"), Path(f"{stem}.html")
        wrapped = replace(spec, wrapped=partial(profilers.memray, output=record))
        try:
            (side,) = warm(self.stack, (planned,), [wrapped], _silent)
            tasks = planned.scenario.workload.count
            send([side], tasks)
            drain([side], planned.scenario.run.warmup + tasks)
            if side.cell.workers[0].name in self.stack.stop_cells():
                raise ServiceError(
                    "the worker under memray had to be killed: its record is cut short",
                    "Ask for fewer tasks, or see the worker's log.",
                )
            stacks = allocations.read(record)
            _draw(record, html)
        finally:
            for file in record.parent.glob(f"{record.name}*"):
                file.unlink()
        return _Taken(tasks, stacks, html)


@dataclass(frozen=True, slots=True)
class _Taken:
    tasks: int
    stacks: flames.Stacks
    page: Path
    cpu_seconds: float | None = None


def _without(record: ProfileRecord, cause: str, remedy: str) -> ProfileRecord:
    problem = Problem(f"{record.kind} profile", cause, remedy)
    return msgspec.structs.replace(record, problems=(problem,))


def _silent(_phase: str) -> None:
    """Say nothing of the phases of a profile."""


def _load(side: Side) -> tuple[int, float]:
    """Send the scenario's load until the worker has used enough CPU time.

    Returns how many tasks that took, and how much CPU time. Where they are sent as fast as can be,
    batches grow: the pauses between them, in which Prometheus is asked, are then few.
    """
    scenario, worker = side.planned.scenario, side.cell.workers[0].pid
    asap = scenario.load.arrivals.kind == "asap"
    sent, count = 0, scenario.workload.count
    began, before = time.monotonic(), tree_cpu_seconds(worker)
    while True:
        send([side], count)
        sent += count
        drain([side], scenario.run.warmup + sent)
        used = tree_cpu_seconds(worker) - before
        if used >= _CPU_SECONDS or time.monotonic() - began >= _MOST_SECONDS:
            return sent, used
        if asap:
            missing = (_CPU_SECONDS - used) / max(used / sent, 1e-6)
            count = max(count, min(round(missing), _MOST_TIMES * count))


def _draw(record: Path, html: Path) -> None:
    """Let memray draw its own flame graph of the worker process."""
    argv = profilers.memray_page(record, html).argv
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_DRAW_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        cause = f"memray did not draw its flame graph within {_DRAW_SECONDS:g} s"
        raise ServiceError(cause, "Ask for fewer tasks.") from None
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        raise ServiceError(f"memray drew no flame graph: {words[:300]}", "Try another version.")
