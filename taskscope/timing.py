"""One timing of the ledger, from purged queues to a stopped worker."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from compose import broker, cell, modes, services
from compose.command import Command, WorkerSettings
from compose.errors import ServiceError
from compose.frameworks import framework, in_flight
from compose.native import NativeStack
from compose.ports import free_port
from compose.process import Process
from compose.telemetry import telemetry_environment
from extract.manifest import Problem
from extract.otlp import CONSUMER, read_spans
from extract.overhead import Timing
from taskscope import interruption
from taskscope.drain import Queue, drain, wait
from taskscope.observer import Observer
from taskscope.phases import phase as phase_of
from taskscope.scenario import Scenario, Variant

#: From the end of the warm-up until the tasks are released: the worker's start is over.
CALM_SECONDS: Final = 2.0

type Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PlannedTiming:
    """One mode of one variant in one block, with so many tasks."""

    scenario: Scenario
    variant: Variant
    mode: str
    repetition: int
    tasks: int

    @property
    def warmup(self) -> int:
        """How many tasks the worker does before, on top of `tasks`."""
        return self.scenario.run.warmup

    def record(self) -> Timing:
        """Return the timing as the manifest knows it before it is taken."""
        variant = self.variant
        return Timing(variant.framework, variant.name, self.mode, self.repetition, self.tasks)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one timing happens, and under which labels."""

    stack: NativeStack
    planned: PlannedTiming
    labels: Mapping[str, str]
    settings: WorkerSettings
    traces: Path

    @property
    def framework(self) -> str:
        return self.planned.variant.framework

    @property
    def name(self) -> str:
        """What its processes' logs begin with."""
        return self.planned.record().name.replace("/", "-")


def take(stack: NativeStack, planned: PlannedTiming, session: str, report: Report) -> Timing:
    """Take one timing; what goes wrong with its own processes is among its problems.

    Trouble with Redis or Prometheus raises ServiceError, as no other timing could be taken.
    """
    place = _place(stack, planned, session)
    timing = planned.record()
    try:
        return _take(place, timing, report)
    except ServiceError as error:
        stack.check_broker()
        problem = Problem("timed to its end", error.cause, error.remedy)
        return msgspec.structs.replace(timing, problems=(problem,))
    finally:
        shutil.rmtree(place.traces, ignore_errors=True)


def _place(stack: NativeStack, planned: PlannedTiming, session: str) -> _Place:
    run = planned.scenario.run
    labels = {
        "session": session,
        "scenario": planned.scenario.name,
        "framework": planned.variant.framework,
        "variant": planned.variant.name,
        "repetition": str(planned.repetition),
        "mode": planned.mode,
    }
    concurrency = planned.scenario.concurrency_of(planned.variant)
    settings = WorkerSettings(planned.variant.settings, concurrency, run.queue, stack.redis_url)
    return _Place(stack, planned, labels, settings, stack.traces / "now")


def _take(place: _Place, timing: Timing, report: Report) -> Timing:
    module = framework(place.framework)
    place.traces.mkdir()
    with ExitStack() as held:
        report("filling the queue")
        broker.purge(place.stack.redis_url, module, place.settings.queue)
        queue = Queue(place.framework, place.settings.queue, place.stack.redis_url)
        held.callback(queue.close)
        _fill(place, queue)
        report("warming up")
        sink = held.enter_context(_sink(place))
        published = queue.messages()
        worker = held.enter_context(_worker(place, sink))

        def check() -> None:
            _check(place.stack, worker)

        queue.wait_empty(check)
        observer = Observer(place.stack.prometheus_url, place.labels, check)
        if modes.ours(timing.mode):
            observer.wait_up(1)
        wait(time.monotonic() + CALM_SECONDS, check)
        report("timing")
        marks = drain(queue, worker.pid, timing.tasks, check)
        told = _told(place, observer, sink, queue.messages() - published)
        timing = msgspec.structs.replace(timing, marks=marks, told=told)
        report("stopping")
    return msgspec.structs.replace(timing, problems=tuple(_doubts(place.planned, told)))


def _check(stack: NativeStack, process: Process) -> None:
    interruption.check()
    stack.check()
    if process.exit_code() is not None:
        raise process.died()


