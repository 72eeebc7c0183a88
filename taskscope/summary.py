"""What a run's outcome is, as one record: for the tables below it and for --json alike."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from extract.compare import Line, compare
from extract.dataset import Dataset, valid_cells
from extract.manifest import Manifest


@dataclass(frozen=True)
class Comparison:
    """One scenario's headline pair: the lines, both sides' settings, and how many cells count."""

    scenario: str
    title: str
    first: str
    second: str
    lines: tuple[Line, ...]
    settings: Mapping[str, Mapping[str, Any]]
    cells: int
    valid: int
    invalid: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """A run's comparisons, and where it lies."""

    directory: str
    session: str
    status: str
    comparisons: tuple[Comparison, ...]

    @property
    def trustworthy(self) -> bool:
        """Whether every cell of every comparison passed its audit."""
        return self.status == "complete" and all(c.valid == c.cells for c in self.comparisons)

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
        if (chosen := pair or tuple(scenario["headline"]))
        if {v["name"] for v in scenario["variants"]} >= set(chosen)
    ]
    return Summary(str(directory), manifest.session, manifest.status, tuple(comparisons))


def _comparison(
    manifest: Manifest, data: Dataset, scenario: Mapping[str, Any], first: str, second: str
) -> Comparison:
    name = scenario["name"]
    cells = [c for c in manifest.cells if c.scenario == name and c.variant in {first, second}]
    valid = valid_cells(data.audit, cells)
    return Comparison(
        scenario=name,
        title=scenario["title"],
        first=first,
        second=second,
        lines=tuple(compare(manifest, data, name, first, second)),
        settings={v["name"]: _settings(scenario, v) for v in scenario["variants"]
                  if v["name"] in {first, second}},
        cells=len(cells),
        valid=len(valid),
        invalid=tuple(_reasons(data, name, {first, second})),
    )  # fmt: skip


def _settings(scenario: Mapping[str, Any], variant: Mapping[str, Any]) -> dict[str, Any]:
    """What both sides have in common, then what each has of its own."""
    common = {
        "framework": variant["framework"],
        "concurrency": scenario["run"]["concurrency"],
        "tasks": scenario["workload"]["count"],
        "warm-up tasks": scenario["run"]["warmup"],
        "arrivals": scenario["load"]["arrivals"]["kind"],
        "publishes in flight, at most": scenario["load"]["in_flight"],
    }
    return {**common, **variant["settings"], "description": variant["description"].strip()}


def _reasons(data: Dataset, scenario: str, variants: set[str]) -> list[str]:
    table = data.audit
    failed = table[(table["scenario"] == scenario) & ~table["ok"].astype(bool)]
    return [
        f"{row['variant']} repetition {row['repetition']}: {row['check']}: {row['found']}. "
        f"{row['remedy']}"
        for row in failed.to_dict("records")
        if row["variant"] in variants
    ]
