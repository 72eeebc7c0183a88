"""Compare all: every metric of every variant against the baseline, with a verdict on each.

    for comparison in compare_all(results, audit, baseline="celery-prefork", margin=0.05):
        print(comparison.sentence)

The comparisons of one scenario in one call are a family, and are corrected for each other: asking
for few metrics leaves more power for each.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

import queries
from extract import doubts, figures
from extract.blocks import Cells, Pair, Values, audited, read_values
from extract.clocks import CROSSING
from extract.doubts import Doubt
from extract.evidence import Evidence, weigh
from extract.figures import Case
from extract.overhead import Ledger, ledger
from extract.questions import QuestionError, require
from extract.two_samples import ratio_of_medians, unpaired
from extract.verdict import DIFFERENT, Comparison, Side, decide
from extract.wording import sentence

type Known = Callable[[Pair], Iterable[Doubt]]
type Costs = Callable[[Pair], Ledger | None]


@dataclass(frozen=True, slots=True)
class _Question:
    baseline: str
    margin: float
    challengers: frozenset[str] | None
    metrics: frozenset[str] | None
    known: Mapping[tuple[str, str], Sequence[Doubt]]
    timed: pd.DataFrame | None

    def costs(self, pair: Pair) -> Ledger | None:
        """Return what instrumentation costs both sides, where that was timed."""
        sides = (pair.challenger.variant, pair.baseline.variant)
        return None if self.timed is None else ledger(self.timed, pair.scenario, sides)

    def doubts(self, pair: Pair) -> Iterator[Doubt]:
        """Yield the known doubts about either side."""
        for side in (pair.challenger, pair.baseline):
            for doubt in self.known.get((pair.scenario, side.variant), ()):
                if doubt.kind != "clocks" or pair.metric.startswith(CROSSING):
                    yield doubt


@dataclass(frozen=True, slots=True)
class _Answers:
    cells: Mapping[tuple[str, str], Cells]
    sides: Mapping[tuple[str, str, str], Values]

    def doubts(self, pair: Pair) -> Iterator[Doubt]:
        """Yield what other figures of either side say against this one."""
        if pair.metric != "throughput":
            return
        for side in (pair.challenger, pair.baseline):
            sent, late = (
                self.sides.get((pair.scenario, metric, side.variant))
                for metric in ("enqueue_rate", "schedule_lag_p99")
            )
            yield from doubts.of_client(side, sent, late)


def compare_all(  # noqa: PLR0913 - each narrows the question; only the baseline must be said
    results: pd.DataFrame,
    audit: pd.DataFrame,
    *,
    baseline: str,
    margin: float = 0.05,
    challengers: Iterable[str] | None = None,
    metrics: Iterable[str] | None = None,
    source: str = "promql",
    known: Mapping[tuple[str, str], Sequence[Doubt]] | None = None,
    timed: pd.DataFrame | None = None,
) -> list[Comparison]:
    """Compare every challenger with the baseline, in every scenario that has the baseline.

    `results` and `audit` are the dataset's tables; `margin` is relative (0.05: within 5 %);
    `challengers` and `metrics` are all that there are unless named; `known` are doubts found
    elsewhere, by scenario and variant; `timed` are the figures of the overhead ledger, where there
    is one. QuestionError where a name is unknown or the margin is none.
    """
    question = _Question(
        baseline,
        margin,
        None if challengers is None else frozenset(challengers),
        None if metrics is None else frozenset(metrics),
        known or {},
        timed,
    )
    chosen = results[results["source"] == source]
    cells = audited(chosen, audit)
    answers = _Answers(cells, read_values(chosen, cells))
    _check(question, answers)
    scenarios = dict.fromkeys(scenario for scenario, _ in cells if (scenario, baseline) in cells)
    return [
        comparison
        for scenario in scenarios
        for comparison in family(
            _pairs(scenario, question, answers),
            margin,
            lambda pair: (*question.doubts(pair), *answers.doubts(pair)),
            question.costs,
        )
    ]


@dataclass(frozen=True, slots=True)
class Alone:
    """One metric of a variant that is compared with none."""

    metric: str
    unit: str
    better: str
    side: Side


def describe(
    results: pd.DataFrame, audit: pd.DataFrame, scenario: str, variant: str, source: str = "promql"
) -> Iterator[Alone]:
    """Yield each metric of one variant by itself."""
    chosen = results[results["source"] == source]
    for (found, metric, name), values in read_values(chosen, audited(chosen, audit)).items():
        if (found, name) == (scenario, variant) and values.by_block:
            yield Alone(metric, values.unit, _better(metric), figures.side(values))


def _better(metric: str) -> str:
    query = queries.catalogue().get(metric)
    return query.better if query else "neither"


def _check(question: _Question, answers: _Answers) -> None:
    variants = {variant for _, variant in answers.cells}
    for variant in (question.baseline, *sorted(question.challengers or ())):
        require("variant", variant, variants)
    for metric in sorted(question.metrics or ()):
        require("metric", metric, {metric for _, metric, _ in answers.sides})
    check_margin(question.margin)


def check_margin(margin: float) -> None:
    """QuestionError unless it is a positive number."""
    if not 0 < margin < math.inf:
        raise QuestionError(f"a margin of {margin} is none", "Say 0.05 for 5 %.")


def family(
    pairs: Iterable[Pair], margin: float, known: Known, costs: Costs = lambda _: None
) -> Iterator[Comparison]:
    """Yield the comparison of each pair, all of them corrected for each other."""
    cases = [figures.case(pair) for pair in pairs]
    weighed = weigh([(case.contrast, case.pair.bound) for case in cases], margin)
    for case, evidence in zip(cases, weighed, strict=True):
        found = _compared(case, evidence, margin, known, costs)
        yield replace(found, sentence=sentence(found))


def _pairs(scenario: str, question: _Question, answers: _Answers) -> Iterator[Pair]:
    """Yield each metric that either side has, of each challenger: variants in order of name."""
    metrics = dict.fromkeys(metric for s, metric, _ in answers.sides if s == scenario)
    others = sorted(v for s, v in answers.cells if s == scenario and v != question.baseline)
    for variant in others:
        if question.challengers is not None and variant not in question.challengers:
            continue
        for metric in metrics:
            if question.metrics is not None and metric not in question.metrics:
                continue
            keys = [(scenario, metric, v) for v in (variant, question.baseline)]
            if any(key in answers.sides for key in keys):
                challenger, base = (_side(key, answers) for key in keys)
                yield Pair(scenario, metric, challenger, base)


def _side(key: tuple[str, str, str], answers: _Answers) -> Values:
    """Return the values, none of which need be valid; or none, where the variant has no such."""
    scenario, _, variant = key
    return answers.sides.get(key) or Values(variant, answers.cells[scenario, variant])


def _compared(
    case: Case, evidence: Evidence, margin: float, known: Known, costs: Costs
) -> Comparison:
    pair, found = case.pair, case.contrast
    better = _better(pair.metric)
    challenger, baseline = figures.side(pair.challenger), figures.side(pair.baseline)
    outcome = decide(evidence, found.centre if found else 0.0, better)
    trimmed, otherwise, odd = figures.without_outliers(case, evidence, margin, better)
    doubted = (
        *doubts.of_cells(pair),
        *doubts.of_spread(pair),
        *doubts.of_resolution(pair, found),
        *doubts.of_outliers(odd, outcome, otherwise),
        *doubts.of_ledger(pair, found, None if outcome in DIFFERENT else margin, costs(pair)),
        *known(pair),
    )
    return Comparison(
        scenario=pair.scenario,
        metric=pair.metric,
        unit=pair.challenger.unit or pair.baseline.unit,
        better=better,
        margin=margin,
        challenger=challenger,
        baseline=baseline,
        blocks=doubts.name(pair.blocks),
        size=pair.size,
        deciding=found.scale if found and not case.reason else "",
        bound=pair.bound,
        ratio=figures.ratio(case),
        difference=figures.difference(case),
        without_outliers=trimmed,
        ratio_of_medians=ratio_of_medians(*pair.samples(), paired=not pair.separate),
        unpaired=unpaired(challenger.values, baseline.values),
        evidence=evidence,
        smallest_effect=figures.smallest_effect(case, evidence),
        more_repetitions=figures.more_repetitions(case, evidence, outcome, margin),
        outcome=outcome,
        reason=case.reason,
        doubts=doubted,
    )
