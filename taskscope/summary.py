"""What a run's outcome is, as one record: for the tables below it, Markdown and --json alike."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from compose.frameworks import in_flight
from extract import clock_doubts, judge, overhead, verdict
from extract.conditions import Judgement
from extract.dataset import Dataset, valid_cells
from extract.doubts import Doubt
from extract.judge import Alone
from extract.manifest import Manifest
from extract.overhead import Ledger
from taskscope.differences import Difference
from taskscope.overhead_show import percent, shift

#: The figures that a person looks at first, and a family of comparisons unless --metric says
#: otherwise: each further one makes every claim harder. All others are in the dataset.
HEADLINE_METRICS = (
    "throughput",
    "end_to_end_p50", "end_to_end_p99", "execution_p50", "prefetch_wait_p50", "broker_wait_p50",
    "enqueue_rate", "schedule_lag_p99", "queue_depth_max",
    "worker_cpu_cores", "worker_cpu_per_1000", "worker_memory_peak",
    "broker_cpu_per_1000", "broker_commands_per_task", "tasks_failed", "tasks_retried",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Two variants of one scenario, or one variant of two runs: the first against the second.

    `second` is "" where there is only one to show: then `alone` has its figures, and there is no
    verdict. `overhead` says what instrumentation costs both, where that was measured.
    """

    scenario: str
    title: str
    first: str
    second: str
    verdicts: tuple[verdict.Comparison, ...]
    alone: tuple[Alone, ...]
    settings: Mapping[str, Mapping[str, Any]]
    overhead: Ledger | None = None
    #: How far the clocks of other hosts are off, where tasks crossed from one to another.
    clocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """A run's comparisons, the audit of all its cells, and where it lies.

    `baseline` is the older run, if the comparisons are with one, and `differences` what else
    differs between the two; `judgements` are those of the conditions that were asked.
    """

    directory: str
    session: str
    created: str
    status: str
    comparisons: tuple[Comparison, ...]
    planned: int
    measured: int
    valid: int
    invalid: tuple[str, ...]
    baseline: "Summary | None" = None
    differences: tuple[Difference, ...] = ()
    judgements: tuple[Judgement, ...] = ()

    @property
    def trustworthy(self) -> bool:
        """Whether each run was finished and every cell passed its audit."""
        itself = self.status == "complete" and self.valid == self.planned
        return itself and (self.baseline is None or self.baseline.trustworthy)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        plain = asdict(self)
        del plain["judgements"]
        plain["baseline"] = self.baseline and self.baseline.as_json()
        conditions = [_condition(judgement) for judgement in self.judgements]
        return {**plain, "trustworthy": self.trustworthy, "conditions": conditions}


def _condition(judgement: Judgement) -> dict[str, Any]:
    found = judgement.comparison
    return {
        "condition": str(judgement.condition),
        "state": judgement.state,
        "sentence": judgement.sentence,
        "scenario": found and found.scenario,
        "challenger": found and found.challenger.variant,
        "baseline": found and found.baseline.variant,
    }


def summarise(  # noqa: PLR0913 - each narrows the question
    directory: Path,
    manifest: Manifest,
    data: Dataset,
    pair: tuple[str, str] | None = None,
    *,
    metrics: Collection[str] = HEADLINE_METRICS,
    margin: float = 0.05,
    source: str = "promql",
) -> Summary:
    """Compare each scenario's headline pair, or `pair` where the scenario has both.

    QuestionError where the margin is none.
    """
    timed = overhead.read(directory / "dataset")
    comparisons = []
    for scenario in manifest.scenarios:
        chosen = pair or headline(scenario)
        if {v["name"] for v in scenario["variants"]} >= set(chosen) - {""}:
            costs = None if timed is None else overhead.ledger(timed, scenario["name"], chosen)
            answers = _Answers(data, scenario["name"], source, costs)
            verdicts, alone = _figures(answers, chosen, metrics, margin)
            comparisons.append(Comparison(
                scenario["name"],
                scenario["title"],
                *chosen,
                verdicts=ordered(verdicts, metrics),
                alone=alone,
                settings={
                    v["name"]: settings(scenario, v)
                    for name in chosen for v in scenario["variants"] if v["name"] == name
                },
                overhead=costs,
                clocks=tuple(
                    doubt.found
                    for doubt in clock_doubts.doubts(data.clocks, scenario["name"], chosen)
                ),
            ))  # fmt: skip
    return of_cells(directory, manifest, data, comparisons)


