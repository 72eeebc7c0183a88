"""What decides between two sides of a scenario, and what it amounts to: whom to choose, and why.

The terminal and the report say the same, since they ask for the same family of comparisons.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import pandas as pd

from extract import words
from extract.verdict import DIFFERENT, Comparison, Outcome

#: The figures that decide, and what people call them. They are a family of comparisons by
#: themselves: each further one would make every claim harder.
FIGURES: Final = {
    "throughput": "throughput",
    "end_to_end_p99": "end-to-end time of the slowest 1 %",
    "worker_cpu_per_1000": "CPU time for 1,000 tasks",
    "worker_memory_peak": "peak memory",
    "tasks_failed": "number of failed tasks",
}

type Sure = Literal["proven", "proven, with doubts", "inconclusive", "no verdict"]


def metrics(results: pd.DataFrame) -> list[str]:
    """Return those that these rows of `results` have, of one source.

    Failures decide only where there are any: that both sides have none decides nothing.
    """
    known = results.groupby("metric")["value"].max()
    return [m for m in FIGURES if m in known and (m != "tasks_failed" or known[m] > 0)]


def first(comparisons: Sequence[Comparison], *, scheduled: bool) -> Comparison | None:
    """Return the comparison that matters most; None of none.

    Where tasks are sent on a schedule, throughput is the schedule's, and the slowest 1 % lead.
    """
    wanted = "end_to_end_p99" if scheduled else "throughput"
    return next((c for c in comparisons if c.metric == wanted), next(iter(comparisons), None))


def choose(comparisons: Sequence[Comparison]) -> str:
    """Say which side to choose, if these show one to be better. Needs one comparison."""
    challenger, baseline = comparisons[0].challenger.variant, comparisons[0].baseline.variant
    better, worse = _labels(comparisons, Outcome.BETTER), _labels(comparisons, Outcome.WORSE)
    if better and worse:
        return f"{challenger} for {listed(better)}; {baseline} for {listed(worse)}"
    if better or worse:
        of_all = len(better or worse) == len(comparisons)
        reason = "" if of_all else f", for its {listed(better or worse)}"
        return f"Choose {challenger if better else baseline}{reason}"
    if all(c.outcome is Outcome.EQUIVALENT for c in comparisons):
        return f"Either will do: {challenger} and {baseline} are equivalent"
    return f"No choice yet: neither {challenger} nor {baseline} is shown to be better"


def why(comparisons: Sequence[Comparison]) -> str:
    """Say in a line what each of them shows of the first side: better in …; equivalent in …."""
    found = {
        outcome: _labels(comparisons, outcome)
        for outcome in (Outcome.BETTER, Outcome.WORSE, Outcome.EQUIVALENT, Outcome.INCONCLUSIVE)
    }
    parts = [f"{outcome} in {listed(labels)}" for outcome, labels in found.items() if labels]
    words = [f"{comparisons[0].challenger.variant} is {'; '.join(parts)}."] if parts else []
    if none := [_label(c) for c in comparisons if c.reason]:
        words.append(f"There is no verdict on {listed(none)}.")
    return " ".join(words)


def how_much(comparison: Comparison) -> str:
    """Say by how much, in numbers of both sides and their ratio; "" where there is no ratio."""
    ratio, sides = comparison.ratio, (comparison.challenger, comparison.baseline)
    medians = [side.median.value for side in sides]
    if ratio.value is None or None in medians or comparison.reason:
        return ""
    ends = tuple(end for end in (ratio.lower, ratio.upper) if end is not None)
    text = words.ratio(ratio.value, ends)
    than = "as" if text.endswith("as high") else "than"
    is_ = "is" if comparison.outcome in DIFFERENT | {Outcome.EQUIVALENT} else "looks"
    bound = f"{comparison.bound} " if comparison.bound else ""
    known = set(ends) - {ratio.value}
    interval = words.interval(ratio.value, ratio.lower, ratio.upper) if known else ""
    sure = f"95 % interval {interval}, {comparison.size}" if interval else comparison.size
    a, b = (words.quantity(m, comparison.unit) for m in medians if m is not None)
    return (
        f"The {_label(comparison)} of {sides[0].variant} {is_} {bound}{text} {than} that of "
        f"{sides[1].variant}: {a} against {b} ({sure})."
    )


def sure(comparison: Comparison) -> Sure:
    """Say in a word how sure a verdict is."""
    if comparison.reason:
        return "no verdict"
    if comparison.outcome is Outcome.INCONCLUSIVE:
        return "inconclusive"
    return "proven, with doubts" if comparison.doubts else "proven"


def kinds(comparison: Comparison) -> str:
    """List the kinds of doubt about it."""
    return ", ".join(dict.fromkeys(doubt.kind for doubt in comparison.doubts))


def listed(labels: Sequence[str]) -> str:
    """Write a list in words: a, b and c."""
    return " and ".join(filter(None, [", ".join(labels[:-1]), labels[-1]]))


def _labels(comparisons: Iterable[Comparison], outcome: Outcome) -> list[str]:
    return [_label(c) for c in comparisons if c.outcome is outcome and not c.reason]


def _label(comparison: Comparison) -> str:
    return FIGURES.get(comparison.metric, comparison.metric.replace("_", " "))
