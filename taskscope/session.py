"""One `taskscope run`: the stack, its cells one after another, the manifest after each."""

import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from compose import broker
from compose.frameworks import framework
from compose.native import NativeStack
from extract.manifest import Manifest
from tasks import workloads
from taskscope.errors import UsageError
from taskscope.measure import measure
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


def check_scenarios(scenarios: Sequence[Scenario]) -> None:
    """UsageError for a task or a variant's setting that does not exist."""
    for scenario in scenarios:
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
    if options.redis_url:
        broker.check(options.redis_url)
        for scenario in scenarios:
            modules = [framework(v.framework) for v in scenario.variants]
            broker.check_unshared(options.redis_url, modules, scenario.run.queue)
    manifest = _manifest(scenarios, cells, options)
    manifest.write(options.directory)
    status: Status = "failed"
    try:
        with _stack(options, manifest.session) as stack, watch.following(stack.prometheus_url):
            for number, planned in enumerate(cells, start=1):
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


def _stack(options: RunOptions, session: str) -> NativeStack:
    return NativeStack(
        options.directory,
        session,
        redis_url=options.redis_url,
        prometheus_url=options.prometheus_url,
    )


def _manifest(scenarios: list[Scenario], cells: list[PlannedCell], options: RunOptions) -> Manifest:
    return Manifest(
        session=uuid.uuid4().hex[:12],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        status="running",
        command=tuple(_redacted(word) for word in sys.argv[1:]),
        prometheus=broker.redacted(options.prometheus_url or "") or "native",
        redis=broker.redacted(options.redis_url or "") or "native",
        machine=machine_facts(options.directory),
        versions=versions(),
        scenarios=tuple(asdict(scenario) for scenario in scenarios),
        order=tuple(f"{c.scenario.name}/{c.variant.name}/{c.repetition}" for c in cells),
    )


def _redacted(word: str) -> str:
    option, equals, value = word.rpartition("=")
    return option + equals + broker.redacted(value) if "://" in word else word
