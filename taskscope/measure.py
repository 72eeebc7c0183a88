"""Measure one cell, or two that go together: from purged queues to the end mark."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from compose import broker
from compose.cell import Answer, Cell, CellSpec
from compose.command import WorkerSettings
from compose.errors import ServiceError
from compose.frameworks import framework, in_flight
from compose.native import NativeStack
from extract.manifest import CellRecord, Problem
from taskscope import interruption, prometheus_api, together
from taskscope.observer import Observer
from taskscope.plan import PlannedCell

_COMPONENTS = 3  # worker, generator, exporters

type Report = Callable[[str], None]


def measure(
    stack: NativeStack,
    step: Sequence[PlannedCell],
    session: str,
    trace_ratio: float,
    report: Report,
) -> list[CellRecord]:
    """Run one cell, or those that go together, and return them with their marks and problems.

    `report` hears the name of each phase. A worker or generator that fails makes this step invalid
    and no other; trouble with Redis or Prometheus raises ServiceError, as no cell could go on.
    """
    specs = _specs(stack, step, session, trace_ratio)
    marks = _Marks()
    problems = [together.PROBLEM] if len(step) > 1 else []
    try:
        report("starting")
        for spec in specs:
            broker.purge(stack.redis_url, framework(spec.framework), spec.worker.queue)
        _run(stack, specs, step, marks, report)
    except ServiceError as error:
        stack.check_broker()
        prometheus_api.check(stack.prometheus_url)
        problems.append(Problem("cell ran to its end", error.cause, error.remedy))
    report("stopping")
    if killed := stack.stop_cells():
        message = f"{', '.join(killed)} did not stop when asked and had to be killed"
        remedy = "See the logs: its last records may be missing."
        problems.append(Problem("clean stop", message, remedy))
    return [
        msgspec.structs.replace(
            planned.record(), start=marks.start, end=marks.end, problems=tuple(problems)
        )
        for planned in step
    ]


@dataclass
class _Marks:
    """The instants, in Unix seconds, that a step reached."""

    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class _Side:
    """A cell that runs, and who watches it."""

    planned: PlannedCell
    cell: Cell
    observer: Observer

    def send(self, count: int, *, warm: bool) -> Answer:
        return self.cell.send(_phase(self.planned, count, warm=warm))


def _specs(
    stack: NativeStack, step: Sequence[PlannedCell], session: str, trace_ratio: float
) -> list[CellSpec]:
    alone = [_spec(stack, planned, session, trace_ratio) for planned in step]
    if len(alone) == 1:
        return alone
    return [
        replace(spec, together=True, cores=share.cores)
        for spec, share in zip(alone, together.shares(step), strict=True)
    ]


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
    )


def _run(
    stack: NativeStack,
    specs: Sequence[CellSpec],
    step: Sequence[PlannedCell],
    marks: _Marks,
    report: Report,
) -> None:
    cells = [stack.start_cell(spec) for spec in specs]

    def check() -> None:
        interruption.check()
        stack.check()
        for cell in cells:
            if dead := cell.dead():
                raise dead.died()

    sides = [
        _Side(planned, cell, Observer(stack.prometheus_url, spec.labels, check))
        for planned, cell, spec in zip(step, cells, specs, strict=True)
    ]
    scenario = step[0].scenario  # cells that go together are of one scenario
    warmup, count = scenario.run.warmup, scenario.workload.count
    for side in sides:
        side.observer.wait_up(_COMPONENTS)
    if warmup:
        report("warming up")
        _mark(sides, "warm-up")
        _send_all(sides, warmup, warm=True)
        _drain(sides, warmup)
    _settle(sides)
    marks.start = time.time()
    report("measuring")
    _mark(sides, "start", at=marks.start)
    _send_all(sides, count, warm=False)
    _drain(sides, warmup + count)
    report("settling")
    _mark(sides, "drained")
    _settle(sides)
    marks.end = time.time()


def _mark(sides: Iterable[_Side], name: str, at: float | None = None) -> None:
    for side in sides:
        side.cell.mark(name, at=at)


def _send_all(sides: Sequence[_Side], count: int, *, warm: bool) -> None:
    answers = [side.send(count, warm=warm) for side in sides]
    for side, answer in zip(sides, answers, strict=True):
        side.observer.wait_sent(lambda answer=answer: answer.poll() is not None)  # type: ignore[misc]


def _drain(sides: Iterable[_Side], tasks: int) -> None:
    for side in sides:
        side.observer.wait_drained(tasks)


def _settle(sides: Iterable[_Side]) -> None:
    for side in sides:
        side.observer.settle()


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
