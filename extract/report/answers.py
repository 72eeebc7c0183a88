"""Which side is shown to be better in a scenario, by how much, and how sure that is."""

from collections.abc import Iterator
from dataclasses import dataclass

from extract import clock_doubts, deciding, words
from extract.deciding import Sure
from extract.doubts import Doubt
from extract.judge import compare_all
from extract.report.figures import middle
from extract.report.view import Run, View
from extract.verdict import Comparison
from extract.words import Number


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
        return deciding.sure(self.comparison)

    @property
    def kinds(self) -> str:
        """List the kinds of doubt about it."""
        return deciding.kinds(self.comparison)

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
    compared = [claim.comparison for claim in headline]
    first = deciding.first(compared, scheduled=view.scheduled)
    primary = next(claim for claim in headline if claim.comparison is first)
    others = tuple(c for c in claims if c not in headline)
    return Answer(deciding.choose(compared), primary, headline, others)


def clocks(run: Run, view: View) -> dict[str, list[Doubt]]:
    """Return, by variant, how far clocks of other hosts are off: crossing intervals contain it."""
    found = {v: list(clock_doubts.doubts(run.data.clocks, view.name, [v])) for v in view.variants}
    return {variant: doubts for variant, doubts in found.items() if doubts}


def _claims(run: Run, view: View, baseline: str) -> Iterator[Claim]:
    results, audit = (t[t["scenario"] == view.name] for t in (run.data.results, run.data.audit))
    if baseline not in set(results["variant"]):
        return
    known = set(results["variant"]) | set(audit["variant"])
    figures = deciding.metrics(results[results["source"] == "promql"])
    off = {(view.name, variant): doubts for variant, doubts in clocks(run, view).items()}
    # The headline pair is a family by itself: what else was measured makes no claim of it harder.
    for challengers in ([view.variants[0]], view.variants[2:]):
        found = {
            (c.challenger.variant, c.metric): c
            for c in compare_all(
                results, audit, baseline=baseline, metrics=figures, timed=run.overhead,
                challengers=[v for v in challengers if v in known], known=off,
            )
        }  # fmt: skip
        for variant in challengers:
            for metric in figures:
                if (variant, metric) in found:
                    yield _claim(view, deciding.FIGURES[metric], found[variant, metric])


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
