"""What surrounds the figures: settings, audit, overhead, machine, and where numbers come from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

import queries
from extract import words
from extract.overhead import CPU, THROUGHPUT
from extract.report.view import Run, View
from extract.words import Number


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of all variants, and whether they differ in it."""

    name: str
    values: tuple[str, ...]
    differs: bool


def settings(view: View) -> list[Setting]:
    """Return every setting, those in which the variants differ first."""
    sides = [view.settings.get(variant, {}) for variant in view.variants]
    names = dict.fromkeys(name for side in sides for name in side if name != "description")
    found = [Setting(name, tuple(_plain(side.get(name, "")) for side in sides), differs=False)
             for name in names]  # fmt: skip
    marked = [Setting(s.name, s.values, differs=len(set(s.values)) > 1) for s in found]
    return sorted(marked, key=lambda setting: not setting.differs)


@dataclass(frozen=True, slots=True)
class AuditedCell:
    """One cell: how many checks it passed, and those that it failed."""

    scenario: str
    variant: str
    repetition: int
    checks: int
    failed: tuple[Mapping[str, str], ...]


def audit(run: Run) -> list[AuditedCell]:
    """Return every cell with its audit, those that failed first."""
    cells = []
    for cell in run.manifest.cells:
        table = run.data.audit
        found = table[
            (table["scenario"] == cell.scenario)
            & (table["variant"] == cell.variant)
            & (table["repetition"] == cell.repetition)
        ]
        failed = found.loc[~found["ok"].astype(bool), ["check", "found", "remedy"]]
        bad = tuple({str(k): str(v) for k, v in row.items()} for row in failed.to_dict("records"))
        cells.append(AuditedCell(cell.scenario, cell.variant, cell.repetition, len(found), bad))
    return sorted(cells, key=lambda cell: not cell.failed)


def agreement(run: Run) -> str:
    """Say how far Prometheus and the traces are apart in throughput; "" where one has none."""
    table = run.data.agreement
    both = table[(table["metric"] == "throughput") & (table["traces"] > 0)]
    if both.empty:
        return ""
    apart = float((both["difference"].abs() / both["traces"]).max())
    return f"{apart:.3%}"


@dataclass(frozen=True, slots=True)
class Overhead:
    """What one figure was in a mode of measuring: the median over the repetitions."""

    variant: str
    metric: str
    mode: str
    number: Number
    repetitions: int


def overhead(run: Run) -> list[Overhead]:
    """Return the main figures of the run's ledger of overhead; nothing where it has none."""
    if run.overhead is None:
        return []
    keys = ["variant", "metric", "mode", "unit"]
    chosen = run.overhead[run.overhead["metric"].isin((THROUGHPUT, CPU))]
    groups = chosen.groupby(keys, sort=False)["value"]
    return [
        _overhead(str(variant), str(metric), str(mode), str(unit), values)
        for (variant, metric, mode, unit), values in groups
    ]


def _overhead(
    variant: str, metric: str, mode: str, unit: str, values: "pd.Series[float]"
) -> Overhead:
    found = float(values.median())
    origin = f"overhead.parquet: median of {metric} of {variant}, mode {mode}"
    text = words.quantity(found, unit.replace("us/", "µs/"))
    number = Number(text, found, "overhead", origin, variant)
    return Overhead(variant, metric, mode, number, len(values))


def machine(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what is known of the machine, in words; its doubts are shown by themselves."""
    for name, value in run.manifest.machine.items():
        if name != "doubts":
            text = words.quantity(value, "bytes") if name.endswith("_bytes") else _plain(value)
            yield name.removesuffix("_bytes").replace("_", " "), text or "none"


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ".".join(map(str, value)) if all(map(_whole, value)) else ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value).strip()


def _whole(value: object) -> bool:
    return isinstance(value, int)


def sources(views: list[View]) -> list[queries.Query]:
    """Return the queries that any scenario has results of, in the catalogue's order."""
    known = {metric for view in views for metric in view.results["metric"]}
    return [query for name, query in queries.catalogue().items() if name in known]
