"""What a run's outcome is, as one record: for the tables below it, Markdown and --json alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from compose.frameworks import in_flight
from extract import clock_doubts, deciding, judge, overhead, verdict
from extract.conditions import Judgement
from extract.dataset import Dataset, valid_cells
from extract.judge import Alone
from extract.manifest import Manifest
from extract.overhead import Ledger
from taskscope.differences import Difference

#: The figures that a person looks at after those that decide (`extract/deciding.py`): a family of
#: comparisons of their own, so that they make no claim of the others harder.
FURTHER = (
    "throughput",
    "end_to_end_p50", "end_to_end_p99", "execution_p50", "prefetch_wait_p50", "broker_wait_p50",
    "enqueue_rate", "schedule_lag_p99", "queue_depth_max",
    "worker_cpu_cores", "worker_cpu_per_1000", "worker_memory_peak",
    "broker_cpu_per_1000", "broker_commands_per_task", "tasks_failed", "tasks_retried",
)  # fmt: skip

type Metrics = Sequence[str]


def families(results: pd.DataFrame, asked: Metrics = (), also: Metrics = ()) -> tuple[Metrics, ...]:
    """Return which figures are compared as families: what decides, and all further ones.

    Or, where some were asked for, these and `also` as the only one. `results` are of one source.
    """
    known = set(results["metric"])
    if asked:
        return ([m for m in dict.fromkeys([*asked, *also]) if m in known],)
    first = deciding.metrics(results)
    others = dict.fromkeys([*FURTHER, *also])
    return first, [m for m in others if m in known and m not in first]


@dataclass(frozen=True)
class Answer:
    """Whom to choose of two sides, why, by how much, and how sure that is: in words."""

    choice: str
    why: str
    how_much: str
    sure: str


@dataclass(frozen=True)
class Comparison:
    """Two variants of one scenario, or one variant of two runs: the first against the second.

    `second` is "" where there is only one to show: then `alone` has its figures, and there is no
    verdict. The verdicts on what decides come first: `deciding` says how many these are, and
    `answer` what they amount to, unless other figures were asked for or two runs are compared.
    `overhead` says what instrumentation costs both, where that was measured.
    """

    scenario: str
    title: str
    first: str
    second: str
    verdicts: tuple[verdict.Comparison, ...]
    alone: tuple[Alone, ...]
    settings: Mapping[str, Mapping[str, Any]]
    overhead: Ledger | None = None
    deciding: int = 0
    answer: Answer | None = None
    #: How far the clocks of other hosts are off, where tasks crossed from one to another.
    clocks: tuple[str, ...] = ()
    #: Of a point of a matrix: the scenario that it belongs to, and where it is.
    family: str = ""
    point: Mapping[str, float] = field(default_factory=dict)


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
    asked: Metrics = (),
    also: Metrics = (),
    margin: float = 0.05,
    source: str = "promql",
) -> Summary:
    """Compare each scenario's headline pair, or `pair` where the scenario has both.

    `asked` and `also` are as in `families`. QuestionError where the margin is none.
    """
    timed = overhead.read(directory / "dataset")
    comparisons = []
    for scenario in manifest.scenarios:
        chosen = pair or headline(scenario)
        if {v["name"] for v in scenario["variants"]} >= set(chosen) - {""}:
            answers = _Answers(data, scenario["name"], source, timed)
            groups = families(answers.results, asked, also)
            verdicts, alone = _figures(answers, chosen, groups, margin)
            comparisons.append(Comparison(
                scenario["name"],
                scenario["title"],
                *chosen,
                verdicts=tuple(verdict for group in verdicts for verdict in group),
                alone=alone,
                settings={
                    v["name"]: settings(scenario, v)
                    for name in chosen for v in scenario["variants"] if v["name"] == name
                },
                overhead=None if timed is None else overhead.ledger(
                    timed, scenario["name"], chosen),
                deciding=len(verdicts[0]) if len(verdicts) > 1 else 0,
                answer=_answer(scenario, verdicts[0]) if len(verdicts) > 1 else None,
                clocks=tuple(
                    doubt.found
                    for doubt in clock_doubts.doubts(data.clocks, scenario["name"], chosen)
                ),
                family=str(scenario.get("family") or ""),
                point=scenario.get("point", {}),
            ))  # fmt: skip
    return of_cells(directory, manifest, data, comparisons)


@dataclass(frozen=True)
class _Answers:
    """What the dataset has of one scenario, by one source, and the figures of the ledger."""

    data: Dataset
    scenario: str
    source: str
    timed: pd.DataFrame | None

    @property
    def results(self) -> pd.DataFrame:
        rows = self.data.results
        return rows[(rows["scenario"] == self.scenario) & (rows["source"] == self.source)]

    @property
    def audit(self) -> pd.DataFrame:
        return self.data.audit[self.data.audit["scenario"] == self.scenario]


def _figures(
    answers: _Answers, pair: tuple[str, str], groups: Sequence[Metrics], margin: float
) -> tuple[list[tuple[verdict.Comparison, ...]], tuple[Alone, ...]]:
    """Return the verdicts of each family; or the figures of the only one that there is."""
    results, audit, source = answers.results, answers.audit, answers.source
    first, second = pair
    # A variant without a measured cell is in no table, and cannot be asked for.
    unmeasured = {name for name in pair if name} - set(results["variant"]) - set(audit["variant"])
    if unmeasured:
        return [()], ()
    if not second:
        found = {
            alone.metric: alone
            for alone in judge.describe(results, audit, answers.scenario, first, source)
        }
        return [()], tuple(found[m] for group in groups for m in group if m in found)
    doubted = list(clock_doubts.doubts(answers.data.clocks, answers.scenario, pair))
    return [
        ordered(judge.compare_all(
            results, audit, baseline=second, challengers=[first], margin=margin, source=source,
            metrics=metrics, timed=answers.timed, known={(answers.scenario, first): doubted},
        ), metrics)
        for metrics in groups
    ], ()  # fmt: skip


def _answer(scenario: Mapping[str, Any], found: Sequence[verdict.Comparison]) -> Answer | None:
    scheduled = scenario["load"]["arrivals"]["kind"] != "asap"
    first = deciding.first(found, scheduled=scheduled)
    if first is None:
        return None
    sure = deciding.sure(first)
    kinds = f" ({deciding.kinds(first)})" if first.doubts else ""
    held = "." if not sure.startswith("proven") else (
        ": the chance that any verdict on what decides is wrong is at most 5 %"
        f"{', such doubts apart' if first.doubts else ''}.")  # fmt: skip
    return Answer(
        f"{deciding.choose(found)}.", deciding.why(found),
        deciding.how_much(first) or first.sentence, f"How sure: {sure}{kinds}{held}",
    )  # fmt: skip


def ordered(
    verdicts: Sequence[verdict.Comparison], metrics: Metrics
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
        "concurrency": variant.get("concurrency") or scenario["run"]["concurrency"],
        "workers": scenario["run"].get("workers", 1),
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
