"""The ledger of what instrumentation costs: from the raw timings to figures and intervals.

Everything is compared with bare *in the same block*, so that what slows a whole block down (a noisy
neighbour, a warm CPU) falls out. The analysis is that of every verdict within a run, of
`extract/paired.py`: relative changes over logarithms of ratios, absolute ones over differences.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pandas as pd

from extract.manifest import FILE_NAME, Problem, store

if TYPE_CHECKING:
    from extract.statistics import Figure

#: The mode that all others are compared with, and the one in which runs are measured.
BARE, DEFAULT = "bare", "default"
THROUGHPUT, CPU = "throughput", "cpu_per_task"
TABLE = "overhead"
SUMMARY = "overhead_summary"
_KIND = "overhead"
_COLUMNS = ["session", "scenario", "framework", "variant", "mode", "repetition",
            "metric", "value", "unit"]  # fmt: skip
_SUMMARY_COLUMNS = ["session", "scenario", "subject", "mode", "metric", "blocks", "median",
                    "change", "lower", "upper", "unit"]  # fmt: skip


class Mark(msgspec.Struct, frozen=True):
    """An instant (monotonic seconds), the tasks not yet acknowledged, the worker's CPU so far.

    CPU is that of the whole process tree; None where it was not read.
    """

    seconds: float
    backlog: int
    cpu_seconds: float | None = None


class Marks(msgspec.Struct, frozen=True):
    """One drain. Throughput is taken between `steady` and `last`, CPU from `released` on.

    released: the tasks are put before the worker, all at once; steady: it has got into its stride;
    last: the last look that still found tasks; drained: the first that found none; settled: after
    the time in which telemetry put off is written; idle: after some more time without work.
    """

    released: Mark
    steady: Mark
    last: Mark
    drained: Mark
    settled: Mark
    idle: Mark


class Timing(msgspec.Struct, frozen=True):
    """One mode of one variant in one block. `told` is how many tasks the mode's telemetry had."""

    framework: str
    variant: str
    mode: str
    repetition: int
    tasks: int
    marks: Marks | None = None
    told: int | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        """How it is called in the order, and in messages."""
        return f"{self.variant}/{self.mode}/{self.repetition}"


class LedgerManifest(msgspec.Struct, frozen=True):
    """What was asked for, on which machine, and every timing as it was taken."""

    session: str
    created: str
    status: Literal["running", "complete", "interrupted", "failed"]
    command: tuple[str, ...]
    machine: dict[str, Any]
    versions: dict[str, str]
    scenario: dict[str, Any]
    modes: dict[str, dict[str, str]]
    skipped: dict[str, str]
    seconds: dict[str, float]
    order: tuple[str, ...] = ()
    pilots: tuple[Timing, ...] = ()
    timings: tuple[Timing, ...] = ()
    kind: str = _KIND
    format: int = 1

    def write(self, directory: Path) -> None:
        """Write it in one step: a crash leaves the previous one."""
        store(self, directory)


def read_manifest(directory: Path) -> LedgerManifest:
    """Read a ledger's manifest. OSError when there is none, msgspec.DecodeError for another."""
    return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=LedgerManifest)


def is_ledger(directory: Path) -> bool:
    """Whether the manifest there is a ledger's."""
    try:
        manifest = msgspec.json.decode((directory / FILE_NAME).read_bytes())
    except (OSError, msgspec.DecodeError):
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == _KIND


def figures(marks: Marks, tasks: int) -> dict[str, tuple[float, str]]:
    """Return one timing's figures and their units. ValueError where the window has no length.

    CPU per task runs from the release until telemetry has settled, less what the worker uses in
    the settling time anyway: its idle use, measured after it.
    """
    steady, last, drained, settled = marks.steady, marks.last, marks.drained, marks.settled
    window = last.seconds - steady.seconds
    done = steady.backlog - last.backlog
    if window <= 0 or done <= 0:
        raise ValueError("no two looks at the queue fell between the first tasks and the last")
    idle_seconds = marks.idle.seconds - settled.seconds
    idle = (_cpu(marks.idle) - _cpu(settled)) / idle_seconds
    until_drained = _cpu(drained) - _cpu(marks.released)
    deferred = _cpu(settled) - _cpu(drained) - idle * (settled.seconds - drained.seconds)
    return {
        THROUGHPUT: (done / window, "tasks/s"),
        CPU: ((until_drained + deferred) / tasks * 1e6, "us/task"),
        "cpu_per_task_until_drained": (until_drained / tasks * 1e6, "us/task"),
        "cpu_idle": (idle * 1e3, "ms/s"),
        "window": (window, "s"),
    }


