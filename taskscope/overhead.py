"""`taskscope overhead`: the ledger of what instrumentation costs, mode by mode."""

import math
import random
import shutil
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from compose import modes
from compose.errors import ServiceError
from compose.native import NativeStack, require
from extract import overhead
from extract.overhead import LedgerManifest
from taskscope import drain, interruption, rundir, timing, together
from taskscope.errors import UsageError
from taskscope.overhead_watch import Watch
from taskscope.platform_facts import machine_facts, versions
from taskscope.scenario import Scenario
from taskscope.session import redacted
from taskscope.timing import PlannedTiming
from taskscope.values import nearest

#: Where in a run's directory a ledger put into it lies.
FOLDER: Final = "overhead"
_PILOT_TASKS: Final = 3_000
_FEWEST_TASKS: Final = 500
_ROUND: Final = 100
_MOST_TASKS: Final = 500_000


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for. `tasks` is None where a pilot is to find how many fill the window."""

    directory: Path
    modes: Mapping[str, tuple[str, ...]]
    skipped: Mapping[str, str]
    tasks: int | None
    window_seconds: float


def choose_modes(
    scenario: Scenario, asked: list[str] | None
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Return the modes of each variant, bare always among them, and those skipped with the reason.

    UsageError for a mode that none of the variants has.
    """
    known = {v.name: modes.modes(v.framework) for v in scenario.variants}
    every = dict.fromkeys(mode for modes_of in known.values() for mode in modes_of)
    for mode in asked or ():
        if mode not in every:
            raise UsageError(
                f"none of the variants has a mode {mode!r}; the nearest is {nearest(mode, every)}.",
                f"Choose among: {', '.join(every)}.",
            )
    wanted = {modes.BARE, *(asked or every)}
    lacking = {
        f"{v.name}/{mode}": f"{package} is not installed"
        for v in scenario.variants
        for mode in known[v.name]
        if mode in wanted and (package := modes.lacks(v.framework, mode))
    }
    chosen = {
        name: tuple(m for m in modes_of if m in wanted and f"{name}/{m}" not in lacking)
        for name, modes_of in known.items()
    }
    return chosen, lacking


def plan(
    scenario: Scenario, chosen: Mapping[str, Iterable[str]], tasks: Mapping[str, int]
) -> list[PlannedTiming]:
    """Order the timings in blocks: each has every variant in every mode, in a seeded shuffle."""
    order = random.Random(scenario.run.seed)  # noqa: S311 - an order, not a secret
    planned = []
    for repetition in range(1, scenario.run.repetitions + 1):
        block = [
            PlannedTiming(scenario, variant, mode, repetition, tasks[variant.name])
            for variant in scenario.variants
            for mode in chosen[variant.name]
        ]
        order.shuffle(block)
        planned += block
    return planned


def run(scenario: Scenario, options: Options, watch: Watch) -> LedgerManifest:
    """Take every timing and return the manifest, which is on disk after each of them.

    ServiceError when Redis or Prometheus is missing or fails. Whatever ends it early, the timings
    so far stay in the manifest, and what they amount to in the dataset.
    """
    book = _Book(options.directory, _manifest(scenario, options))
    with rundir.writing(options.directory):
        try:
            with NativeStack(options.directory, book.session) as stack, watch.showing():
                planned = plan(scenario, options.modes, _sizes(stack, scenario, options, book))
                book.note(order=tuple(p.record().name for p in planned))
                watch.planned(planned)
                for number, one in enumerate(planned, start=1):
                    interruption.check()
                    watch.begin(number)
                    taken = timing.take(stack, one, book.session, watch.phase)
                    book.note(timings=(*book.manifest.timings, taken))
                    watch.finished(taken)
            book.note(status="complete")
        except KeyboardInterrupt:
            book.note(status="interrupted")
            raise
        finally:
            if book.manifest.status == "running":
                book.note(status="failed")
            write_dataset(options.directory, book.manifest)
    return book.manifest


class _Book:
    """The manifest, on disk as it is in memory."""

    def __init__(self, directory: Path, manifest: LedgerManifest) -> None:
        self._directory = directory
        self.manifest = manifest
        self.session = manifest.session
        self.note()

    def note(self, **changes: Any) -> None:
        """Change the manifest, and write it."""
        self.manifest = msgspec.structs.replace(self.manifest, **changes)
        self.manifest.write(self._directory)


