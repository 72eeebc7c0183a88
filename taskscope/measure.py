"""Measure one cell: from purged queues to the end mark."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from compose import broker
from compose.cell import Cell, CellSpec
from compose.command import WorkerSettings
from compose.errors import ServiceError
from compose.frameworks import framework, in_flight
from compose.native import NativeStack
from extract.manifest import CellRecord, ClockReading, Problem
from taskscope import clocks, interruption, prometheus_api
from taskscope.observer import Observer
from taskscope.plan import PlannedCell

type Report = Callable[[str], None]


def measure(
    stack: NativeStack, planned: PlannedCell, session: str, trace_ratio: float, report: Report
) -> CellRecord:
    """Run one cell and return it with its marks; what went wrong is among its problems.

    `report` hears the name of each phase. A worker or generator that fails makes this cell invalid
    and no other; trouble with Redis or Prometheus raises ServiceError, as no cell could go on.
    """
    spec = _spec(stack, planned, session, trace_ratio)
    marks = _Marks()
    problems = []
    try:
        report("starting")
        empty = broker.check_empty if spec.workers else broker.purge
        empty(stack.redis_url, framework(planned.variant.framework), spec.worker.queue)
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
        planned.record(), start=marks.start, end=marks.end, problems=tuple(problems),
        clocks=tuple(marks.clocks),
    )  # fmt: skip


@dataclass
class _Marks:
    """The instants, in Unix seconds, that a cell reached."""

    start: float | None = None
    end: float | None = None
    clocks: list[ClockReading] = field(default_factory=list)

    def read_clocks(self, spec: CellSpec) -> None:
        """Ask the clocks of the hosts whose workers ran already; of one's own there is no doubt."""
        found = [clocks.read(address) for address in spec.workers]
        self.clocks += {reading.host: reading for reading in found if reading}.values()


def _spec(stack: NativeStack, planned: PlannedCell, session: str, trace_ratio: float) -> CellSpec:
    run = planned.scenario.run
    return CellSpec(
        framework=planned.variant.framework,
        worker=WorkerSettings(
            settings=planned.variant.settings,
            concurrency=run.concurrency,
            queue=run.queue,
            redis_url=stack.redis_url,
        ),
        task=planned.scenario.workload.task,
        in_flight=in_flight(planned.variant.framework, planned.scenario.load.in_flight),
        labels=planned.record().labels(session),
        trace_ratio=trace_ratio,
        workers=stack.workers.get(planned.variant.name, ()),
    )


def _run(
    stack: NativeStack, spec: CellSpec, planned: PlannedCell, marks: _Marks, report: Report
) -> None:
    cell = stack.start_cell(spec)

    def check() -> None:
        interruption.check()
        stack.check()
        if dead := cell.dead():
            raise dead.died()

    observer = Observer(stack.prometheus_url, spec.labels, check)
    observer.wait_up(spec.components)
    warmup, count = planned.scenario.run.warmup, planned.scenario.workload.count
    if warmup:
        report("warming up")
        _send(cell, _phase(planned, warmup, warm=True), observer)
        observer.wait_drained(warmup)
    observer.settle()
    marks.read_clocks(spec)
    marks.start = time.time()
    report("measuring")
    _send(cell, _phase(planned, count, warm=False), observer)
    observer.wait_drained(warmup + count)
    report("settling")
    observer.settle()
    marks.end = time.time()
    if spec.workers:  # they go on, and write their last spans after a scrape
        observer.settle()
    marks.read_clocks(spec)


def _phase(planned: PlannedCell, count: int, *, warm: bool) -> dict[str, object]:
    arrivals = planned.scenario.load.arrivals
    return {
        "count": count,
        "arrivals": "asap" if warm else arrivals.kind,
        "numbers": {} if warm else dict(arrivals.numbers),
        # Every repetition has its own arrivals, and both sides have the same.
        "seed": planned.scenario.run.seed + planned.repetition,
        "arguments": dict(planned.scenario.workload.arguments),
    }


def _send(cell: Cell, phase: dict[str, object], observer: Observer) -> None:
    answer = cell.send(phase)
    observer.wait_sent(lambda: answer.poll() is not None)