def _fill(place: _Place, queue: Queue) -> None:
    """Park the tasks to be timed, then put the warm-up before the worker that comes."""
    planned = place.planned
    module = framework(place.framework)
    plan: dict[str, object] = {
        "framework": place.framework,
        "tasks": [f"{module.TASKS}:{part.task}" for part in planned.scenario.workload.parts],
        "queue": place.settings.queue,
        "in_flight": in_flight(place.framework, planned.scenario.load.in_flight),
        "instrumented": modes.ours(planned.mode),
    }
    command = services.generator(plan, module.client_environment(place.settings))
    # The sender decides which tasks get a live span; its own telemetry goes nowhere.
    environ = {"OTEL_TRACES_SAMPLER_ARG": str(modes.live_share(planned.mode))}
    with _running(place, "sender", command, environ, piped=True) as sender:
        _send(place, sender, planned.tasks)
        if (parked := queue.park()) != planned.tasks:
            raise ServiceError(f"{planned.tasks} tasks were sent, and {parked} are in the queue.",
                               f"See {sender.log}.")  # fmt: skip
        if planned.warmup:
            _send(place, sender, planned.warmup)


def _send(place: _Place, sender: Process, count: int) -> None:
    phase = phase_of(place.planned.scenario, place.planned.variant, count, seed=0)
    answer = cell.send(sender, phase)
    while answer.poll() is None:
        interruption.check()
        time.sleep(0.02)


@contextmanager
def _worker(place: _Place, sink: "_Sink | None") -> Iterator[Process]:
    share = modes.live_share(place.planned.mode)
    telemetry = telemetry_environment(
        "worker", place.labels, share, place.traces, place.stack.targets
    )
    command = modes.worker(
        place.framework, place.planned.mode, place.settings, telemetry, sink.url if sink else ""
    )
    with _running(place, "worker", command, {}) as worker:
        try:
            yield worker
        finally:
            worker.stop(15.0)
            for file in place.stack.targets.glob(f"*-{worker.pid}.json"):
                file.unlink(missing_ok=True)  # of one that could not do so itself


@contextmanager
def _running(
    place: _Place, role: str, command: Command, environ: Mapping[str, str], *, piped: bool = False
) -> Iterator[Process]:
    """Run a process that no variable of the user's around it can change."""
    without = (framework(place.framework).VARIABLES, "OTEL_")
    with place.stack.running(
        f"{place.name}-{role}", command, environ, without=without, piped=piped
    ) as process:
        yield process


@dataclass(frozen=True, slots=True)
class _Sink:
    """Where the spans of others go."""

    url: str
    process: Process

    def spans(self) -> int:
        """Count what came so far."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def _sink(place: _Place) -> Iterator[_Sink | None]:
    other = framework(place.framework).OTHERS.get(place.planned.mode)
    if other is None or other.tells != "spans":
        yield None
        return
    port = free_port()
    with _running(place, "sink", services.otlp_sink(port), {}, piped=True) as process:
        if not process.stdout.readline():
            raise process.died()
        yield _Sink(f"http://127.0.0.1:{port}", process)


def _told(place: _Place, observer: Observer, sink: _Sink | None, published: int) -> int | None:
    """Count what the mode's own telemetry had to tell: that it did what it is charged for."""
    mode = place.planned.mode
    if mode == modes.METRICS:
        return int(observer.ask("sum(taskqueue_execution_seconds_count{$cell})") or 0)
    if mode in {modes.DEFAULT, modes.LIVE}:
        return _spans(place.traces, live=mode == modes.LIVE)
    if sink:
        return sink.spans()
    return None if mode == modes.BARE else published


def _spans(traces: Path, *, live: bool) -> int:
    """Count the tasks that have their span, and their live one where all should have it."""
    spans = [span for file in traces.glob("*.jsonl") for span in read_spans(file)]
    attempts = sum(span.kind == CONSUMER for span in spans)
    return min(attempts, sum(span.name.startswith("run ") for span in spans)) if live else attempts


def _doubts(planned: PlannedTiming, told: int | None) -> Iterator[Problem]:
    other = framework(planned.variant.framework).OTHERS.get(planned.mode)
    expected = planned.tasks + planned.warmup
    if other and other.tells == "messages":
        if not told:
            yield Problem("the mode was on", "not one message was published", "See its log.")
    elif told is not None and told != expected:
        yield Problem(
            "the mode was on, and done",
            f"its telemetry told of {told} tasks out of {expected} when it should have settled",
            "See the worker's log. A machine that is too busy settles late.",
        )
