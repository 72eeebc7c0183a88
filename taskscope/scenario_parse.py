"""From a TOML table to a Scenario. Nothing that decides a measurement has a hidden default."""

from collections.abc import Collection
from typing import Final

from loadgen.schedule import LARGEST_NUMBER, PARAMETERS, ArrivalSpec
from taskscope.limits import MINIMUM, too_long
from taskscope.scenario_model import Load, Quick, RunSettings, Scenario, Variant, Workload
from taskscope.strict import Table
from taskscope.values import NAME, NAME_RULE, describe, nearest

_TOP: Final = (
    *("name", "title", "description", "tags", "headline"),
    *("workload", "load", "run", "quick", "variants"),
)
_WORKLOAD: Final = ("task", "count", "arguments")
_RUN: Final = ("repetitions", "warmup", "concurrency", "seed", "queue")
_QUICK: Final = ("count", "repetitions", "warmup")
_VARIANT: Final = ("framework", "description", "settings")
_NUMBERS: Final = tuple(dict.fromkeys(name for names in PARAMETERS.values() for name in names))
_LOAD: Final = ("arrivals", "in_flight", *_NUMBERS)


def parse_scenario(top: Table, frameworks: Collection[str]) -> Scenario:
    """Read a whole scenario; `frameworks` are the known ones. UsageError for every misfit."""
    top.only(_TOP)
    variants = _variants(top, frameworks)
    workload = _workload(top.table("workload"))
    return Scenario(
        name=top.name("name"),
        title=top.text("title"),
        description=top.text("description"),
        tags=top.names("tags") if "tags" in top.values else (),
        headline=_headline(top, [variant.name for variant in variants]),
        workload=workload,
        load=_load(top, workload.count),
        run=_run(top.table("run")),
        quick=_quick(top.optional_table("quick")),
        variants=variants,
    )


def _workload(table: Table) -> Workload:
    table.only(_WORKLOAD)
    return Workload(
        task=table.text("task"),
        count=table.integer("count", MINIMUM["count"]),
        arguments=table.free("arguments"),
    )


def _load(top: Table, count: int) -> Load:
    table = top.table("load")
    table.only(_LOAD)
    arrivals = _arrivals(table)
    if misfit := too_long(arrivals, count):
        raise top.problem("load", f"is too slow: {misfit}", "Lower the count or raise the rate.")
    return Load(arrivals, table.integer("in_flight", MINIMUM["in_flight"]))


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
    )


def _quick(table: Table) -> Quick:
    table.only(_QUICK)
    return Quick(**{name: table.integer(name, MINIMUM[name]) for name in table.values})


def _variants(top: Table, frameworks: Collection[str]) -> tuple[Variant, ...]:
    tables = top.table("variants")
    for name in tables.values:
        if not NAME.fullmatch(name):
            rule = f"must have a name of {NAME_RULE}"
            raise tables.problem(name, rule, f"Rename the variant to {NAME_RULE}.")
    if not tables.values:
        remedy = "Add at least one table [variants.some-name]."
        raise top.problem("variants", "holds no variant", remedy)
    return tuple(_variant(tables.table(name), name, frameworks) for name in tables.values)


def _variant(table: Table, name: str, frameworks: Collection[str]) -> Variant:
    table.only(_VARIANT)
    return Variant(
        name=name,
        framework=table.choice("framework", frameworks),
        description=table.text("description"),
        settings=table.free("settings"),
    )


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
