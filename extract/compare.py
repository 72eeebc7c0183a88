"""Two variants side by side: medians over their valid repetitions, with spread and ratio.

Medians and ranges, and nothing that claims more: whether a difference is more than noise is a
question for statistics.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import pandas as pd

import queries
from extract.dataset import Dataset, valid_cells
from extract.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Side:
    """One variant's values of one metric: the median, the range, and how many repetitions."""

    median: float
    lowest: float
    highest: float
    repetitions: int


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of both variants; `ratio` is first to second, None where the second is 0."""

    scenario: str
    metric: str
    unit: str
    better: str
    meaning: str
    first: Side | None
    second: Side | None
    ratio: float | None


def compare(
    manifest: Manifest, data: Dataset, scenario: str, first: str, second: str
) -> Iterator[Line]:
    """Yield one line for each figure by PromQL that either side has, in the catalogue's order."""
    valid = {
        (c.variant, c.repetition)
        for c in valid_cells(data.audit, manifest.cells)
        if c.scenario == scenario
    }
    results = data.results
    chosen = results[(results["scenario"] == scenario) & (results["source"] == "promql")]
    keys = zip(chosen["variant"], chosen["repetition"], strict=True)
    keep = pd.Series([key in valid for key in keys], index=chosen.index, dtype=bool)
    groups = chosen[keep].groupby(["variant", "metric"])["value"]
    sides = {key: _side(values) for key, values in groups}
    for query in queries.catalogue().values():
        a, b = sides.get((first, query.name)), sides.get((second, query.name))
        if a or b:
            ratio = a.median / b.median if a and b and b.median else None
            yield Line(scenario, query.name, query.unit, query.better, query.meaning, a, b, ratio)


def _side(values: "pd.Series[float]") -> Side:
    numbers = values.tolist()
    return Side(median(numbers), min(numbers), max(numbers), len(numbers))
