"""What a run's outcome is, as one record: for the tables below it and for --json alike."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compose.frameworks import in_flight
from extract.compare import Line, compare
from extract.dataset import Dataset, valid_cells
from extract.manifest import Manifest


@dataclass(frozen=True)
class Comparison:
    """Two variants of one scenario; `second` is "" where there is only one to show."""

    scenario: str
    title: str
    first: str
    second: str
    lines: tuple[Line, ...]
    settings: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Summary:
    """A run's comparisons, the audit of all its cells, and where it lies."""

    directory: str
    session: str
    status: str
    comparisons: tuple[Comparison, ...]
    planned: int
    measured: int
    valid: int
    invalid: tuple[str, ...]

    @property
    def trustworthy(self) -> bool:
        """Whether the run was finished and every cell passed its audit."""
        return self.status == "complete" and self.valid == self.planned

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {**asdict(self), "trustworthy": self.trustworthy}


def summarise(
    directory: Path, manifest: Manifest, data: Dataset, pair: tuple[str, str] | None = None
) -> Summary:
    """Compare each scenario's headline pair, or `pair` where the scenario has both."""
    comparisons = [
        _comparison(manifest, data, scenario, *chosen)
        for scenario in manifest.scenarios
        if (chosen := pair or _headline(scenario))
        if {v["name"] for v in scenario["variants"]} >= set(chosen) - {""}
    ]
    return Summary(
        directory=str(directory),
        session=manifest.session,
        status=manifest.status,
        comparisons=tuple(comparisons),
        planned=len(manifest.order),
        measured=len(manifest.cells),
        valid=len(valid_cells(data.audit, manifest.cells)),
        invalid=tuple(_reasons(data)),
    )


def _headline(scenario: Mapping[str, Any]) -> tuple[str, str]:
    first, second = scenario["headline"] or (scenario["variants"][0]["name"], "")
    return first, second


def _comparison(
    manifest: Manifest, data: Dataset, scenario: Mapping[str, Any], first: str, second: str
) -> Comparison:
    name = scenario["name"]
    return Comparison(
        scenario=name,
        title=scenario["title"],
        first=first,
        second=second,
        lines=tuple(compare(manifest, data, name, first, second)),
        settings={
            v["name"]: settings(scenario, v)
            for v in scenario["variants"]
            if v["name"] in {first, second}
        },
    )


def settings(scenario: Mapping[str, Any], variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return what both sides have in common, then what each has of its own."""
    common = {
        "framework": variant["framework"],
        "concurrency": scenario["run"]["concurrency"],
        "tasks": scenario["workload"]["count"],
        "warm-up tasks": scenario["run"]["warmup"],
        "arrivals": scenario["load"]["arrivals"]["kind"],
        "publishes in flight": in_flight(variant["framework"], scenario["load"]["in_flight"]),
    }
    return {
        **common,
        **variant["settings"],
        "description": " ".join(variant["description"].split()),
    }


def _reasons(data: Dataset) -> list[str]:
    failed = data.audit[~data.audit["ok"].astype(bool)]
    return [
        f"{row['scenario']}, {row['variant']} repetition {row['repetition']}: {row['check']}: "
        f"{row['found']}. {row['remedy']}"
        for row in failed.to_dict("records")
    ]
