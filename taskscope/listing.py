"""What `taskscope scenarios` says of each scenario."""

from collections.abc import Iterator
from textwrap import fill, indent
from typing import Any

from taskscope.matrix import points
from taskscope.scenario import Scenario

_WIDTH = 96


def as_json(scenario: Scenario) -> dict[str, Any]:
    """Return it as plain data."""
    short = scenario.override(quick=True)
    return {
        "name": scenario.name,
        "title": scenario.title,
        "description": scenario.description,
        "tags": list(scenario.tags),
        "variants": [variant.name for variant in scenario.variants],
        "headline": list(scenario.headline),
        "matrix": {axis: list(values) for axis, values in scenario.matrix.items()},
        "requires": list(scenario.requires),
        "slo_p99_seconds": scenario.slo.p99_seconds if scenario.slo else None,
        "cells": cells(scenario),
        "quick_cells": cells(short),
    }


def cells(scenario: Scenario) -> int:
    """Return how many cells a run of it has."""
    return sum(len(point.variants) * point.run.repetitions for point in points(scenario))


def describe(scenario: Scenario) -> str:
    """Return it in a few lines."""
    return "\n".join([f"{scenario.name}: {scenario.title}", *_details(scenario)])


def _details(scenario: Scenario) -> Iterator[str]:
    first = " ".join(scenario.description.split())
    yield indent(fill(first, _WIDTH), "  ")
    yield _line("variants", [variant.name for variant in scenario.variants])
    if scenario.matrix:
        axes = (f"{axis.replace('_', ' ')} {', '.join(f'{v:g}' for v in values)}"
                for axis, values in scenario.matrix.items())  # fmt: skip
        yield _line("matrix", ["; ".join(axes)])
    if scenario.requires:
        yield _line("requires", scenario.requires)
    if scenario.slo:
        yield _line("SLO", [f"p99 of the end-to-end time at most {scenario.slo.p99_seconds:g} s"])
    if scenario.tags:
        yield _line("tags", scenario.tags)
    short = cells(scenario.override(quick=True))
    yield _line("cells", [f"{cells(scenario)}; {short} with --quick"])


def _line(name: str, values: Any) -> str:
    text = f"{name + ':':<10}{', '.join(values)}"
    return indent(fill(text, _WIDTH, subsequent_indent=" " * 10), "  ")
