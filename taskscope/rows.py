"""A comparison's figures in words, a row a metric: for the terminal and for Markdown alike."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from extract.conditions import Judgement, State
from extract.doubts import Doubt
from extract.verdict import Comparison as Verdict
from extract.verdict import Outcome, Side
from extract.wording import form_of
from instrumentation.buckets import BOUNDS_SECONDS
from taskscope import overhead_show
from taskscope.summary import Comparison, Summary

_SECOND, _MILLISECOND, _MEGABYTE, _LARGE = 1.0, 1e-3, 1e6, 1000
_ARROWS = {"higher": "↑", "lower": "↓", "neither": " "}
_LOWEST_SECONDS = BOUNDS_SECONDS[0]
_SHOWN = 3  # of what was found for each metric, the others being in --json
#: How many verdicts are spelled out where nothing says which of them decide.
_FEW = 5

type Write = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Row:
    """A metric: its name with unit, each side's value, the ratio with its interval, the verdict.

    `sides` are medians with their spread, `medians` without. `outcome` is that of the verdict,
    None where there is none.
    """

    label: str
    sides: tuple[str, ...]
    medians: tuple[str, ...]
    ratio: str = ""
    verdict: str = ""
    outcome: Outcome | None = None


def rows(comparison: Comparison) -> Iterator[Row]:
    """Yield a row for each metric that either side has."""
    for alone in comparison.alone:
        label, write = _label(alone.metric, alone.unit, alone.better, (alone.side,))
        yield Row(label, (_side(alone.metric, alone.side, write),),
                  (_centre(alone.metric, alone.side, write),))  # fmt: skip
    for found in filter(_shown, comparison.verdicts):
        label, write = scaled([found])
        yield row(label, found, write)


def row(label: str, found: Verdict, write: Write) -> Row:
    """Return the row of one verdict, its values written by `write`."""
    sides = (found.challenger, found.baseline)
    texts = tuple(_side(found.metric, side, write) for side in sides)
    short = tuple(_centre(found.metric, side, write) for side in sides)
    return Row(label, texts, short, _ratio(found), _verdict(found), found.outcome)


def scaled(some: Sequence[Verdict]) -> tuple[str, Write]:
    """Return the label of a metric, and how to write its values, of all these verdicts on it."""
    one = some[0]
    sides = [side for found in some for side in (found.challenger, found.baseline)]
    return _label(one.metric, one.unit, one.better, sides)


def deciding(comparison: Comparison) -> list[Verdict]:
    """Return the verdicts on what decides, or all that were asked for, if they have anything."""
    first = comparison.deciding or len(comparison.verdicts)
    return [v for v in comparison.verdicts[:first] if _shown(v)]


def names(comparison: Comparison) -> list[str]:
    """Return the names of the sides that there are."""
    return [name for name in (comparison.first, comparison.second) if name]


def repetitions(comparison: Comparison) -> list[int]:
    """Return how many valid repetitions each side has."""
    if comparison.alone or not comparison.second:
        return [max((len(a.side.values) for a in comparison.alone), default=0)]
    pairs = [(v.challenger, v.baseline) for v in comparison.verdicts]
    return [max((len(pair[i].values) for pair in pairs), default=0) for i in (0, 1)]


def sentences(comparison: Comparison) -> list[str]:
    """Return the verdicts that are spelled out: those on what decides, or all of a few."""
    first = comparison.deciding or _FEW
    return [v.sentence for v in comparison.verdicts[:first]]


def answer(comparison: Comparison) -> list[str]:
    """Say whom to choose, why, by how much and how sure; else what is proven, or nothing."""
    found = comparison.answer
    if found is None:
        return sentences(comparison)
    return [f"{comparison.title}: {found.choice}", found.how_much, found.sure, found.why]


def sections(comparison: Comparison) -> list[tuple[str, list[Row]]]:
    """Return the rows under what they are: what decides, and further figures."""
    every = list(rows(comparison))
    if not comparison.deciding:
        return [("", every)]
    first = sum(_shown(v) for v in comparison.verdicts[: comparison.deciding])
    return [("What decides", every[:first]), ("Further figures", every[first:])]


def _shown(found: Verdict) -> bool:
    return any(side.values for side in (found.challenger, found.baseline))


def _label(metric: str, unit: str, better: str, sides: Sequence[Side]) -> tuple[str, Write]:
    unit, write = _scale(unit, sides)
    label = f"{_ARROWS[better]} {metric.replace('_', ' ')}"
    return (label if unit in metric else f"{label}, {unit}"), write


def _scale(unit: str, sides: Sequence[Side]) -> tuple[str, Write]:
    """Choose one unit for both sides, so that the eye can compare."""
    largest = max((median(side.values) for side in sides if side.values), default=0.0)
    if unit == "s" and largest < _SECOND:
        factor, unit = (1e3, "ms") if largest >= _MILLISECOND else (1e6, "µs")
        return unit, lambda value: f"{value * factor:,.4g}"
    if unit == "bytes" and largest >= _MEGABYTE:
        return "MB", lambda value: f"{value / _MEGABYTE:,.0f}"
    return unit, lambda value: f"{value:,.0f}" if abs(value) >= _LARGE else f"{value:.3g}"


def _centre(metric: str, side: Side, write: Write) -> str:
    if not side.values:
        return "none"
    centre = median(side.values)
    if re.search(r"_p\d+$", metric) and centre <= _LOWEST_SECONDS:
        return f"< {_LOWEST_SECONDS * 1e6:.0f} µs"  # nothing but the bucket's bound is known
    return write(centre)


def _side(metric: str, side: Side, write: Write) -> str:
    text = _centre(metric, side, write)
    lowest, highest = min(side.values, default=0.0), max(side.values, default=0.0)
    if text.startswith("<") or lowest == highest:
        return text
    half_range, centre = (highest - lowest) / 2, median(side.values)
    if half_range >= centre:  # a percentage would say little
        return f"{text} [{write(lowest)} .. {write(highest)}]"
    return f"{text} ±{half_range / centre:.1%}"


def _ratio(found: Verdict) -> str:
    """Write the ratio with its interval, or nothing where a value of 0 has none."""
    figure = found.ratio
    if figure.value is None:
        return ""
    ends = [end for end in (figure.lower, figure.upper) if end is not None]
    if not ends or set(ends) == {figure.value}:
        return f"{figure.value:.3g}"
    form = form_of(figure.value, ends, 1.0)
    at = {"at most": "≤ ", "at least": "≥ ", "": ""}[found.bound]
    return f"{at}{figure.value:{form}} ({at if len(ends) == 1 else ''}{_to(ends, form)})"


def _to(ends: Sequence[float], form: str) -> str:
    return " to ".join(f"{end:{form}}" for end in ends)


def _verdict(found: Verdict) -> str:
    if found.reason:
        return "no verdict"
    return found.outcome.value


def doubts(comparison: Comparison) -> Iterator[str]:
    """Yield each kind of doubt once: which figures it concerns, what was found, the remedy.

    Those on further figures are only counted, where it is known what decides.
    """
    first = comparison.deciding or len(comparison.verdicts)
    verdicts, others = comparison.verdicts[:first], comparison.verdicts[first:]
    every = [(v.metric, doubt) for v in verdicts for doubt in v.doubts]
    for kind in dict.fromkeys(doubt.kind for _, doubt in every):
        mine = [(metric, doubt) for metric, doubt in every if doubt.kind == kind]
        concerned = list(dict.fromkeys(metric.replace("_", " ") for metric, _ in mine))
        where = "all" if len(concerned) == len(verdicts) else ", ".join(concerned)
        yield f"{kind} ({where}): {_found(mine)}. {_remedies(mine)}"
    kinds = Counter(kind for v in others for kind in {doubt.kind for doubt in v.doubts})
    if kinds:
        counts = ", ".join(f"{kind} ({count})" for kind, count in kinds.items())
        yield f"about further figures: {counts}. See them with --metric, or --json."


def _found(doubted: Sequence[tuple[str, Doubt]]) -> str:
    found = list(dict.fromkeys(doubt.found for _, doubt in doubted))
    more = f"; and {len(found) - _SHOWN} more like it" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more


def _remedies(doubted: Sequence[tuple[str, Doubt]]) -> str:
    return " ".join(dict.fromkeys(doubt.remedy for _, doubt in doubted))


def overhead(comparison: Comparison) -> str:
    """Say what instrumentation costs the sides; "" where that is not known."""
    costs = comparison.overhead
    return overhead_show.sentence(costs, names(comparison)) if costs else ""


def clocks(comparison: Comparison) -> list[str]:
    """Say how far other hosts' clocks are off, where no doubt of a verdict does."""
    return [f"Clocks: {said}." for said in comparison.clocks] if not comparison.second else []


