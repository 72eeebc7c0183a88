"""`taskscope compare`: from what was asked to a summary with verdicts and judged conditions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from extract import clock_doubts
from extract.between import OLDER, Tables, compare_runs, shared
from extract.conditions import State, judge, parse_condition, parse_margin
from extract.dataset import Dataset
from extract.doubts import Doubt
from extract.manifest import Manifest
from extract.questions import QuestionError, require
from taskscope import differences, rundir, together
from taskscope.derive import load
from taskscope.errors import UsageError
from taskscope.summary import (
    Comparison,
    Metrics,
    Summary,
    families,
    of_cells,
    ordered,
    settings,
    summarise,
)


@dataclass(frozen=True, slots=True)
class Question:
    """What `taskscope compare` was asked, as it was typed."""

    directory: Path
    variants: tuple[str, str] | None = None
    baseline: Path | None = None
    metrics: Sequence[str] = ()
    margin: str = "5%"
    conditions: Sequence[str] = ()
    source: str = "promql"


@dataclass(frozen=True, slots=True)
class _Run:
    directory: Path
    manifest: Manifest
    data: Dataset

    def metrics(self, source: str) -> set[str]:
        """Return what one source has figures of."""
        rows = self.data.results
        return set(rows[rows["source"] == source]["metric"])


@dataclass(frozen=True, slots=True)
class _Asked:
    """What of a question both kinds of comparison need, parsed."""

    metrics: Metrics
    also: Metrics
    margin: float
    source: str


def compare(question: Question) -> Summary:
    """Return the comparisons that were asked for. UsageError where that cannot be done."""
    with explained():
        margin = parse_margin(question.margin)
        run = _open(question.directory)
        known = run.metrics(question.source)
        conditions = [parse_condition(text, known) for text in question.conditions]
        for metric in question.metrics:
            require("metric", metric, known)
        also = tuple(condition.metric for condition in conditions)
        asked = _Asked(tuple(question.metrics), also, margin, question.source)
        if question.baseline is None:
            found = _within(run, question.variants, asked)
        elif question.variants:
            raise UsageError(
                "--variants and --baseline exclude each other.",
                "Leave --variants out: each variant that both runs have is compared.",
            )
        else:
            found = _against(run, question.baseline, asked)
    verdicts = [v for comparison in found.comparisons for v in comparison.verdicts]
    return replace(found, judgements=tuple(judge(conditions, verdicts)))


def stopped(summary: Summary, *, undecided_fails: bool) -> bool:
    """Whether a condition has fired, or is undecided where that counts too."""
    failing = {State.FIRED, State.UNDECIDED} if undecided_fails else {State.FIRED}
    return any(judgement.state in failing for judgement in summary.judgements)


@contextmanager
def explained() -> Iterator[None]:
    """Turn a question that the dataset cannot answer into a user error."""
    try:
        yield
    except QuestionError as error:
        raise UsageError(f"{error.cause}.", error.remedy) from None


def _open(directory: Path) -> _Run:
    manifest = rundir.open_run(directory)
    together.refuse(manifest, directory)
    return _Run(directory, manifest, load(directory, manifest))


def _within(run: _Run, pair: tuple[str, str] | None, asked: _Asked) -> Summary:
    if pair:
        known = {v["name"] for s in run.manifest.scenarios for v in s["variants"]}
        for name in pair:
            require("variant", name, known)
        if pair[0] == pair[1]:
            raise UsageError(f"Both variants are {pair[0]}.", "Name two different ones.")
    found = summarise(
        run.directory, run.manifest, run.data, pair,
        asked=asked.metrics, also=asked.also, margin=asked.margin, source=asked.source,
    )  # fmt: skip
    if pair and not found.comparisons:
        raise UsageError(
            f"No scenario of this run has both {pair[0]} and {pair[1]}.",
            "Compare two variants that were measured together.",
        )
    return found


def _against(run: _Run, baseline: Path, asked: _Asked) -> Summary:
    older = rundir.open_run(baseline)
    together.refuse(older, baseline)
    if older.session == run.manifest.session:
        raise UsageError(
            f"{baseline} and {run.directory} are the same run.",
            "Name an older one with --baseline, or two variants of this one with --variants.",
        )
    shared(_names(run.manifest.scenarios), _names(older.scenarios))
    before = _Run(baseline, older, load(baseline, older))
    found = list(differences.between(run.manifest, older))
    known = {
        (s["name"], v["name"]): [
            *differences.doubts(found, s["name"], v["name"]),
            *_clocks((run, before), s["name"], v["name"]),
        ]
        for s in run.manifest.scenarios
        for v in s["variants"]
    }
    tables = [Tables(side.data.results, side.data.audit) for side in (run, before)]
    groups = families(_of_source(tables, asked.source), asked.metrics, asked.also)
    verdicts = [
        verdict
        for metrics in groups
        for verdict in ordered(
            compare_runs(
                *tables, margin=asked.margin, source=asked.source, metrics=metrics, known=known
            ),
            metrics,
        )
    ]
    sides = dict.fromkeys((v.scenario, v.challenger.variant) for v in verdicts)
    comparisons = [
        Comparison(
            scenario,
            _scenario(run.manifest, scenario)["title"],
            variant,
            variant + OLDER,
            verdicts=tuple(
                v for v in verdicts if (v.scenario, v.challenger.variant) == (scenario, variant)
            ),
            alone=(),
            settings={
                variant: _settings(run.manifest, scenario, variant),
                variant + OLDER: _settings(older, scenario, variant),
            },
            clocks=tuple(doubt.found for doubt in _clocks((run, before), scenario, variant)),
            family=str(_scenario(run.manifest, scenario).get("family") or ""),
            point=_scenario(run.manifest, scenario).get("point", {}),
        )
        for scenario, variant in sides
    ]
    return replace(
        of_cells(run.directory, run.manifest, run.data, comparisons),
        baseline=of_cells(baseline, older, before.data),
        differences=tuple(found),
    )


def _clocks(runs: Sequence[_Run], scenario: str, variant: str) -> Iterator[Doubt]:
    """Yield what both runs' intervals between hosts contain of the clocks' differences."""
    for run in runs:
        yield from clock_doubts.doubts(run.data.clocks, scenario, [variant])


def _of_source(tables: Sequence[Tables], source: str) -> pd.DataFrame:
    every = pd.concat([table.results for table in tables], ignore_index=True)
    return every[every["source"] == source]


def _settings(manifest: Manifest, scenario: str, name: str) -> dict[str, Any]:
    found = _scenario(manifest, scenario)
    return settings(found, next(v for v in found["variants"] if v["name"] == name))


def _names(scenarios: Sequence[Mapping[str, Any]]) -> list[str]:
    return [scenario["name"] for scenario in scenarios]


def _scenario(manifest: Manifest, name: str) -> Mapping[str, Any]:
    return next(s for s in manifest.scenarios if s["name"] == name)
