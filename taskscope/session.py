"""One `taskscope run`: the stack, its cells one after another, the manifest after each."""

import sys
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from compose import broker, profilers
from compose.errors import ServiceError
from compose.frameworks import framework
from compose.native import NativeStack, inherited, require
from extract.manifest import CellRecord, Manifest, ProfileRecord
from taskscope import clocks, interruption, prometheus_api, rundir, spans_endpoint, tempo_api
from taskscope.measure import measure
from taskscope.placement import Placement
from taskscope.plan import PlannedCell, Step, plan
from taskscope.platform_facts import machine_facts, versions
from taskscope.profiling import KINDS, Profiling
from taskscope.scenario import Scenario
from taskscope.together import stated, steps
from taskscope.watch import Watch

if TYPE_CHECKING:  # it brings Grafana's client, which few runs need
    from taskscope.grafana_marks import Marks

type Status = Literal["running", "complete", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where a run goes and which services it uses; None means its own."""

    directory: Path
    redis_url: str | None
    prometheus_url: str | None
    trace_ratio: float
    profile: bool = False
    together: bool = False
    otlp_endpoint: str | None = None
    tempo_url: str | None = None
    placement: Placement = field(default_factory=Placement)

    def variables(self) -> dict[str, str]:
        """Return the variables that every process of the run is given."""
        return {**spans_endpoint.variables(self.otlp_endpoint), **self.placement.variables()}

    def environment(self) -> dict[str, str]:
        """Return the variables that processes of the run inherit, or are given."""
        return {**inherited(), **self.variables()}


type Steps = Generator[Step, list[CellRecord]]
#: Decides from Prometheus (its URL, and the session) which step comes next, after each one.
type Course = Callable[[str, str], Steps]


def as_planned(known: Iterable[Step]) -> Course:
    """Return the course of steps that are known beforehand."""

    def course(_prometheus_url: str, _session: str) -> Steps:
        for step in known:  # noqa: UP028 - records are sent in, which a list cannot take
            yield step

    return course


def run(
    scenarios: list[Scenario],
    options: RunOptions,
    watch: Watch,
    *,
    course: Course | None = None,
    marks: "Marks | None" = None,
) -> Manifest:
    """Measure every cell and return the manifest, which is on disk after each step.

    With a `course`, its cells, of points of the scenarios, are in the manifest as they are chosen.
    `marks` are made in a Grafana, between steps.

    ServiceError when Redis or Prometheus is missing or fails. Whatever ends the run early, the
    cells measured so far stay in the manifest.
    """
    cells = [] if course else plan(scenarios)
    with ExitStack() as held:
        found = _services(scenarios, options, held)
        manifest = _manifest([] if course else scenarios, cells, options, found)
        with rundir.writing(options.directory):
            manifest.write(options.directory)
            chosen = course or as_planned(steps(cells, together=options.together))
            return _measure_all(chosen, manifest, options, watch, marks)


def _measure_all(
    course: Course, manifest: Manifest, options: RunOptions, watch: Watch, marks: "Marks | None"
) -> Manifest:
    status: Status = "failed"
    done: list[PlannedCell] = []
    number = 0
    try:
        with _stack(options, manifest.session) as stack, watch.following(stack.prometheus_url):
            if marks:
                marks.begin(manifest.session, stack.prometheus_url)
            ahead = course(stack.prometheus_url, manifest.session)
            step = next(ahead, None)
            while step is not None:
                interruption.check()
                number += 1
                manifest = _with(manifest, step)
                watch.step(number, step)
                records = measure(stack, step, manifest.session, options.trace_ratio, watch.phase)
                manifest = msgspec.structs.replace(manifest, cells=(*manifest.cells, *records))
                manifest.write(options.directory)
                watch.finished(records)
                if marks:
                    marks.cells(manifest.session, records)
                done += step
                step = _next(ahead, records)
            status = "complete"  # whatever becomes of profiles, which are no measurement
            for profile in _profiles(stack, done, manifest.session, options, watch):
                found = (*manifest.profiles, profile)
                manifest = msgspec.structs.replace(manifest, profiles=found)
                manifest.write(options.directory)
    except KeyboardInterrupt:
        status = "complete" if status == "complete" else "interrupted"
        raise
    finally:
        manifest = msgspec.structs.replace(manifest, status=status)
        manifest.write(options.directory)
        if marks:
            marks.end(manifest)
    return manifest


def _next(ahead: Steps, records: list[CellRecord]) -> Step | None:
    try:
        return ahead.send(records)
    except StopIteration:
        return None


def _with(manifest: Manifest, step: Step) -> Manifest:
    """Return the manifest with these cells in its order, and their scenario, if they are not yet.

    The cells of a step are of one scenario.
    """
    scenario = step[0].scenario
    known = {entry["name"] for entry in manifest.scenarios}
    new = () if scenario.name in known else (asdict(scenario),)
    order = [planned.place for planned in step if planned.place not in manifest.order]
    return msgspec.structs.replace(
        manifest, scenarios=(*manifest.scenarios, *new), order=(*manifest.order, *order)
    )


def _profiles(
    stack: NativeStack, cells: list[PlannedCell], session: str, options: RunOptions, watch: Watch
) -> Iterator[ProfileRecord]:
    """Profile each variant of each scenario once, where that was asked for."""
    if options.profile:
        first = {(c.scenario.name, c.variant.name): c for c in cells if c.repetition == 1}
        profiling = Profiling(stack, options.directory, session, options.trace_ratio)
        for planned in first.values():
            for kind in KINDS:
                watch.profiling(planned, kind)
                record = profiling.profile(planned, kind)
                watch.problems(f"no profile: {record.variant} {kind}", record.problems)
                yield record


def _services(scenarios: list[Scenario], options: RunOptions, held: ExitStack) -> dict[str, str]:
    """Check what the run needs before anything is written; return versions of the user's own.

    What ends it here leaves no directory behind, so that the same command works once it is
    repaired.
    """
    try:
        if options.profile:
            profilers.check(profilers.find())
        if options.prometheus_url:
            prometheus_api.check(options.prometheus_url)
        else:
            require("prometheus")
        _check_spans(options)
        for address in (a for some in options.placement.workers.values() for a in some):
            clocks.read(address)
        if not options.redis_url:
            require("redis-server")
            return {}
        url = broker.usable(options.redis_url)
        server = broker.check(url)
        used = [(v, s.run.queue) for s in scenarios for v in s.variants]
        claims = {(v.framework, queue) for v, queue in used}
        running = {(v.framework, q) for v, q in used if v.name in options.placement.workers}
        held.enter_context(broker.claimed(
            url,
            [(framework(name), queue) for name, queue in sorted(claims)],
            [(framework(name), queue) for name, queue in sorted(running)],
        ))  # fmt: skip
    except (ServiceError, KeyboardInterrupt):
        with suppress(OSError):
            options.directory.rmdir()
        raise
    return {"redis-server": f"{server.version}, at {broker.redacted(url)}"}


def _check_spans(options: RunOptions) -> None:
    """Check where spans go, and where they are read from again."""
    environ = options.environment()
    if options.tempo_url and spans_endpoint.where(environ) == spans_endpoint.NATIVE:
        raise ServiceError(
            "--tempo-url says where to read spans, and none would go there.",
            "Send them there with --otlp-endpoint http://host:4318, or leave --tempo-url out.",
        )
    spans_endpoint.check(environ)
    if options.tempo_url:
        tempo_api.check(options.tempo_url)


def _stack(options: RunOptions, session: str) -> NativeStack:
    return NativeStack(
        options.directory,
        session,
        redis_url=broker.usable(options.redis_url) if options.redis_url else None,
        prometheus_url=options.prometheus_url,
        variables=options.variables(),
        workers=options.placement.workers,
    )


def _manifest(
    scenarios: list[Scenario],
    cells: list[PlannedCell],
    options: RunOptions,
    found: dict[str, str],
) -> Manifest:
    return Manifest(
        session=uuid.uuid4().hex[:12],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        status="running",
        command=tuple(redacted(word) for word in sys.argv[1:]),
        prometheus=broker.redacted(options.prometheus_url or "") or "native",
        redis=broker.redacted(options.redis_url or "") or "native",
        traces=spans_endpoint.where(options.environment()),
        machine=machine_facts(options.directory),
        versions={**versions(), **found},
        scenarios=tuple(asdict(scenario) for scenario in scenarios),
        order=tuple(cell.place for cell in cells),
        together=tuple(stated(steps(cells, together=True))) if options.together else (),
    )


def redacted(word: str) -> str:
    """Return a word of the command line without a password."""
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + equals + broker.redacted(value) if "://" in word else word