def _cpu(mark: Mark) -> float:
    assert mark.cpu_seconds is not None  # noqa: S101 - read at every mark that is asked for it
    return mark.cpu_seconds


def table(manifest: LedgerManifest) -> pd.DataFrame:
    """Return the figures of every valid timing, in long form."""
    order = [(variant, mode) for variant, modes in manifest.modes.items() for mode in modes]
    rows = [
        (manifest.session, manifest.scenario["name"], timing.framework, timing.variant,
         timing.mode, timing.repetition, metric, value, unit)
        for timing in sorted(manifest.timings, key=lambda t: order.index((t.variant, t.mode)))
        if timing.marks and not timing.problems
        for metric, (value, unit) in figures(timing.marks, timing.tasks).items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"repetition": "int64", "value": "float64"})


@dataclass(frozen=True, slots=True)
class Estimate:
    """A change with its 95 % interval; None where a single block gives none."""

    value: float
    lower: float | None
    upper: float | None

    def mapped(self, through: Callable[[float], float]) -> "Estimate":
        """Return it on another scale, by a function that never decreases."""
        bounds = (None if b is None else through(b) for b in (self.lower, self.upper))
        return Estimate(through(self.value), *bounds)

    def written(self, write: Callable[[float], str], unit: str) -> str:
        """Write it with its interval."""
        if self.lower is None or self.upper is None:
            return write(self.value) + unit
        return f"{write(self.value)}{unit} ({write(self.lower)} to {write(self.upper)})"

    def percent(self) -> str:
        """Write a relative change with its interval."""
        return self.written(lambda x: f"{x * 100:+.1f}", " %")


def _compared(values: Sequence[float], bare: Sequence[float]) -> tuple[Estimate | None, ...]:
    """Return the relative and the absolute change, position i of both being one block.

    There is no relative one where a value is 0 or negative.
    """
    from extract import contrast, paired  # noqa: PLC0415 - brings scipy, and runs need none of it

    found = paired.pair_up(tuple(values), tuple(bare))
    if found is None:
        return None, None
    ratio = _estimate(contrast.figure(found)) if found.scale == "ratio" else None
    difference = contrast.figure(paired.differences(tuple(values), tuple(bare)))
    return ratio and ratio.mapped(lambda x: x - 1), _estimate(difference)


def _estimate(figure: "Figure") -> Estimate | None:
    return None if figure.value is None else Estimate(figure.value, figure.lower, figure.upper)


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of a variant, or of the ratio of two, in one mode.

    `change` is relative to bare: value / bare - 1; `difference` is value - bare in the figure's
    unit. None for bare itself, and where no block has both.
    """

    subject: str
    mode: str
    metric: str
    unit: str
    blocks: int
    median: float
    change: Estimate | None
    difference: Estimate | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """What each mode costs each variant; `bias`: by how much it shifts the ratio of the two."""

    lines: tuple[Line, ...]
    bias: tuple[Line, ...]

    def line(self, subject: str, mode: str, metric: str) -> Line | None:
        """Return that line, of a variant or of the pair."""
        wanted = (subject, mode, metric)
        every = (*self.lines, *self.bias)
        return next((x for x in every if (x.subject, x.mode, x.metric) == wanted), None)


def bias(found: Ledger, pair: Sequence[str], metric: str, mode: str = DEFAULT) -> Estimate | None:
    """Return by how much the mode shifts the ratio of the pair's figures; None where unknown."""
    line = found.line(pair_name(*pair), mode, metric) if all(pair) and len(pair) > 1 else None
    return line.change if line else None