@dataclass(frozen=True)
class _Answers:
    """What the dataset has of one scenario, by one source, and what instrumentation costs there."""

    data: Dataset
    scenario: str
    source: str
    costs: Ledger | None

    @property
    def results(self) -> pd.DataFrame:
        rows = self.data.results
        return rows[(rows["scenario"] == self.scenario) & (rows["source"] == self.source)]

    @property
    def audit(self) -> pd.DataFrame:
        return self.data.audit[self.data.audit["scenario"] == self.scenario]


def _figures(
    answers: _Answers, pair: tuple[str, str], metrics: Collection[str], margin: float
) -> tuple[list[verdict.Comparison], tuple[Alone, ...]]:
    results, audit, source = answers.results, answers.audit, answers.source
    first, second = pair
    # A variant without a measured cell is in no table, and cannot be asked for.
    unmeasured = {name for name in pair if name} - set(results["variant"]) - set(audit["variant"])
    if unmeasured:
        return [], ()
    if not second:
        found = {
            alone.metric: alone
            for alone in judge.describe(results, audit, answers.scenario, first, source)
        }
        return [], tuple(found[metric] for metric in metrics if metric in found)
    known = set(results["metric"])
    return judge.compare_all(
        results, audit, baseline=second, challengers=[first], margin=margin, source=source,
        metrics=[metric for metric in metrics if metric in known],
        known={(answers.scenario, first): [
            *doubts(answers.costs, pair),
            *clock_doubts.doubts(answers.data.clocks, answers.scenario, pair),
        ]},
    ), ()  # fmt: skip


def doubts(costs: Ledger | None, pair: tuple[str, str]) -> Iterator[Doubt]:
    """Yield a doubt where instrumentation is shown to cost one side more than the other."""
    bias = shift(costs, pair) if costs else None
    if bias and bias.nonzero:
        yield Doubt(
            "ledger",
            f"instrumentation shifts the ratio of their throughputs by {percent(bias)}",
            "A difference that is no larger may be the instrumentation's own.",
        )


def ordered(
    verdicts: Sequence[verdict.Comparison], metrics: Collection[str]
) -> tuple[verdict.Comparison, ...]:
    """Return the verdicts in the order in which their metrics were asked for."""
    places = {metric: place for place, metric in enumerate(metrics)}
    return tuple(sorted(verdicts, key=lambda v: places[v.metric]))


def of_cells(
    directory: Path, manifest: Manifest, data: Dataset, comparisons: Sequence[Comparison] = ()
) -> Summary:
    """Return the summary of a run with these comparisons."""
    return Summary(
        directory=str(directory),
        session=manifest.session,
        created=manifest.created,
        status=manifest.status,
        comparisons=tuple(comparisons),
        planned=len(manifest.order),
        measured=len(manifest.cells),
        valid=len(valid_cells(data.audit, manifest.cells)),
        invalid=tuple(_reasons(data)),
    )


def headline(scenario: Mapping[str, Any]) -> tuple[str, str]:
    """Return the pair that is compared unless one asks otherwise; ("x", "") with one variant."""
    first, second = scenario["headline"] or (scenario["variants"][0]["name"], "")
    return first, second


def settings(scenario: Mapping[str, Any], variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return what both sides have in common, then what each has of its own."""
    common = {
        "framework": variant["framework"],
        "concurrency": scenario["run"]["concurrency"],
        "tasks": scenario["workload"]["count"],
        "warm-up tasks": scenario["run"]["warmup"],
        "arrivals": scenario["load"]["arrivals"]["kind"],
        "publishes in flight": in_flight(variant["framework"], scenario["load"]["in_flight"]),
    }
    return {
        **common,
        **variant["settings"],
        "description": " ".join(variant["description"].split()),
    }


def _reasons(data: Dataset) -> Iterator[str]:
    failed = data.audit[~data.audit["ok"].astype(bool)]
    for row in failed.to_dict("records"):
        yield (
            f"{row['scenario']}, {row['variant']} repetition {row['repetition']}: {row['check']}: "
            f"{row['found']}. {row['remedy']}"
        )
