"""Compare runs: what each variant does in one run against the same variant in another.

    for comparison in compare_runs(newer, older, margin=0.05):
        print(comparison.sentence)

Runs made at different times share no block, so their repetitions are independent samples:
`extract/independent.py` decides. Everything else is as within a run: what is not valid has no part
in it, and the comparisons of one scenario are a family.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from extract.blocks import Cells, Pair, Values, audited, read_values
from extract.doubts import Doubt
from extract.judge import check_margin, family
from extract.questions import QuestionError, require
from extract.verdict import Comparison

#: What is put behind a variant's name where it stands for the older run.
OLDER = " (baseline)"


@dataclass(frozen=True, slots=True)
class Tables:
    """The results and the audit of one run's dataset."""

    results: pd.DataFrame
    audit: pd.DataFrame


@dataclass(frozen=True, slots=True)
class _Side:
    cells: Mapping[tuple[str, str], Cells]
    by_key: Mapping[tuple[str, str, str], Values]

    @property
    def scenarios(self) -> dict[str, None]:
        return dict.fromkeys(scenario for scenario, _ in self.cells)

    def variants(self, scenario: str) -> set[str]:
        return {variant for found, variant in self.cells if found == scenario}

    def metrics(self, scenario: str) -> dict[str, None]:
        return dict.fromkeys(metric for found, metric, _ in self.by_key if found == scenario)


def compare_runs(  # noqa: PLR0913 - each narrows the question
    newer: Tables,
    older: Tables,
    *,
    margin: float = 0.05,
    variants: Iterable[str] | None = None,
    metrics: Iterable[str] | None = None,
    source: str = "promql",
    known: Mapping[tuple[str, str], Sequence[Doubt]] | None = None,
) -> list[Comparison]:
    """Compare every variant that both runs have, in every scenario that both have.

    The newer run is the challenger. `variants` and `metrics` are all that there are unless named;
    `known` are doubts found elsewhere, as by the manifests, by scenario and variant. QuestionError
    where the runs share nothing, a metric is unknown or the margin is none.
    """
    check_margin(margin)
    new, old = _side(newer, source), _side(older, source)
    wanted = None if variants is None else frozenset(variants)
    chosen = None if metrics is None else frozenset(metrics)
    for metric in sorted(chosen or ()):
        require("metric", metric, {m for side in (new, old) for _, m, _ in side.by_key})

    def doubts(pair: Pair) -> Sequence[Doubt]:
        return (known or {}).get((pair.scenario, pair.challenger.variant), ())

    return [
        comparison
        for scenario in shared(new.scenarios, old.scenarios)
        for comparison in family(_pairs(scenario, new, old, wanted, chosen), margin, doubts)
    ]


def shared(newer: Iterable[str], older: Iterable[str]) -> list[str]:
    """Return the scenarios of both; QuestionError where there is none."""
    first, second = list(newer), list(older)
    both = [scenario for scenario in first if scenario in second]
    if not both:
        raise QuestionError(
            f"the runs have no scenario in common: one measured {', '.join(first) or 'nothing'}, "
            f"the baseline {', '.join(second) or 'nothing'}",
            "Compare two runs of the same scenario.",
        )
    return both


def _side(tables: Tables, source: str) -> _Side:
    chosen = tables.results[tables.results["source"] == source]
    cells = audited(chosen, tables.audit)
    return _Side(cells, read_values(chosen, cells))


def _pairs(
    scenario: str,
    new: _Side,
    old: _Side,
    variants: frozenset[str] | None,
    metrics: frozenset[str] | None,
) -> Iterator[Pair]:
    both = new.variants(scenario) & old.variants(scenario)
    if not both:
        raise QuestionError(
            f"no variant of scenario {scenario} is in both runs: one has "
            f"{', '.join(sorted(new.variants(scenario)))}, the baseline "
            f"{', '.join(sorted(old.variants(scenario)))}",
            "Measure the same variant again (taskscope run --variant).",
        )
    for variant in sorted(both if variants is None else both & variants):
        for metric in {**new.metrics(scenario), **old.metrics(scenario)}:
            if metrics is not None and metric not in metrics:
                continue
            key = (scenario, metric, variant)
            if key in new.by_key or key in old.by_key:
                before = _of(key, old)
                before = replace(before, variant=before.variant + OLDER)
                yield Pair(scenario, metric, _of(key, new), before, separate=True)


def _of(key: tuple[str, str, str], side: _Side) -> Values:
    scenario, _, variant = key
    return side.by_key.get(key) or Values(variant, side.cells[scenario, variant])