def audited(run: Summary, *, name: str = "") -> tuple[list[str], bool]:
    """Return the audit's word on a run, and whether all is well; `name` says which run it is."""
    of = f" of {name}" if name else ""
    lines = []
    if run.measured < run.planned:
        cells = f"{run.measured} of {run.planned} cells were measured"
        lines.append(f"The run{of} ended early: {cells}.")
    if run.valid == run.measured:
        return [*lines, f"Audit{of}: all {run.measured} cells are exact."], not lines
    bad = run.measured - run.valid
    text = f"Audit{of}: {bad} of {run.measured} cells are invalid and left out:"
    return [*lines, text, *run.invalid], False


def audits(summary: Summary) -> Iterator[tuple[list[str], bool]]:
    """Yield the audit's word on each run."""
    if summary.baseline is None:
        yield audited(summary)
    else:
        yield audited(summary, name=summary.directory)
        yield audited(summary.baseline, name=f"the baseline {summary.baseline.directory}")


def runs(summary: Summary) -> list[str]:
    """Say which two runs are compared, and what differs between them; nothing for one run."""
    older = summary.baseline
    if older is None:
        return []
    sides = f"{summary.directory} ({summary.created}) against {older.directory} ({older.created})"
    machines = [str(d) for d in summary.differences if d.what == "machine"]
    versions = [str(d) for d in summary.differences if d.what == "version"]
    changed = dict.fromkeys(
        f"{d.scope[1] if d.scope else ''}: {d}" for d in summary.differences if d.what == "setting"
    )
    return [
        f"Two runs, made at different times: {sides}.",
        f"Machine: {'; '.join(machines) or 'the same'}.",
        f"Versions: {'; '.join(versions) or 'the same'}.",
        f"Settings: {'; '.join(changed) or 'the same'}.",
    ]


MARKS = {State.FIRED: "✗", State.HELD: "✓", State.UNDECIDED: "?"}


def judged(judgement: Judgement) -> str:
    """Write a condition's judgement with its mark."""
    return f"{MARKS[judgement.state]} {judgement.sentence}"


def settings(comparison: Comparison) -> Iterator[tuple[str, list[str]]]:
    """Yield each setting that either side has, the descriptions last."""
    known = list(comparison.settings.values())
    keys = dict.fromkeys(key for side in known for key in side if key != "description")
    for key in [*keys, "description"]:
        yield key, [str(side.get(key, "")) for side in known]
