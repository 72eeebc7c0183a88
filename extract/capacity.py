"""The highest rate that a variant sustains, and what happens beyond it: from a run's dataset.

A trial is a cell in which tasks arrived at one rate. It was *sustained* if the slowest 1 % took no
longer, end to end, than the service promises, no larger share failed, and nothing proves that the
backlog grew. It says nothing where the generator itself fell behind its schedule, or its audit
failed otherwise.

The capacity lies between the highest rate that was sustained each time, and the lowest above it
that was not sustained most of the time, each tried twice at least. Nothing in between is claimed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from extract.dataset import Dataset, figures, valid_cells
from extract.manifest import CellRecord, Manifest
from extract.traces import of_cell

#: A backlog grows if, in a second, it takes up more than this share of the tasks that arrive.
GROWS: Final = 0.01
_CONFIDENCE: Final = 0.95
#: Sending begins in an empty queue: the first part of it says nothing about growth.
_SETTLING: Final = 0.25
_CONFIRMED: Final = 2
_NS: Final = 1e9
_AT_A_RATE: Final = ("constant", "poisson", "pulse")

type Verdict = Literal["sustained", "not sustained", "says nothing"]
type Samples = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Promise:
    """What counts as sustained: p99 of the end-to-end time, and the share of tasks that fail."""

    p99_seconds: float
    failed_share: float


@dataclass(frozen=True, slots=True)
class Growth:
    """How fast a backlog grows, in tasks/s: as estimated, and at least, with 95 % confidence.

    A worker that looks into an empty queue now and then has a backlog that rises and falls: the
    slope of a few samples of that is not 0, and proves nothing.
    """

    slope: float
    least: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One rate, tried once."""

    rate: float
    repetition: int
    verdict: Verdict
    why: str
    p99_seconds: float | None = None
    growth: Growth | None = None
    throughput: float | None = None
    failed_share: float | None = None
    worker_memory_growth_bytes: float | None = None
    broker_memory_peak_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Burst:
    """What a burst did: how fast the backlog grew meanwhile, how far, and how long it lasted after.

    `recovery_seconds` is None where it never came down to what it had been before.
    """

    rate: float
    seconds: float
    base_rate: float
    growth: float
    largest_backlog: int
    recovery_seconds: float | None


@dataclass(frozen=True, slots=True)
class Capacity:
    """A variant's capacity in tasks/s: at least `sustained`, and below `refuted`.

    Either is None where no rate was shown to be so. `saturation` is what it gets through while more
    arrives: the median, over the trials whose backlog grew, of the rate less that growth. `place`
    is where it was tried, by the axes of the matrix besides the rate.
    """

    scenario: str
    variant: str
    place: Mapping[str, float]
    promise: Promise
    sustained: float | None
    refuted: float | None
    saturation: float | None
    trials: tuple[Trial, ...]
    burst: Burst | None
    valid: int
    measured: int


def growth(samples: Samples, seconds: float) -> Growth | None:
    """Return how the backlog grew while tasks were sent, by least squares.

    `samples` are (seconds since the start, backlog). None with fewer than three of them.
    """
    from scipy.special import stdtrit  # noqa: PLC0415 - scipy takes its time to import

    chosen = [(t, depth) for t, depth in samples if _SETTLING * seconds <= t <= seconds]
    free = len(chosen) - 2  # degrees of freedom
    if free < 1:  # two make a line of anything
        return None
    times, depths = np.array(chosen).T
    times -= times.mean()
    slope = times @ depths / (times @ times)
    off = depths - depths.mean() - slope * times
    error = np.sqrt(off @ off / free / (times @ times))
    return Growth(float(slope), float(slope - stdtrit(free, _CONFIDENCE) * error))


def judge(
    found: Mapping[str, float], grown: Growth | None, rate: float, promise: Promise
) -> tuple[Verdict, str]:
    """Judge a trial from its figures by PromQL; return the verdict, and why."""
    p99 = found.get("end_to_end_p99")
    if p99 is None or grown is None:
        return "says nothing", "nothing was measured, or for too short a time"
    failed = failed_share(found)
    reasons = []
    if p99 > promise.p99_seconds:
        reasons.append(f"p99 {p99:.3g} s, promised {promise.p99_seconds:g} s")
    if failed > promise.failed_share:
        reasons.append(f"{failed:.2%} failed")
    if grows(grown, rate):
        reasons.append(f"the backlog grew by {grown.slope:.3g} tasks/s")
    return ("not sustained", "; ".join(reasons)) if reasons else ("sustained", "")


def grows(grown: Growth | None, rate: float) -> bool:
    """Tell whether a backlog is proven to grow while tasks arrive at that rate."""
    return grown is not None and grown.least > GROWS * rate


def failed_share(found: Mapping[str, float]) -> float:
    """Return the share of tasks that failed for good."""
    ended = found.get("tasks_completed", 0.0) + found.get("tasks_failed", 0.0)
    return found.get("tasks_failed", 0.0) / ended if ended else 0.0


def bracket(trials: Iterable[Trial]) -> tuple[float | None, float | None]:
    """Return the highest rate that was always sustained, and the lowest above that mostly was not.

    Both were tried twice at least, so that one trial, lucky or not, confirms nothing.
    """
    heard = sorted((t for t in trials if t.verdict != "says nothing"), key=lambda t: t.rate)
    by_rate = {rate: [t.verdict for t in of] for rate, of in groupby(heard, lambda t: t.rate)}
    sustained = max((rate for rate, of in by_rate.items() if always_sustained(of)), default=None)
    above = (rate for rate in by_rate if sustained is None or rate > sustained)
    refuted = min((rate for rate in above if mostly_not(by_rate[rate])), default=None)
    return sustained, refuted


