"""Measure one cell: from purged queues to the end mark."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from compose import broker
from compose.cell import Cell, CellSpec
from compose.command import WorkerSettings
from compose.errors import ServiceError
from compose.frameworks import framework, in_flight
from compose.native import NativeStack
from extract.manifest import CellRecord, Problem
from taskscope import interruption, prometheus_api
from taskscope.observer import Observer
from taskscope.phases import phase
from taskscope.plan import PlannedCell

type Report = Callable[[str], None]


def measure(
    stack: NativeStack, planned: PlannedCell, session: str, trace_ratio: float, report: Report
) -> CellRecord:
    """Run one cell and return it with its marks; what went wrong is among its problems.

    `report` hears the name of each phase. A worker or generator that fails makes this cell invalid
    and no other; trouble with Redis or Prometheus raises ServiceError, as no cell could go on.
    """
    spec = cell_spec(stack, planned, session, trace_ratio)
    marks = _Marks()
    problems = []
    try:
        report("starting")
        broker.purge(stack.redis_url, framework(planned.variant.framework), spec.worker.queue)
        _run(stack, spec, planned, marks, report)
    except ServiceError as error:
        stack.check_broker()
        prometheus_api.check(stack.prometheus_url)
        problems.append(Problem("cell ran to its end", error.cause, error.remedy))
    report("stopping")
    if killed := stack.stop_cell():
        message = f"{', '.join(killed)} did not stop when asked and had to be killed"
        remedy = "See the logs: its last records may be missing."
        problems.append(Problem("clean stop", message, remedy))
    return msgspec.structs.replace(
        planned.record(), start=marks.start, end=marks.end, problems=tuple(problems)
    )


@dataclass
class _Marks:
    """The instants, in Unix seconds, that a cell reached."""

    start: float | None = None
    end: float | None = None


def cell_spec(
    stack: NativeStack, planned: PlannedCell, session: str, trace_ratio: float
) -> CellSpec:
    """Return what runs in a cell."""
    run = planned.scenario.run
    return CellSpec(
        framework=planned.variant.framework,
        worker=WorkerSettings(
            settings=planned.variant.settings,
            concurrency=run.concurrency,
            queue=run.queue,
            redis_url=stack.redis_url,
        ),
        tasks=tuple(part.task for part in planned.scenario.workload.parts),
        in_flight=in_flight(planned.variant.framework, planned.scenario.load.in_flight),
        labels=planned.record().labels(session),
        trace_ratio=trace_ratio,
        workers=run.workers,
        requires=planned.scenario.requires,
    )


def _run(
    stack: NativeStack, spec: CellSpec, planned: PlannedCell, marks: _Marks, report: Report
) -> None:
    cell, observer = warm(stack, spec, planned, report)
    warmup, count = planned.scenario.run.warmup, planned.scenario.workload.count
    observer.settle()
    marks.start = time.time()
    report("measuring")
    send(cell, planned, count, observer)
    observer.wait_drained(warmup + count)
    report("settling")
    observer.settle()
    marks.end = time.time()


def warm(
    stack: NativeStack, spec: CellSpec, planned: PlannedCell, report: Report
) -> tuple[Cell, Observer]:
    """Start a cell, wait until it is up, and let it do its warm-up tasks."""
    cell = stack.start_cell(spec)

    def check() -> None:
        interruption.check()
        stack.check()
        if dead := cell.dead():
            raise dead.died()

    observer = Observer(stack.prometheus_url, spec.labels, check)
    observer.wait_up(spec.components)
    if warmup := planned.scenario.run.warmup:
        report("warming up")
        _send(cell, _phase(planned, cell, warmup, warm=True), observer)
        observer.wait_drained(warmup)
    return cell, observer


def send(cell: Cell, planned: PlannedCell, count: int, observer: Observer) -> None:
    """Send that many tasks as the scenario's load has it; return once all are sent."""
    _send(cell, _phase(planned, cell, count, warm=False), observer)


def _phase(planned: PlannedCell, cell: Cell, count: int, *, warm: bool) -> dict[str, object]:
    # Every repetition has its own arrivals, and both sides have the same.
    seed = planned.scenario.run.seed + planned.repetition
    return phase(planned.scenario, planned.variant, count,
                 seed=seed, scheduled=not warm, urls=cell.urls)  # fmt: skip


def _send(cell: Cell, told: dict[str, object], observer: Observer) -> None:
    answer = cell.send(told)
    observer.wait_sent(lambda: answer.poll() is not None)