def pair_name(first: str, second: str) -> str:
    """Name the ratio of the first variant's figure to the second's."""
    return f"{first} : {second}"


def ledger(rows: pd.DataFrame, scenario: str, variants: Sequence[str]) -> Ledger:
    """Derive the ledger of these variants; the bias is that of the first two."""
    chosen = rows[(rows["scenario"] == scenario) & rows["variant"].isin(variants)]
    blocks = _blocks(chosen)
    units = dict(zip(chosen["metric"], chosen["unit"], strict=True))
    lines = [
        _line(
            (variant, mode, metric), units[metric], values, blocks.get((variant, BARE, metric), {})
        )
        for metric in (THROUGHPUT, CPU)
        for variant in variants
        for mode in dict.fromkeys(chosen["mode"])
        if (values := blocks.get((variant, mode, metric)))
    ]
    pairs = list(_ratios(blocks, *variants[:2])) if len(variants) > 1 else []
    return Ledger(tuple(lines), tuple(pairs))


type _Values = Mapping[int, float]
"""Block -> value."""
type _Blocks = Mapping[tuple[str, str, str], _Values]
"""(variant, mode, metric) -> its values."""


def _blocks(rows: pd.DataFrame) -> _Blocks:
    groups = rows.groupby(["variant", "mode", "metric"], sort=False)
    return {
        (str(v), str(mode), str(metric)): dict(zip(g["repetition"], g["value"], strict=True))
        for (v, mode, metric), g in groups
    }


def _ratios(blocks: _Blocks, first: str, second: str) -> Iterator[Line]:
    """Yield the ratio of both variants in every mode that both have."""
    for metric in (THROUGHPUT, CPU):
        ratios = {
            mode: _divided(values, blocks[second, mode, metric])
            for (variant, mode, of), values in blocks.items()
            if (variant, of) == (first, metric) and (second, mode, metric) in blocks
        }
        for mode, values in ratios.items():
            if values:
                bare = ratios.get(BARE, {})
                yield _line((pair_name(first, second), mode, metric), "ratio", values, bare)


def _divided(values: _Values, by: _Values) -> _Values:
    return {block: value / by[block] for block, value in values.items() if block in by}


def _line(key: tuple[str, str, str], unit: str, values: _Values, bare: _Values) -> Line:
    subject, mode, metric = key
    both = [] if mode == BARE else sorted(values.keys() & bare.keys())
    changes = _compared([values[block] for block in both], [bare[block] for block in both])
    middle = median(values.values())
    return Line(subject, mode, metric, unit, len(both or values), middle, *changes)


def summary(session: str, scenario: str, found: Ledger) -> pd.DataFrame:
    """Return the ledger as a table: a row for each change, relative and absolute."""
    rows = [
        (session, scenario, line.subject, line.mode, line.metric, line.blocks, line.median,
         *_parts(estimate), unit)
        for line in (*found.lines, *found.bias)
        for estimate, unit in ((line.change, "relative"), (line.difference, line.unit))
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=_SUMMARY_COLUMNS)


def _parts(estimate: Estimate | None) -> tuple[float | None, ...]:
    return (estimate.value, estimate.lower, estimate.upper) if estimate else (None, None, None)


def write(directory: Path, rows: pd.DataFrame, summed: pd.DataFrame) -> None:
    """Write both tables into a dataset folder, as Parquet and CSV."""
    directory.mkdir(exist_ok=True)
    for name, frame in ((TABLE, rows), (SUMMARY, summed)):
        frame.to_parquet(directory / f"{name}.parquet", index=False)
        frame.to_csv(directory / f"{name}.csv", index=False)


def read(directory: Path) -> pd.DataFrame | None:
    """Return the figures of the ledger in a dataset folder; None where there is none."""
    try:
        return pd.read_parquet(directory / f"{TABLE}.parquet")
    except FileNotFoundError:
        return None
