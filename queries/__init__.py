"""The catalogue: every figure that taskscope reports is one named PromQL file here.

A file begins with comment lines: `unit`, `better` (higher, lower or neither) and `meaning`. A
family adds `name` and the values of its parameters, and stands for one query for each combination.
In the text, `$cell` is the label selector of one cell, `$start` and `$end` are its marks in Unix
seconds, `$window` is the range between them and `$seconds` its length. Results are differences
between samples at the marks: `increase()` would extrapolate.

`timeline/` holds what is followed over time: each selects raw samples, with their own instants, of
a gauge or of a counter (`kind`), so that nothing is interpolated there either.

What people watch is apart from results, and may extrapolate: `watching` has the queries of the
dashboards (`live/`) and searches for traces (`traces/`), `rules` what Prometheus records and alerts
on (`recorded/`, `known/`, `alerts/`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from string import Template

from queries.files import FOLDER, family


@dataclass(frozen=True, slots=True)
class Query:
    """One figure: its name, unit, which way is better, what it means, and the PromQL."""

    name: str
    unit: str
    better: str
    meaning: str
    text: str

    def render(self, **values: str) -> str:
        """Fill in `cell`, `start`, `end`, `window` and `seconds`; KeyError if one is missing."""
        return Template(self.text).substitute(values)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is followed over time: a sum of gauges, or of counters by the time between scrapes."""

    name: str
    unit: str
    kind: str
    meaning: str
    text: str

    def render(self, **values: str) -> str:
        """Fill in `cell`, `end` and `window`; KeyError if one is missing."""
        return Template(self.text).substitute(values)


@cache
def timelines() -> Mapping[str, Timeline]:
    """Return all that is followed over time by name, in the order of their files."""
    return {
        head["name"]: Timeline(head["name"], head["unit"], head["kind"], head["meaning"], text)
        for path in sorted((FOLDER / "timeline").glob("*.promql"))
        for head, text in family(path)
    }


@cache
def catalogue() -> Mapping[str, Query]:
    """Return all queries by name, in the order of their files."""
    return {
        head["name"]: Query(head["name"], head["unit"], head["better"], head["meaning"], text)
        for path in sorted(FOLDER.glob("*.promql"))
        for head, text in family(path)
    }
