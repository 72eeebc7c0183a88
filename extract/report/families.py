"""What holds the points of a matrix together: curves, bounds, and the card on both sides' settings.

A scenario without a matrix is a family of one point, of which there are no curves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from extract import words
from extract.bounds import Bound, bound, fastest_execution
from extract.curves import flattens_at
from extract.place import written
from extract.report import spec
from extract.report.figures import middle
from extract.report.spec import Chart
from extract.report.view import Run, View
from extract.words import Number

BOUND = "theoretical bound"
#: What is drawn along the axis: metric, title, unit and the factor to it.
_CURVES = (
    ("throughput", "Throughput", "tasks/s", 1.0),
    ("end_to_end_p99", "End-to-end time of the slowest 1 %", "s", 1.0),
    ("worker_cpu_per_1000", "CPU time of the workers for 1,000 tasks", "s", 1.0),
    ("worker_memory_peak", "Peak memory of the workers", "MB", 1e-6),
)


@dataclass(frozen=True)
class Row:
    """One point: where it is, its bound, and each variant's throughput with its share of that."""

    place: tuple[str, ...]
    bound: Number | None
    throughputs: tuple[Number | None, ...]
    shares: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """The points of a scenario. `axes` are in words; `flattening` says where each curve does."""

    name: str
    title: str
    variants: tuple[str, ...]
    colours: Mapping[str, str]
    axes: tuple[str, ...]
    rows: tuple[Row, ...]
    charts: tuple[Chart, ...]
    flattening: tuple[str, ...]
    cards: tuple[Mapping[str, Any], ...]


def families(run: Run, views: Sequence[View]) -> Iterator[Family]:
    """Yield each family that has something to show besides its points."""
    names = dict.fromkeys(_family(view) for view in views)
    for name in names:
        members = [view for view in views if _family(view) == name]
        # What is measured apart from the points, as a burst is, lies on no axis.
        points = [view for view in members if view.scenario.get("point")] or members
        found = _make(run, name, points)
        if found.charts or found.cards or any(row.bound for row in found.rows):
            yield found


def _family(view: View) -> str:
    return str(view.scenario.get("family") or view.name)


def _make(run: Run, name: str, points: list[View]) -> Family:
    variants = tuple(dict.fromkeys(v for view in points for v in view.variants))
    bounds = _bounds(run, points)
    axes = _axes(points)
    first = points[0].scenario
    return Family(
        name=name,
        title=str(first["title"]).partition(": " + _written(first.get("point", {})))[0],
        variants=variants,
        colours=spec.colours(variants),
        axes=tuple(axis.replace("_", " ") for axis in axes),
        rows=tuple(_row(view, variants, axes, bounds.get(view.name)) for view in points),
        charts=tuple(_charts(points, variants, axes, bounds)),
        flattening=tuple(_flattening(points, variants, axes)),
        cards=tuple(first.get("fairness", ())),
    )


def _written(point: Mapping[str, float]) -> str:
    return written(point) or "\0"


def _bounds(run: Run, points: list[View]) -> dict[str, Bound]:
    results = [view.results for view in points]
    fastest = min(
        filter(
            None, (fastest_execution(t, [v.name]) for t, v in zip(results, points, strict=True))
        ),
        default=None,
    )
    cores = float(run.manifest.machine.get("cores", 1))
    found = {view.name: bound(view.scenario, fastest, cores) for view in points}
    return {name: each for name, each in found.items() if each}


def _axes(points: list[View]) -> list[str]:
    """Return the axes of more than one value, the longest first: the curves go along it."""
    axes = dict.fromkeys(axis for view in points for axis in view.scenario.get("point", {}))
    sizes = {axis: len({view.scenario["point"].get(axis) for view in points}) for axis in axes}
    return sorted((axis for axis in axes if sizes[axis] > 1), key=lambda axis: -sizes[axis])


def _row(view: View, variants: Sequence[str], axes: Sequence[str], limit: Bound | None) -> Row:
    numbers = tuple(
        middle(view, "throughput", variant, "tasks/s") if variant in view.variants else None
        for variant in variants
    )
    return Row(
        tuple(f"{view.scenario['point'][axis]:g}" for axis in axes),
        _written_bound(limit) if limit else None,
        numbers,
        tuple(
            f"{number.value / limit.tasks_per_second:.0%}" if number and limit else ""
            for number in numbers
        ),
    )


def _written_bound(limit: Bound) -> Number:
    value = limit.tasks_per_second
    return Number(words.quantity(value, "tasks/s"), value, "throughput", f"theory: {limit.words}")


def _charts(
    points: list[View], variants: Sequence[str], axes: Sequence[str], bounds: Mapping[str, Bound]
) -> Iterator[Chart]:
    if not axes:
        return
    for metric, title, unit, factor in _CURVES:
        rows = [
            {**_place(view, axes), "variant": variant, "value": median(values) * factor,
             "low": min(values) * factor, "high": max(values) * factor,
             "text": words.quantity(median(values), "bytes" if unit == "MB" else unit)}
            for view in points for variant in view.variants
            if (values := view.values(metric, variant))
        ]  # fmt: skip
        known = list(variants)
        if metric == "throughput" and bounds:
            known.append(BOUND)
            rows += [
                {**_place(view, axes), "variant": BOUND, "value": limit.tasks_per_second,
                 "text": f"{words.quantity(limit.tasks_per_second, unit)}: {limit.words}"}
                for view in points if (limit := bounds.get(view.name))
            ]  # fmt: skip
        origin = f"query {metric}, by PromQL: the median of the valid repetitions of each point"
        along = axes[0].replace("_", " ")
        drawn = spec.fill("curves", rows, known, origin, unit)
        if drawn:
            _along(drawn, along, {row["x"] for row in rows}, several=len(axes) > 1)
        others = " and ".join(axis.replace("_", " ") for axis in axes[1:])
        caption = f"Along the {along}, on logarithmic scales; the bar is the range." + (
            f" One line for each {others}." if others else "")  # fmt: skip
        yield Chart(f"curve-{metric.replace('_', '-')}", title, caption, origin, drawn)


def _along(drawn: spec.Spec, title: str, places: set[float], *, several: bool) -> None:
    """Name the axis, with a tick at each point; lines are told apart where there are several."""
    x = drawn["encoding"]["x"]
    x["title"], x["axis"]["values"] = title, sorted(places)
    line = next(layer for layer in drawn["layer"] if "strokeDash" in layer.get("encoding", {}))
    if not several:
        line["encoding"]["strokeDash"]["legend"] = None


def _place(view: View, axes: Sequence[str]) -> dict[str, Any]:
    point = view.scenario["point"]
    others = written({axis: point[axis] for axis in axes[1:]})
    return {"x": float(point[axes[0]]), "series": others}


def _flattening(points: list[View], variants: Sequence[str], axes: Sequence[str]) -> Iterator[str]:
    """Say of each curve of throughput where it flattens."""
    if not axes:
        return
    series = dict.fromkeys(_place(view, axes)["series"] for view in points)
    for variant in variants:
        for name in series:
            curve = sorted(
                (_place(view, axes)["x"], median(values))
                for view in points
                if _place(view, axes)["series"] == name
                and (values := [v for v in view.values("throughput", variant) if v > 0])
            )
            if len(curve) > 1:
                at = flattens_at(*zip(*curve, strict=True))
                which = f"{variant} ({name})" if name else variant
                along = axes[0].replace("_", " ")
                yield (
                    f"{which} flattens from {along} {at:g} on." if at is not None
                    else f"{which} still grows at {along} {curve[-1][0]:g}."
                )  # fmt: skip
