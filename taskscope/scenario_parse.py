"""From a TOML table to a Scenario. Nothing that decides a measurement has a hidden default."""

from collections.abc import Collection
from typing import Final

from loadgen.schedule import LARGEST_NUMBER, PARAMETERS, ArrivalSpec
from taskscope.fairness import cards
from taskscope.limits import MINIMUM, too_long
from taskscope.matrix import AXES
from taskscope.quota import whole_cores
from taskscope.scenario_model import (
    Axes,
    Bound,
    Load,
    Part,
    Quick,
    RunSettings,
    Scenario,
    Slo,
    Variant,
    Workload,
)
from taskscope.strict import Table
from taskscope.values import NAME, NAME_RULE, describe, nearest

#: A variant's own concurrency that follows from the machine.
CORES: Final = "$cores"
_TOP: Final = (
    *("name", "title", "description", "tags", "headline"),
    *("workload", "load", "run", "matrix", "requires", "bound", "slo", "quick", "variants"),
    "fairness",
)
_PART: Final = ("task", "weight", "arguments")
_WORKLOAD: Final = ("count", "task", "arguments", "payload_bytes", "parts")
_RUN: Final = ("repetitions", "warmup", "concurrency", "workers", "seed", "queue")
_QUICK_NUMBERS: Final = ("count", "repetitions", "warmup")
_QUICK: Final = (*_QUICK_NUMBERS, "seconds", "variants", "matrix")
_VARIANT: Final = ("framework", "description", "settings", "arguments", "only", "concurrency")
_BOUNDS: Final = {"waiting": ("kind", "seconds"), "cpu": ("kind",)}
_SLO: Final = ("p99_seconds", "failed_share")
_NUMBERS: Final = tuple(dict.fromkeys(name for names in PARAMETERS.values() for name in names))
_LOAD: Final = ("arrivals", "in_flight", "seconds", *_NUMBERS)


def parse_scenario(top: Table, frameworks: Collection[str]) -> Scenario:
    """Read a whole scenario; `frameworks` are the known ones. UsageError for every misfit."""
    top.only(_TOP)
    load = _load(top)
    axes = _axes(top.optional_table("matrix"), load)
    workload = _workload(top, load)
    variants = _variants(top, frameworks, load, [part.task for part in workload.parts])
    names = [variant.name for variant in variants]
    _check_concurrency(top, variants, axes)
    return Scenario(
        name=top.name("name"),
        title=top.text("title"),
        description=top.text("description"),
        tags=top.names("tags") if "tags" in top.values else (),
        headline=_headline(top, names),
        workload=workload,
        load=load,
        run=_run(top.table("run")),
        quick=_quick(top.optional_table("quick"), names, load),
        variants=variants,
        matrix=axes,
        requires=_requires(top.optional_table("requires")),
        bound=_bound(top.table("bound")) if "bound" in top.values else None,
        slo=_slo(top.table("slo")) if "slo" in top.values else None,
        fairness=cards(
            top.optional_table("fairness"),
            dict.fromkeys([*names, *(v.framework for v in variants)]),
        ),
    )


def _workload(top: Table, load: Load) -> Workload:
    table = top.table("workload")
    table.only(_WORKLOAD)
    count = table.integer("count", MINIMUM["count"]) if not load.seconds else 1
    if load.seconds and "count" in table.values:
        raise table.problem("count", "stands beside load.seconds", "Keep one of the two.")
    if misfit := too_long(load.arrivals, count):
        raise top.problem("load", f"is too slow: {misfit}", "Lower the count or raise the rate.")
    size = "payload_bytes"
    return Workload(
        count=count,
        parts=_parts(table),
        payload_bytes=table.integer(size, MINIMUM[size]) if size in table.values else 0,
    )


def _parts(table: Table) -> tuple[Part, ...]:
    """Read `task` and `arguments`, or several of them with their weights."""
    if "parts" not in table.values:
        return (Part(table.text("task"), 1.0, table.free("arguments")),)
    for alone in ("task", "arguments"):
        if alone in table.values:
            raise table.problem(alone, "stands beside workload.parts", "Keep one of the two.")
    found = table.tables("parts")
    if not found:
        table.refuse("parts", "a list of at least one table")
    return tuple(_part(each) for each in found)


def _part(table: Table) -> Part:
    table.only(_PART)
    return Part(table.text("task"), table.number("weight", LARGEST_NUMBER), table.free("arguments"))


def _load(top: Table) -> Load:
    table = top.table("load")
    table.only(_LOAD)
    arrivals = _arrivals(table)
    if "seconds" in table.values and set(arrivals.numbers) != {"rate"}:
        raise table.problem(
            "seconds",
            f'does not fit load.arrivals = "{arrivals.kind}"',
            "Give a count instead, or set load.arrivals to constant or poisson.",
        )
    return Load(arrivals, table.integer("in_flight", MINIMUM["in_flight"]), _seconds(table) or 0.0)


def _seconds(table: Table) -> float | None:
    return table.number("seconds", LARGEST_NUMBER) if "seconds" in table.values else None


def _axes(table: Table, load: Load) -> Axes:
    table.only(tuple(AXES))
    if "rate" in table.values and set(load.arrivals.numbers) != {"rate"}:
        raise table.problem(
            "rate",
            f'does not fit load.arrivals = "{load.arrivals.kind}"',
            "Set load.arrivals to constant or poisson.",
        )
    if "count" in table.values and load.seconds:
        raise table.problem(
            "count", "stands beside load.seconds, from which it follows", "Keep one of the two."
        )
    return {name: table.axis(name, MINIMUM.get(name, 0), whole=AXES[name]) for name in table.values}


