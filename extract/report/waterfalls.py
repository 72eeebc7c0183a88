"""The slowest tasks of each side of the headline: their stages as a waterfall, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from extract.report.spec import stage_colour
from extract.report.view import View
from extract.samples import Timeline
from extract.slow import slowest
from extract.telling import TITLES, disagreements, surroundings, took

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage of an attempt; `left` and `width` are percentages of the axis."""

    stage: str
    title: str
    colour: str
    left: float
    width: float
    milliseconds: float
    text: str
    share: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Why it was slow, what shows that, and what would help."""

    kind: str
    evidence: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class Fall:
    """One attempt at a task."""

    task: str
    task_id: str
    about: str
    repetition: int
    attempt: int
    milliseconds: float
    text: str
    bars: tuple[Bar, ...]
    causes: tuple[Cause, ...]
    around: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def most(self) -> Bar | None:
        """Return the longest stage."""
        return max(self.bars, key=lambda bar: bar.milliseconds, default=None)


@dataclass(frozen=True, slots=True)
class Slowest:
    """The slowest attempts of a variant's valid repetitions, the slowest first."""

    variant: str
    falls: tuple[Fall, ...]


def waterfalls(view: View) -> Iterator[Slowest]:
    """Yield those of both sides of the headline, or of the only variant; nothing without tasks."""
    samples = Timeline(view.timeline, view.cells)
    for variant in view.variants[:2]:
        tasks = view.tasks[view.tasks["variant"] == variant].reset_index(drop=True)
        if len(tasks):
            records = slowest(tasks, SHOWN, samples)
            yield Slowest(variant, tuple(_fall(record) for record in records))


def _fall(record: Mapping[str, Any]) -> Fall:
    causes = [record["cause"], *([record["second"]] if record["second"] else [])]
    return Fall(
        task=record["task"],
        task_id=record["task_id"],
        about=f"attempt {record['attempt']}: {record['outcome']}, by {record['worker']}",
        repetition=record["repetition"],
        attempt=record["attempt"],
        milliseconds=record["total_ms"],
        text=took(record["total_ms"]),
        bars=tuple(_bar(stage, record["total_ms"]) for stage in record["stages"]),
        causes=tuple(Cause(c["kind"], tuple(c["evidence"]), c["remedy"]) for c in causes),
        around=(*surroundings(record), *((line, ()) for line in disagreements(record))),
    )


def _bar(stage: Mapping[str, Any], whole_ms: float) -> Bar:
    return Bar(
        stage["stage"],
        TITLES[stage["stage"]],
        stage_colour(stage["stage"]),
        100 * stage["start_ms"] / whole_ms,
        100 * stage["duration_ms"] / whole_ms,
        stage["duration_ms"],
        took(stage["duration_ms"]),
        f"{stage['share']:.0%}",
    )
