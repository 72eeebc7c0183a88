"""Which side is shown to be better in a scenario, by how much, and how sure that is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from extract.judge import compare_all
from extract.report import words
from extract.report.figures import middle
from extract.report.view import Run, View
from extract.report.words import Number
from extract.verdict import Comparison, Outcome

#: What decides between two sides. They are a family: each further one makes every claim harder.
DECIDING = {
    "throughput": "throughput",
    "end_to_end_p99": "end-to-end time of the slowest 1 %",
    "worker_cpu_per_1000": "CPU time for 1,000 tasks",
    "worker_memory_peak": "peak memory",
    "tasks_failed": "number of failed tasks",
}
_PROVEN = {Outcome.BETTER, Outcome.WORSE, Outcome.EQUIVALENT}

type Sure = Literal["proven", "proven, with doubts", "open", "no verdict"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One deciding figure of two sides, for people; `ratio` is challenger to baseline."""

    label: str
    comparison: Comparison
    ratio: Number | None
    interval: str
    challenger: Number | None
    baseline: Number | None

    @property
    def sure(self) -> Sure:
        """Say in a word how sure the claim is."""
        if self.comparison.reason:
            return "no verdict"
        if self.comparison.outcome not in _PROVEN:
            return "open"
        return "proven, with doubts" if self.comparison.doubts else "proven"

    @property
    def than(self) -> str:
        """Return what follows the ratio before the other side's name."""
        return "as" if self.ratio and self.ratio.text.endswith("as high") else "than"


@dataclass(frozen=True, slots=True)
class Answer:
    """A scenario's verdict: whom to choose, on what claim that rests first, and all claims."""

    choice: str
    primary: Claim | None = None
    claims: tuple[Claim, ...] = ()
    others: tuple[Claim, ...] = ()


def answer(run: Run, view: View) -> Answer:
    """Answer for the headline pair, and compare all other variants with the same baseline."""
    if len(view.variants) == 1:
        return Answer(f"Nothing to compare: only {view.variants[0]} was measured")
    challenger, baseline = view.variants[:2]
    claims = list(_claims(run, view, baseline))
    headline = tuple(c for c in claims if c.comparison.challenger.variant == challenger)
    if not headline:
        return Answer(f"No verdict: {challenger} and {baseline} have no figures to compare")
    wanted = "end_to_end_p99" if view.scheduled else "throughput"
    primary = next((c for c in headline if c.comparison.metric == wanted), headline[0])
    others = tuple(c for c in claims if c not in headline)
    return Answer(choose(challenger, baseline, headline), primary, headline, others)


def choose(challenger: str, baseline: str, claims: Sequence[Claim]) -> str:
    """Say which side to choose, if the claims show one to be better."""
    better, worse = (
        [c.label for c in claims if c.comparison.outcome is outcome]
        for outcome in (Outcome.BETTER, Outcome.WORSE)
    )
    if better and worse:
        return f"{challenger} for {_listed(better)}; {baseline} for {_listed(worse)}"
    if better or worse:
        return f"Choose {challenger if better else baseline}"
    if all(c.comparison.outcome is Outcome.EQUIVALENT for c in claims):
        return f"Either will do: {challenger} and {baseline} are equivalent"
    return f"No choice yet: neither {challenger} nor {baseline} is shown to be better"


def _listed(labels: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(labels[:-1]), labels[-1]]))


def _claims(run: Run, view: View, baseline: str) -> Iterator[Claim]:
    results, audit = (t[t["scenario"] == view.name] for t in (run.data.results, run.data.audit))
    if baseline not in set(results["variant"]):
        return
    known = {(name, view.variants[0]): cost.doubts for name, cost in run.costs.items()}
    found = compare_all(results, audit, baseline=baseline, metrics=_metrics(results), known=known)
    by_metric = {(c.challenger.variant, c.metric): c for c in found}
    for variant in view.variants:
        for metric, label in DECIDING.items():
            if (variant, metric) in by_metric:
                yield _claim(view, label, by_metric[variant, metric])


def _metrics(results: pd.DataFrame) -> list[str]:
    """Leave out failures where there are none: that both have none decides nothing."""
    known = results[results["source"] == "promql"].groupby("metric")["value"].max()
    return [
        metric for metric in DECIDING
        if metric in known and (metric != "tasks_failed" or known[metric] > 0)
    ]  # fmt: skip


def _claim(view: View, label: str, comparison: Comparison) -> Claim:
    figure = comparison.ratio
    ends = tuple(end for end in (figure.lower, figure.upper) if end is not None)
    interval = ""
    if figure.value is not None and set(ends) - {figure.value}:
        interval = words.interval(figure.value, figure.lower, figure.upper)
    sides = (
        middle(view, comparison.metric, side.variant, comparison.unit)
        for side in (comparison.challenger, comparison.baseline)
    )
    return Claim(label, comparison, _ratio(comparison, ends), interval, *sides)


def _ratio(comparison: Comparison, ends: tuple[float, ...]) -> Number | None:
    if comparison.ratio.value is None:
        return None
    bound = f"{comparison.bound} " if comparison.bound else ""
    return Number(
        bound + words.ratio(comparison.ratio.value, ends),
        comparison.ratio.value,
        comparison.metric,
        f"ratio of {comparison.metric} by PromQL, block by block: {comparison.sentence}",
        f"{comparison.challenger.variant}/{comparison.baseline.variant}",
    )
