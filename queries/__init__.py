"""The catalogue: every figure that taskscope reports is one named PromQL file here.

A file begins with comment lines: `unit`, `better` (higher, lower or neither) and `meaning`. A
family adds `name` and the values of its parameters, and stands for one query for each combination.
In the text, `$cell` is the label selector of one cell, `$start` and `$end` are its marks in Unix
seconds, `$window` is the range between them and `$seconds` its length. Results are differences
between samples at the marks: `increase()` would extrapolate.

`timeline/` holds what is followed over time: each selects raw samples, with their own instants, of
a gauge or of a counter (`kind`), so that nothing is interpolated there either.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

_FOLDER = Path(__file__).parent
_PARAMETERS = ("stage", "quantile")


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
    found = [_read_timeline(path) for path in sorted((_FOLDER / "timeline").glob("*.promql"))]
    return {timeline.name: timeline for timeline in found}


def _read_timeline(path: Path) -> Timeline:
    head, text = _split(path.read_text())
    return Timeline(path.stem, head["unit"], head["kind"], head["meaning"], text)


@cache
def catalogue() -> Mapping[str, Query]:
    """Return all queries by name, in the order of their files."""
    found = [q for path in sorted(_FOLDER.glob("*.promql")) for q in _read(path)]
    return {query.name: query for query in found}


def _read(path: Path) -> Iterator[Query]:
    head, text = _split(path.read_text())
    parameters = {name: head[name].split(", ") for name in _PARAMETERS if name in head}
    for combination in itertools.product(*parameters.values()):
        values = dict(zip(parameters, combination, strict=True))
        if "quantile" in values:
            values["percent"] = f"{float(values['quantile']) * 100:g}".replace(".", "")
        yield Query(
            name=_fill(head.get("name", path.stem), values),
            unit=head["unit"],
            better=head["better"],
            meaning=_fill(head["meaning"], values),
            text=_fill(text, values),
        )


def _split(content: str) -> tuple[dict[str, str], str]:
    lines = content.splitlines()
    comments = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    pairs = (line.removeprefix("#").split(":", 1) for line in comments)
    head = {key.strip(): value.strip() for key, value in pairs}
    return head, "\n".join(lines[len(comments) :])


def _fill(text: str, values: Mapping[str, str]) -> str:
    return Template(text).safe_substitute(values)
