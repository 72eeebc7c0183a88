"""What else differs between two runs: when, on which machine, with which versions and settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from extract.doubts import Doubt
from extract.manifest import Manifest

type What = Literal["time", "machine", "version", "setting"]

#: What of a machine stays the same while nobody changes it.
_MACHINE = ("cpu", "cores", "architecture", "platform", "clock_source", "governors")
#: What of a scenario decides what is measured; repetitions and seed only say how often.
_SETTINGS = ("workload", "load", "run")
_HOW_OFTEN = ("run.repetitions", "run.seed")
_NONE = "none"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same in both runs; `scope` is a scenario's variant, or "" for all.

    `name` is what it is called, such as "celery" for a version.
    """

    what: What
    name: str
    newer: str
    older: str
    scope: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.newer}, {self.older} in the baseline"


def between(newer: Manifest, older: Manifest) -> Iterator[Difference]:
    """Yield every difference of two runs, that of their times first."""
    yield Difference("time", "made", newer.created, older.created)
    yield from _apart("machine", _machine(newer), _machine(older))
    yield from _apart("version", newer.versions, older.versions)
    scenarios = {scenario["name"]: scenario for scenario in older.scenarios}
    for scenario in newer.scenarios:
        if before := scenarios.get(scenario["name"]):
            variants = {variant["name"]: variant for variant in before["variants"]}
            for variant in scenario["variants"]:
                if variant["name"] in variants:
                    now = _settings(scenario, variant)
                    then = _settings(before, variants[variant["name"]])
                    yield from _apart("setting", now, then, (scenario["name"], variant["name"]))


def _machine(manifest: Manifest) -> dict[str, Any]:
    facts = {name: manifest.machine.get(name) for name in _MACHINE}
    return {**facts, "Redis": manifest.redis, "Prometheus": manifest.prometheus}


def _settings(scenario: Mapping[str, Any], variant: Mapping[str, Any]) -> dict[str, Any]:
    common = {part: scenario.get(part, {}) for part in _SETTINGS}
    own = {"framework": variant["framework"], "settings": variant["settings"]}
    flat = dict(_flat({**common, **own}))
    return {key: value for key, value in flat.items() if key not in _HOW_OFTEN}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _apart(
    what: What,
    newer: Mapping[str, Any],
    older: Mapping[str, Any],
    scope: tuple[str, str] | None = None,
) -> Iterator[Difference]:
    for name in dict.fromkeys([*newer, *older]):
        now, then = newer.get(name), older.get(name)
        if now != then:
            yield Difference(what, name, _written(now), _written(then), scope)


def _written(value: object) -> str:
    return _NONE if value is None else str(value)


def doubts(found: list[Difference], scenario: str, variant: str) -> list[Doubt]:
    """Return what of it makes a comparison of that variant doubtful."""
    mine = [d for d in found if d.scope in {None, (scenario, variant)}]
    given: dict[What, str] = {
        what: "; ".join(str(d) for d in mine if d.what == what)
        for what in ("machine", "version", "setting")
    }
    times = [_of_times(d) for d in mine if d.what == "time"]
    others = (
        Doubt("different machines", given["machine"], "Compare runs of one machine."),
        Doubt("different versions", given["version"], _MEANT),
        Doubt("different settings", given["setting"], _MEANT),
    )
    return times + [doubt for doubt in others if doubt.found]


_MEANT = "If that is not what you ask about, run both again alike."


def _of_times(difference: Difference) -> Doubt:
    newer, older = (datetime.fromisoformat(t) for t in (difference.newer, difference.older))
    order = "after" if newer >= older else "before"
    return Doubt(
        "different times",
        f"made {_span(abs((newer - older).total_seconds()))} {order} the baseline: whatever "
        "changed on the machine between them counts as a difference of the runs, and no number "
        "of repetitions takes it out",
        "Where it matters, measure both in one run, or the older one again beside the newer.",
    )


def _span(seconds: float) -> str:
    for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
    return "less than a minute"
