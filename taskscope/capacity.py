"""`taskscope capacity`: trials at rates that are chosen as it goes, each a cell like any other.

All variants are searched in turns, trial by trial, so that what changes on the machine changes for
all. At the end each has a burst at a rate that it cannot keep up with.
"""

from collections import Counter
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from extract.capacity import Verdict, capacities
from extract.dataset import Dataset
from extract.manifest import CellRecord, Manifest
from loadgen.schedule import ArrivalSpec
from taskscope.capacity_live import judge_live
from taskscope.capacity_search import Limits, Search, rounded, search
from taskscope.capacity_show import Outcome
from taskscope.errors import UsageError
from taskscope.matrix import points
from taskscope.plan import PlannedCell, Step
from taskscope.scenario import Scenario, Slo
from taskscope.session import Course, Steps

#: The burst, against the ends of the gap: what comes before and after it, and what it asks for.
_BASE, _BURST, _QUIET_SECONDS = 0.5, 1.5, 3.0
#: Axes of a matrix of which the command line can choose a value.
_OPTIONS = ("concurrency", "workers")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the scenario, with its SLO, the first rate to try and when to stop."""

    scenario: Scenario
    first: float
    limits: Limits
    burst_seconds: float


def question(
    scenario: Scenario,
    *,
    slo_seconds: float | None,
    first: float | None,
    limits: Limits,
    burst_seconds: float,
) -> Question:
    """Complete the scenario. UsageError where it promises nothing, or is sent as fast as can be."""
    kind = scenario.load.arrivals.kind
    if kind not in {"constant", "poisson"} or not scenario.load.seconds:
        raise UsageError(
            f"scenario {scenario.name} has no rate that could be searched: its load is {kind!r}, "
            f"for {scenario.load.seconds:g} s.",
            'Give it load.arrivals = "poisson" (or constant), a rate, and load.seconds.',
        )
    slo = scenario.slo
    if slo_seconds is not None:
        slo = Slo(slo_seconds, slo.failed_share if slo else 0.0)
    if slo is None:
        raise UsageError(
            f"scenario {scenario.name} promises nothing, so nothing says what is too slow.",
            "Give --slo, in seconds, or [slo] p99_seconds in its file.",
        )
    start = first or scenario.load.arrivals.numbers["rate"]
    others = {a: v for a, v in scenario.matrix.items() if a != "rate"}
    if others:
        raise UsageError(
            f"scenario {scenario.name} has a matrix of {', '.join(others)} besides the rate.",
            " ".join(_remedies(others)),
        )
    everywhere = tuple(replace(variant, only={}) for variant in scenario.variants)
    searched = replace(scenario, slo=slo, matrix={}, variants=everywhere)
    return Question(searched, start, limits, burst_seconds)


def _remedies(axes: Collection[str]) -> Iterator[str]:
    """Yield how to be left with one value of each axis."""
    if options := [f"--{axis}" for axis in axes if axis in _OPTIONS]:
        yield f"Choose one of each: {' '.join(options)}."
    if others := [axis for axis in axes if axis not in _OPTIONS]:
        yield f"Take {', '.join(others)} out of [matrix] in its file."


def course(asked: Question) -> Course:
    """Return the course of cells: the variants' searches in turns, then their bursts."""

    def steps(prometheus_url: str, session: str) -> Steps:
        trials = _Trials(asked, prometheus_url, session)
        searches = {
            v.name: _Turn(search(asked.first, asked.limits)) for v in asked.scenario.variants
        }
        while open_ := [name for name, turn in searches.items() if turn.rate is not None]:
            for name in open_:
                verdict = yield from trials.at(name, searches[name].rate or 0.0)
                searches[name].go_on(verdict)
        for name, turn in searches.items():
            low, high = turn.ends
            if low and high:
                yield (trials.burst(name, low, high),)

    return steps


class _Turn:
    """One variant's search: the rate it wants tried next, and at its end the ends of the gap."""

    def __init__(self, steps: Search) -> None:
        self._steps = steps
        self.ends: tuple[float | None, float | None] = (None, None)
        self.rate: float | None = next(steps)

    def go_on(self, verdict: Verdict) -> None:
        """Take the verdict on the rate that was wanted."""
        try:
            self.rate = self._steps.send(verdict)
        except StopIteration as end:
            self.rate, self.ends = None, end.value


class _Trials:
    """Plans the cells, which are numbered where a rate is tried again, and judges them."""

    def __init__(self, asked: Question, prometheus_url: str, session: str) -> None:
        self._asked = asked
        self._url = prometheus_url
        self._session = session
        self._tried: Counter[tuple[str, float]] = Counter()

    def at(self, name: str, rate: float) -> Generator[Step, list[CellRecord], Verdict]:
        """Try a rate."""
        (scenario,) = points(replace(self._asked.scenario, matrix={"rate": (rate,)}))
        self._tried[name, rate] += 1
        planned = PlannedCell(scenario, scenario.variant(name), self._tried[name, rate])
        (record,) = yield (planned,)
        return judge_live(self._url, self._session, planned, record)

    def burst(self, name: str, low: float, high: float) -> PlannedCell:
        """Plan a burst between calm times, of which the last is long enough to recover in."""
        base, rate, lasts = rounded(_BASE * low), rounded(_BURST * high), self._asked.burst_seconds
        numbers = {
            "rate": base,
            "burst_rate": rate,
            "burst_after_seconds": _QUIET_SECONDS,
            "burst_seconds": lasts,
        }
        recovers = 2 * lasts * (rate - high) / (high - base)
        calm = 2 * _QUIET_SECONDS + recovers
        full = self._asked.scenario
        (scenario,) = points(replace(
            full,
            name=f"{full.name}-burst-{name}",
            title=f"{full.title}: a burst for {name}",
            workload=replace(full.workload, count=round(base * calm + rate * lasts)),
            load=replace(full.load, arrivals=ArrivalSpec("pulse", numbers), seconds=0.0),
        ))  # fmt: skip
        scenario = replace(scenario, family=full.name)
        return PlannedCell(scenario, scenario.variant(name), 1)


def outcome(directory: Path, manifest: Manifest, data: Dataset) -> Outcome:
    """Return what the trials amount to, by the dataset."""
    failed = data.audit[~data.audit["ok"].astype(bool)]
    invalid = tuple(
        f"{row['scenario']}, {row['variant']} repetition {row['repetition']}: {row['check']}: "
        f"{row['found']}. {row['remedy']}"
        for row in failed.to_dict("records")
    )
    found = tuple(capacities(manifest, data))
    return Outcome(str(directory), manifest.status, found, invalid)
