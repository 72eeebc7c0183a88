"""One `taskscope run`: the stack, its cells one after another, the manifest after each."""

import sys
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from compose import broker
from compose.errors import ServiceError
from compose.frameworks import framework
from compose.native import NativeStack, inherited, require
from extract.manifest import Manifest
from tasks import workloads
from taskscope import clocks, interruption, prometheus_api, rundir, spans_endpoint, tempo_api
from taskscope.errors import UsageError
from taskscope.measure import measure
from taskscope.placement import Placement
from taskscope.plan import PlannedCell, plan
from taskscope.platform_facts import machine_facts, versions
from taskscope.scenario import Scenario
from taskscope.values import nearest
from taskscope.watch import Watch

type Status = Literal["running", "complete", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where a run goes and which services it uses; None means its own."""

    directory: Path
    redis_url: str | None
    prometheus_url: str | None
    trace_ratio: float
    otlp_endpoint: str | None = None
    tempo_url: str | None = None
    placement: Placement = field(default_factory=Placement)

    def variables(self) -> dict[str, str]:
        """Return the variables that every process of the run is given."""
        return {**spans_endpoint.variables(self.otlp_endpoint), **self.placement.variables()}

    def environment(self) -> dict[str, str]:
        """Return the variables that processes of the run inherit, or are given."""
        return {**inherited(), **self.variables()}


def check_scenarios(scenarios: Sequence[Scenario]) -> None:
    """UsageError for a task or a variant's setting that does not exist, or a name given twice."""
    names = [scenario.name for scenario in scenarios]
    for scenario in scenarios:
        if names.count(scenario.name) > 1:
            raise UsageError(
                f"Two of the scenarios are called {scenario.name}: their results would be mixed.",
                "Ask for each once, or give one of the files another name.",
            )
        if not callable(getattr(workloads, scenario.workload.task, None)):
            raise UsageError(
                f"scenario {scenario.name}: workload.task {scenario.workload.task!r} is not a "
                "function of tasks/workloads.py.",
                "Name one of its functions, or add it there and to each framework's module.",
            )
        for variant in scenario.variants:
            known = framework(variant.framework).known_settings()
            for setting in variant.settings:
                if setting not in known:
                    raise UsageError(
                        f"scenario {scenario.name}: variants.{variant.name}.settings.{setting} is "
                        f"no setting of {variant.framework}; the nearest is "
                        f"{nearest(setting, known)}.",
                        "Correct the name in the scenario file.",
                    )


def run(scenarios: list[Scenario], options: RunOptions, watch: Watch) -> Manifest:
    """Measure every cell and return the manifest, which is on disk after each of them.

    ServiceError when Redis or Prometheus is missing or fails. Whatever ends the run early, the
    cells measured so far stay in the manifest.
    """
    cells = plan(scenarios)
    with ExitStack() as held:
        found = _services(scenarios, options, held)
        manifest = _manifest(scenarios, cells, options, found)
        with rundir.writing(options.directory):
            manifest.write(options.directory)
            return _measure_all(cells, manifest, options, watch)


def _measure_all(
    cells: list[PlannedCell], manifest: Manifest, options: RunOptions, watch: Watch
) -> Manifest:
    status: Status = "failed"
    try:
        with _stack(options, manifest.session) as stack, watch.following(stack.prometheus_url):
            for number, planned in enumerate(cells, start=1):
                interruption.check()
                watch.cell(number, planned)
                record = measure(stack, planned, manifest.session, options.trace_ratio, watch.phase)
                manifest = msgspec.structs.replace(manifest, cells=(*manifest.cells, record))
                manifest.write(options.directory)
                watch.finished(record)
        status = "complete"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        manifest = msgspec.structs.replace(manifest, status=status)
        manifest.write(options.directory)
    return manifest


def _services(scenarios: list[Scenario], options: RunOptions, held: ExitStack) -> dict[str, str]:
    """Check what the run needs before anything is written; return versions of the user's own.

    ServiceError leaves no directory behind, so that the same command works once it is repaired.
    """
    try:
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
    except ServiceError:
        with suppress(OSError):
            options.directory.rmdir()
        raise
    return {"redis-server": f"{server.version}, at {broker.redacted(url)}"}


def _check_spans(options: RunOptions) -> None:
    """Check where spans go, and where they are read from again."""
    environ = options.environment()
    spans_endpoint.check(environ)
    if options.tempo_url:
        tempo_api.check(options.tempo_url)
        if spans_endpoint.where(environ) == spans_endpoint.NATIVE:
            raise ServiceError(
                "--tempo-url says where to read spans, and none would go there.",
                "Send them there with --otlp-endpoint http://host:4318, or leave --tempo-url out.",
            )


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
        order=tuple(f"{c.scenario.name}/{c.variant.name}/{c.repetition}" for c in cells),
    )


def redacted(word: str) -> str:
    """Return a word of the command line without a password."""
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + equals + broker.redacted(value) if "://" in word else word
