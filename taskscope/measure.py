"""Measure one step: a cell, or two that go together, from purged queues to the end mark."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from compose import broker
from compose.cell import Answer, Cell, CellSpec
from compose.command import WorkerSettings
from compose.errors import ServiceError
from compose.frameworks import framework, in_flight
from compose.native import NativeStack
from extract.manifest import CellRecord, ClockReading, Problem
from taskscope import clocks, interruption, prometheus_api, together
from taskscope.observer import Observer
from taskscope.phases import phase
from taskscope.plan import PlannedCell, Step

type Report = Callable[[str], None]


def measure(
    stack: NativeStack, step: Step, session: str, trace_ratio: float, report: Report
) -> list[CellRecord]:
    """Run the cells of a step and return them with their marks; what went wrong is among them.

    `report` hears the name of each phase. A worker or generator that fails makes this step invalid
    and no other; trouble with Redis or Prometheus raises ServiceError, as no cell could go on.
    """
    specs = _specs(stack, step, session, trace_ratio)
    marks = _Marks()
    problems = [together.PROBLEM] if len(step) > 1 else []
    try:
        report("starting")
        for spec in specs:
            empty = broker.check_empty if spec.elsewhere else broker.purge
            empty(stack.redis_url, framework(spec.framework), spec.worker.queue)
        _run(stack, step, specs, marks, report)
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
            planned.record(), start=marks.start, end=marks.end, problems=tuple(problems),
            clocks=tuple(marks.clocks.get(planned.place, ())),
        )
        for planned in step
    ]  # fmt: skip


@dataclass
class _Marks:
    """The instants, in Unix seconds, that a step reached."""

    start: float | None = None
    end: float | None = None
    #: By the place of a cell.
    clocks: dict[str, list[ClockReading]] = field(default_factory=dict)

    def read_clocks(self, step: Step, specs: Sequence[CellSpec]) -> None:
        """Ask the clocks of the hosts whose workers ran already; of one's own there is no doubt."""
        for planned, spec in zip(step, specs, strict=True):
            found = [clocks.read(address) for address in spec.elsewhere]
            hosts = {reading.host: reading for reading in found if reading}
            self.clocks.setdefault(planned.place, []).extend(hosts.values())


def _specs(stack: NativeStack, step: Step, session: str, trace_ratio: float) -> list[CellSpec]:
    alone = [cell_spec(stack, planned, session, trace_ratio) for planned in step]
    if len(alone) == 1:
        return alone
    return [
        replace(spec, together=True, cores=share.cores)
        for spec, share in zip(alone, together.shares(step), strict=True)
    ]


def cell_spec(
    stack: NativeStack, planned: PlannedCell, session: str, trace_ratio: float
) -> CellSpec:
    """Return what runs in a cell that has the machine for itself."""
    run = planned.scenario.run
    return CellSpec(
        framework=planned.variant.framework,
        worker=WorkerSettings(
            settings=planned.variant.settings,
            concurrency=planned.scenario.concurrency_of(planned.variant),
            queue=run.queue,
            redis_url=stack.redis_url,
        ),
        tasks=tuple(part.task for part in planned.scenario.workload.parts),
        in_flight=in_flight(planned.variant.framework, planned.scenario.load.in_flight),
        labels=planned.record().labels(session),
        trace_ratio=trace_ratio,
        workers=run.workers,
        elsewhere=stack.workers.get(planned.variant.name, ()),
        requires=planned.scenario.requires,
    )


@dataclass(frozen=True)
class Side:
    """A cell that runs, and who watches it."""

    planned: PlannedCell
    cell: Cell
    observer: Observer

    def tell(self, count: int, *, warm: bool) -> Answer:
        """Have that many tasks sent: as the scenario's load has it, or at once to warm up."""
        scenario = self.planned.scenario
        # Every repetition has its own arrivals, and both sides have the same.
        seed = scenario.run.seed + self.planned.repetition
        return self.cell.send(
            phase(scenario, self.planned.variant, count,
                  seed=seed, scheduled=not warm, urls=self.cell.urls)
        )  # fmt: skip


def _run(
    stack: NativeStack, step: Step, specs: Sequence[CellSpec], marks: _Marks, report: Report
) -> None:
    sides = warm(stack, step, specs, report)
    scenario = step[0].scenario  # cells that go together are of one scenario
    warmup, count = scenario.run.warmup, scenario.workload.count
    _settle(sides)
    marks.read_clocks(step, specs)
    marks.start = time.time()
    report("measuring")
    _mark(sides, "start", at=marks.start)
    send(sides, count)
    drain(sides, warmup + count)
    report("settling")
    _mark(sides, "drained")
    _settle(sides)
    marks.end = time.time()
    if any(
        spec.elsewhere for spec in specs
    ):  # they go on, and write their last spans after a scrape
        _settle(sides)
    marks.read_clocks(step, specs)


def warm(stack: NativeStack, step: Step, specs: Sequence[CellSpec], report: Report) -> list[Side]:
    """Start the cells of a step, wait until they are up, and let them do their warm-up tasks."""
    cells = [stack.start_cell(spec) for spec in specs]

    def check() -> None:
        interruption.check()
        stack.check()
        for cell in cells:
            if dead := cell.dead():
                raise dead.died()

    sides = [
        Side(planned, cell, Observer(stack.prometheus_url, spec.labels, check))
        for planned, cell, spec in zip(step, cells, specs, strict=True)
    ]
    for side, spec in zip(sides, specs, strict=True):
        side.observer.wait_up(spec.components)
    if warmup := step[0].scenario.run.warmup:
        report("warming up")
        _mark(sides, "warm-up")
        send(sides, warmup, warm=True)
        drain(sides, warmup)
    return sides


def send(sides: Sequence[Side], count: int, *, warm: bool = False) -> None:
    """Send that many tasks to each side at the same time; return once all are sent."""
    answers = [side.tell(count, warm=warm) for side in sides]
    for side, answer in zip(sides, answers, strict=True):
        side.observer.wait_sent(lambda answer=answer: answer.poll() is not None)  # type: ignore[misc]


def drain(sides: Iterable[Side], tasks: int) -> None:
    """Wait until each side has ended so many tasks since it started, and its queue is empty."""
    for side in sides:
        side.observer.wait_drained(tasks)


def _settle(sides: Iterable[Side]) -> None:
    for side in sides:
        side.observer.settle()


def _mark(sides: Iterable[Side], name: str, at: float | None = None) -> None:
    for side in sides:
        side.cell.mark(name, at=at)