def _manifest(scenario: Scenario, options: Options) -> LedgerManifest:
    meanings = {v.name: modes.modes(v.framework) for v in scenario.variants}
    return LedgerManifest(
        session=uuid.uuid4().hex[:12],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        status="running",
        command=tuple(redacted(word) for word in sys.argv[1:]),
        machine=machine_facts(options.directory),
        versions=versions(),
        scenario=asdict(scenario),
        modes={v: {m: meanings[v][m] for m in chosen} for v, chosen in options.modes.items()},
        skipped=dict(options.skipped),
        seconds={
            "poll": drain.POLL_SECONDS,
            "calm": timing.CALM_SECONDS,
            "settle": drain.SETTLE_SECONDS,
            "idle": drain.IDLE_SECONDS,
        },
    )


def _sizes(stack: NativeStack, scenario: Scenario, options: Options, book: _Book) -> dict[str, int]:
    """Say how many tasks each variant gets: as asked, or so many that bare fills the window."""
    if options.tasks:
        return dict.fromkeys((v.name for v in scenario.variants), options.tasks)
    sizes = {}
    for variant in scenario.variants:
        planned = PlannedTiming(scenario, variant, modes.BARE, 0, _PILOT_TASKS)
        pilot = timing.take(stack, planned, book.session, lambda _: None)
        book.note(pilots=(*book.manifest.pilots, pilot))
        if pilot.problems or not pilot.marks:
            problem = pilot.problems[0]
            raise ServiceError(problem.message, problem.remedy)
        rate, _ = overhead.figures(pilot.marks, pilot.tasks)[overhead.THROUGHPUT]
        sizes[variant.name] = tasks_for(rate, options.window_seconds)
    return sizes


def tasks_for(rate: float, seconds: float) -> int:
    """Return how many tasks last that long at this rate, rounded up to a hundred."""
    wanted = math.ceil(rate * seconds / _ROUND) * _ROUND
    return min(max(wanted, _FEWEST_TASKS), _MOST_TASKS)


def write_dataset(directory: Path, manifest: LedgerManifest) -> None:
    """Derive the ledger from the manifest's timings, and write it into `dataset/`."""
    rows = overhead.table(manifest)
    name, variants = manifest.scenario["name"], [v["name"] for v in manifest.scenario["variants"]]
    summed = overhead.summary(manifest.session, name, overhead.ledger(rows, name, variants))
    overhead.write(directory / "dataset", rows, summed)


def check_services() -> None:
    """ServiceError, before anything is written, for a program that is not installed."""
    require("redis-server")
    require("prometheus")


def check_into(run_directory: Path, scenario: Scenario) -> None:
    """UsageError unless that run measured the same variants, with the same settings."""
    found = rundir.open_run(run_directory)
    together.refuse(found, run_directory)
    if (place := run_directory / FOLDER).exists():
        raise UsageError(f"{run_directory} has a ledger already: a ledger is never overwritten.",
                         f"Move {place} elsewhere, or give another run.")  # fmt: skip
    theirs = next((s for s in found.scenarios if s["name"] == scenario.name), None)
    if theirs is None:
        known = ", ".join(s["name"] for s in found.scenarios)
        raise UsageError(f"{run_directory} has no scenario {scenario.name}.",
                         f"It has: {known}.")  # fmt: skip
    if theirs["run"]["concurrency"] != scenario.run.concurrency:
        raise UsageError(
            f"{run_directory} was measured with concurrency {theirs['run']['concurrency']}, and "
            f"the ledger would be with {scenario.run.concurrency}.",
            f"Add --concurrency {theirs['run']['concurrency']}.",
        )
    settings = {v["name"]: (v["settings"], v.get("concurrency")) for v in theirs["variants"]}
    for variant in scenario.variants:
        if settings.get(variant.name) != (dict(variant.settings), variant.concurrency):
            raise UsageError(
                f"{run_directory} has no variant {variant.name} with the same settings, a "
                "concurrency of its own included.",
                f"It has: {', '.join(settings)}. Choose with --variant.",
            )


def taken(directory: Path) -> int:
    """Return how many timings a ledger has that was ended early."""
    if not overhead.is_ledger(directory):
        return 0
    return len(overhead.read_manifest(directory).timings)


def put_into(run_directory: Path, directory: Path) -> None:
    """Copy the ledger's tables into a run's dataset."""
    target = run_directory / "dataset"
    with rundir.writing(run_directory):
        target.mkdir(exist_ok=True)
        for file in (directory / "dataset").glob(f"{overhead.TABLE}*"):
            shutil.copy(file, target)