def always_sustained(verdicts: Sequence[Verdict]) -> bool:
    """Tell whether trials at one rate, those that say something, show that it is sustained."""
    return len(verdicts) >= _CONFIRMED and set(verdicts) == {"sustained"}


def mostly_not(verdicts: Sequence[Verdict]) -> bool:
    """Tell whether trials at one rate, those that say something, show that it is not sustained."""
    return len(verdicts) >= _CONFIRMED and verdicts.count("not sustained") * 2 > len(verdicts)


def capacities(manifest: Manifest, data: Dataset) -> Iterator[Capacity]:
    """Yield the capacity of every variant that was tried at rates, from the dataset alone."""
    known = {scenario["name"]: scenario for scenario in manifest.scenarios}
    cells = [cell for cell in manifest.cells if _has_rate_and_promise(known[cell.scenario])]
    valid = set(map(_key, valid_cells(data.audit, cells)))
    places = defaultdict(list)
    for cell in cells:
        places[*_place(known[cell.scenario]), cell.variant].append(cell)
    for (family, place, variant), own in places.items():
        slo = known[own[0].scenario]["slo"]
        promise = Promise(slo["p99_seconds"], slo["failed_share"])
        steady = [c for c in own if known[c.scenario]["load"]["arrivals"]["kind"] != "pulse"]
        bursts = [c for c in own if c not in steady and _key(c) in valid]
        trials = tuple(
            _trial(c, known[c.scenario], data, promise, exact=_key(c) in valid) for c in steady
        )
        over = [t.rate - t.growth.slope for t in trials if t.growth and grows(t.growth, t.rate)]
        yield Capacity(
            family, variant, dict(place), promise, *bracket(trials),
            median(over) if over else None, trials,
            _burst(bursts[-1], known[bursts[-1].scenario], data.tasks) if bursts else None,
            sum(_key(c) in valid for c in own), len(own),
        )  # fmt: skip


def _has_rate_and_promise(scenario: Mapping[str, Any]) -> bool:
    return bool(scenario.get("slo")) and scenario["load"]["arrivals"]["kind"] in _AT_A_RATE


def _place(scenario: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, float], ...]]:
    """Return the scenario's family, and where in its matrix it is, whatever the rate."""
    point = scenario.get("point") or {}
    family = str(scenario.get("family") or scenario["name"])
    return family, tuple((axis, value) for axis, value in point.items() if axis != "rate")


def _key(cell: CellRecord) -> tuple[str, str, int]:
    return cell.scenario, cell.variant, cell.repetition


def _trial(
    cell: CellRecord, scenario: Mapping[str, Any], data: Dataset, promise: Promise, *, exact: bool
) -> Trial:
    rate = float(scenario["load"]["arrivals"]["numbers"]["rate"])
    if not exact:
        return Trial(rate, cell.repetition, "says nothing", "its audit failed")
    found = figures(data.results, cell, "promql")
    seconds = scenario["workload"]["count"] / rate
    grown = growth(_depths(data.timeline, cell), seconds)
    verdict, why = judge(found, grown, rate, promise)
    return Trial(
        rate, cell.repetition, verdict, why, found.get("end_to_end_p99"), grown,
        found.get("throughput"), failed_share(found), found.get("worker_memory_growth"),
        found.get("broker_memory_peak"),
    )  # fmt: skip


def _depths(timeline: pd.DataFrame, cell: CellRecord) -> Samples:
    rows = timeline[
        (timeline["metric"] == "queue_depth_over_time")
        & (timeline["scenario"] == cell.scenario)
        & (timeline["variant"] == cell.variant)
        & (timeline["repetition"] == cell.repetition)
    ]
    return list(zip(rows["seconds"].tolist(), rows["value"].tolist(), strict=True))


def _burst(cell: CellRecord, scenario: Mapping[str, Any], tasks: pd.DataFrame) -> Burst:
    numbers = scenario["load"]["arrivals"]["numbers"]
    own = of_cell(tasks, cell, "started_ns")
    began = own["scheduled_ns"].min() / _NS + numbers["burst_after_seconds"]
    ended = began + numbers["burst_seconds"]
    sent, done = (own[name].to_numpy("float64") / _NS for name in ("sent_ns", "completed_ns"))
    times, backlog = backlog_over_time(sent, done)
    during = (times >= began) & (times <= ended)
    before = backlog[times < began]
    usual = int(before.max()) if len(before) else 0
    over = np.flatnonzero((times > ended) & (backlog <= usual))
    slope = float(np.polyfit(times[during] - began, backlog[during], 1)[0])
    return Burst(
        numbers["burst_rate"], numbers["burst_seconds"], numbers["rate"], slope,
        int(backlog.max()), float(times[over[0]] - ended) if len(over) else None,
    )  # fmt: skip


type Array = np.ndarray[Any, np.dtype[np.float64]]


def backlog_over_time(sent: Array, done: Array) -> tuple[Array, Array]:
    """Return the instants at which a task was sent or completed, and how many were under way then.

    Those sent and not completed; both in seconds, in any order.
    """
    times = np.concatenate([sent, done])
    steps = np.concatenate([np.ones(len(sent)), -np.ones(len(done))])
    order = np.argsort(times, kind="stable")
    return times[order], np.cumsum(steps[order])