def _requires(table: Table) -> dict[str, dict[str, object]]:
    for name in table.values:
        if not NAME.fullmatch(name):
            raise table.problem(name, f"must have a name of {NAME_RULE}", "Rename it.")
        table.table(name)
    return {name: table.free(name) for name in table.values}


def _bound(table: Table) -> Bound:
    kind = table.choice("kind", _BOUNDS)
    table.only(_BOUNDS[kind])
    return Bound(kind, table.number("seconds", LARGEST_NUMBER) if kind == "waiting" else 0.0)


def _slo(table: Table) -> Slo:
    table.only(_SLO)
    share = table.number("failed_share", 1.0) if "failed_share" in table.values else 0.0
    return Slo(table.number("p99_seconds", LARGEST_NUMBER), share)


def _arrivals(table: Table) -> ArrivalSpec:
    kind = table.choice("arrivals", PARAMETERS)
    for name in _NUMBERS:
        if name in table.values and name not in PARAMETERS[kind]:
            fitting = [other for other, names in PARAMETERS.items() if name in names]
            raise table.problem(
                name,
                f'does not fit load.arrivals = "{kind}", which takes '
                f"{' and '.join(PARAMETERS[kind]) or 'no number'}",
                f"Remove it, or set load.arrivals to {' or '.join(fitting)}.",
            )
    return ArrivalSpec(kind, {name: _number(table, name, kind) for name in PARAMETERS[kind]})


def _number(table: Table, name: str, kind: str) -> float:
    why = f', and load.arrivals = "{kind}" needs it'
    number = table.number(name, LARGEST_NUMBER, why)
    return table.integer(name, MINIMUM[name], why) if name in MINIMUM else number


def _run(table: Table) -> RunSettings:
    table.only(_RUN)
    return RunSettings(
        repetitions=table.integer("repetitions", MINIMUM["repetitions"]),
        warmup=table.integer("warmup", MINIMUM["warmup"]),
        concurrency=table.integer("concurrency", MINIMUM["concurrency"]),
        seed=table.integer("seed", MINIMUM["seed"]),
        queue=table.name("queue"),
        workers=table.integer("workers", MINIMUM["workers"]) if "workers" in table.values else 1,
    )


def _quick(table: Table, variants: Collection[str], load: Load) -> Quick:
    table.only(_QUICK)
    numbers = [name for name in _QUICK_NUMBERS if name in table.values]
    return Quick(
        **{name: table.integer(name, MINIMUM[name]) for name in numbers},
        seconds=_seconds(table),
        variants=_known_names(table, "variants", variants),
        matrix=_axes(table.optional_table("matrix"), load),
    )


def _known_names(table: Table, key: str, known: Collection[str]) -> tuple[str, ...]:
    names = table.names(key) if key in table.values else ()
    for name in names:
        if name not in known:
            likely = f"{describe(name)}, no variant; the nearest is {nearest(name, known)}"
            table.refuse(key, f"a list of variants ({', '.join(known)})", likely)
    return names


def _variants(
    top: Table, frameworks: Collection[str], load: Load, tasks: Collection[str]
) -> tuple[Variant, ...]:
    tables = top.table("variants")
    for name in tables.values:
        if not NAME.fullmatch(name):
            rule = f"must have a name of {NAME_RULE}"
            raise tables.problem(name, rule, f"Rename the variant to {NAME_RULE}.")
    if not tables.values:
        remedy = "Add at least one table [variants.some-name]."
        raise top.problem("variants", "holds no variant", remedy)
    return tuple(
        _variant(tables.table(name), name, frameworks, load, tasks) for name in tables.values
    )


def _arguments(table: Table, tasks: Collection[str]) -> dict[str, dict[str, object]]:
    table.only(tuple(tasks))
    return {task: table.free(task) for task in table.values}


def _variant(
    table: Table, name: str, frameworks: Collection[str], load: Load, tasks: Collection[str]
) -> Variant:
    table.only(_VARIANT)
    return Variant(
        name=name,
        framework=table.choice("framework", frameworks),
        description=table.text("description"),
        settings=table.free("settings"),
        arguments=_arguments(table.optional_table("arguments"), tasks),
        only=_axes(table.optional_table("only"), load),
        concurrency=_own_concurrency(table),
    )


def _own_concurrency(table: Table) -> int | None:
    """Read a number, or how many cores there are."""
    if table.values.get("concurrency") == CORES:
        return whole_cores()
    least = MINIMUM["concurrency"]
    return table.integer("concurrency", least) if "concurrency" in table.values else None


def _check_concurrency(top: Table, variants: Collection[Variant], axes: Axes) -> None:
    """Refuse a variant's own concurrency where something else is reckoned by that of the run."""
    reckoned = {"bound": "bound" in top.values, "matrix.concurrency": "concurrency" in axes}
    others = [name for name, there in reckoned.items() if there]
    for variant in variants:
        if variant.concurrency and others:
            table = top.table("variants").table(variant.name)
            cause = f"stands beside {others[0]}, which is about that of the run"
            raise table.problem("concurrency", cause, "Keep one of the two.")


def _headline(top: Table, variants: Collection[str]) -> tuple[str, ...]:
    if len(variants) == 1 and "headline" not in top.values:
        return ()  # nothing to compare, so no pair either
    expected = "a list of exactly two different variants"
    top.required("headline", expected)
    names = top.names("headline")
    for name in names:
        if name not in variants:
            likely = f"{describe(name)}, no variant; the nearest is {nearest(name, variants)}"
            top.refuse("headline", expected, likely)
    if len(names) != 2 or len(set(names)) != 2:  # noqa: PLR2004 - a pair
        top.refuse("headline", expected, f"[{', '.join(names)}]")
    return names
