"""From a scenario with a matrix to one scenario for each of its points.

A point is a comparison of its own, with its own pairs, verdicts and audit; what holds the points
together is their `family`, of which the report draws the curves.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from extract.place import written
from loadgen.schedule import ArrivalSpec
from taskscope.errors import UsageError
from taskscope.quota import whole_cores
from taskscope.references import PER_TASK, fill
from taskscope.scenario_model import Scenario, Variant, narrowed
from taskscope.values import NAME, NAME_RULE

#: What may differ from point to point, and whether it is a whole number.
AXES: Final[Mapping[str, bool]] = {
    "concurrency": True, "workers": True, "count": True, "payload_bytes": True, "rate": False,
}  # fmt: skip


def points(
    scenario: Scenario, changed: Callable[[Scenario], Scenario] = lambda point: point
) -> list[Scenario]:
    """Return a scenario for each point of the matrix; itself, as its only point, without one.

    Each is `changed`, if so wished, before references to its numbers are put in.
    References such as $concurrency are put in, but for those that are known only once a cell runs.
    A point at which no variant is to be measured is none. UsageError for what does not fit.
    """
    axes = scenario.matrix
    places = (dict(zip(axes, v, strict=True)) for v in itertools.product(*axes.values()))
    return [_filled(changed(_at(scenario, place))) for place in places
            if _measured_at(scenario, place)]  # fmt: skip


def families(scenarios: Sequence[Scenario]) -> Iterator[list[Scenario]]:
    """Yield the points of each family together, in the order of their first."""
    names = dict.fromkeys(scenario.family or scenario.name for scenario in scenarios)
    for name in names:
        yield [s for s in scenarios if (s.family or s.name) == name]


def _measured_at(scenario: Scenario, place: Mapping[str, float]) -> list[Variant]:
    return [
        variant
        for variant in scenario.variants
        if all(place[axis] in v for axis, v in variant.only.items() if axis in place)
    ]


def _at(scenario: Scenario, place: Mapping[str, float]) -> Scenario:
    chosen = _measured_at(scenario, place)
    base = (
        scenario if len(chosen) == len(scenario.variants) else narrowed(scenario, chosen, scenario)
    )
    made = replace(
        base,
        **_changes(scenario, place),
        name="-".join([scenario.name, *(_written(axis, v) for axis, v in place.items())]),
        title=_title(scenario.title, place),
        family=scenario.name,
        point=dict(place),
        matrix={},
    )
    made.check_length()
    if not NAME.fullmatch(made.name):
        raise UsageError(
            f"scenario {made.family}: a point of its matrix would be called {made.name!r}, which "
            f"is not {NAME_RULE}",
            "Give the scenario a shorter name, or the matrix fewer axes.",
        )
    return made


def _changes(scenario: Scenario, place: Mapping[str, float]) -> dict[str, Any]:
    whole = {axis: int(value) for axis, value in place.items() if AXES[axis]}
    run, work, load = scenario.run, scenario.workload, scenario.load
    if "rate" in place:
        arrivals = ArrivalSpec(load.arrivals.kind, {"rate": float(place["rate"])})
        load = replace(load, arrivals=arrivals)
    count = whole.get("count", work.count)
    if load.seconds:
        count = max(1, round(load.arrivals.numbers["rate"] * load.seconds))
    return {
        "run": replace(
            run,
            concurrency=whole.get("concurrency", run.concurrency),
            workers=whole.get("workers", run.workers),
        ),
        "workload": replace(
            work,
            count=count,
            payload_bytes=whole.get("payload_bytes", work.payload_bytes),
        ),
        "load": load,
    }


def _filled(scenario: Scenario) -> Scenario:
    run, work = scenario.run, scenario.workload
    known: dict[str, object] = {
        "concurrency": run.concurrency,
        "workers": run.workers,
        "payload_bytes": work.payload_bytes,
        "cores": whole_cores(),
    }
    later = (*(name.replace("-", "_") for name in scenario.requires), *PER_TASK)
    parts = tuple(
        replace(part, arguments=fill(part.arguments, known, later)) for part in work.parts
    )
    variants = tuple(
        replace(
            variant,
            settings=fill(variant.settings, known),
            arguments={task: fill(own, known, later) for task, own in variant.arguments.items()},
        )
        for variant in scenario.variants
    )
    return replace(scenario, workload=replace(work, parts=parts), variants=variants)


def _title(title: str, place: Mapping[str, float]) -> str:
    return f"{title}: {written(place)}" if place else title


def _written(axis: str, value: float) -> str:
    return f"{axis}-{value:.10g}".replace("_", "-").replace(".", "-")
