"""What people watch: queries of the dashboards over series, and searches for traces.

In the text, `$cell` is a label selector, `$window` the range that a rate takes, and `$range` the
whole range that is looked at. A figure of two sides has `$first` and `$second` instead of `$cell`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from string import Template

from queries.files import FOLDER, family


@dataclass(frozen=True, slots=True)
class Live:
    """What a dashboard asks: its name, unit, meaning, the legend of its series, and the query.

    `bounds` are levels from which on a value is doubtful, then bad; () where that depends on what
    is measured. `empty` says why it may have no answer in a run where all goes well; "" where it
    always has one.
    """

    name: str
    unit: str
    meaning: str
    legend: str
    bounds: tuple[float, ...]
    empty: str
    text: str

    def render(self, **values: str) -> str:
        """Fill in the placeholders; KeyError if one is missing."""
        return Template(self.text).substitute(values).strip()


@cache
def live() -> Mapping[str, Live]:
    """Return the PromQL of the dashboards, by name."""
    return _read("live", "promql")


@cache
def searches() -> Mapping[str, Live]:
    """Return the TraceQL of the dashboards, by name; `$bound` is a duration."""
    return _read("traces", "traceql")


def _read(folder: str, extension: str) -> dict[str, Live]:
    return {
        head["name"]: Live(
            head["name"], head["unit"], head["meaning"], head.get("legend", ""),
            _numbers(head.get("bounds", "")), head.get("empty", ""), text,
        )
        for path in sorted((FOLDER / folder).glob(f"*.{extension}"))
        for head, text in family(path)
    }  # fmt: skip


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(",")) if text else ()
