"""The dataset in the form of the older suite: a CSV file and statistics for each scenario.

    framework,run,task_count,total_time,throughput,mean_latency,p50,p95,p99,memory_mb,cpu_percent

Every value is one of the dataset's, by PromQL; `UNITS` says in which unit, and of which figure. The
column `framework` holds the variant, since two variants of one framework must not be mixed. Cells
that fail their audit are left out, and named in the statistics.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import pandas as pd

from extract.dataset import Dataset, figures, valid_cells
from extract.manifest import CellRecord, Manifest

FORMAT = "legacy"
#: Column: unit, and what it is. The older suite left open whether latencies were in milliseconds.
UNITS = {
    "task_count": ("tasks", "tasks that ended, well or badly"),
    "total_time": ("s", "from the first start to the last completion: task_count / throughput"),
    "throughput": ("tasks/s", "throughput"),
    "mean_latency": ("s", "end_to_end_mean"),
    "p50": ("s", "end_to_end_p50"),
    "p95": ("s", "end_to_end_p95"),
    "p99": ("s", "end_to_end_p99"),
    "memory_mb": ("10^6 bytes", "worker_memory_peak"),
    "cpu_percent": ("percent of one core", "worker_cpu_cores x 100"),
}
COLUMNS = ["framework", "run", *UNITS]


@dataclass(frozen=True)
class Export:
    """One scenario: the stem of its files' names, the table, the statistics."""

    stem: str
    table: pd.DataFrame
    stats: Mapping[str, Any]

    def write(self, directory: Path) -> list[Path]:
        """Write both files, and return their paths."""
        directory.mkdir(parents=True, exist_ok=True)
        csv, stats = directory / f"{self.stem}.csv", directory / f"{self.stem}_stats.json"
        self.table.to_csv(csv, index=False)
        stats.write_text(json.dumps(self.stats, indent=2, allow_nan=False) + "\n")
        return [csv, stats]


def exports(manifest: Manifest, data: Dataset) -> Iterator[Export]:
    """Yield every scenario of a run, numbered in the order in which they were asked for."""
    valid = valid_cells(data.audit, manifest.cells)
    for number, scenario in enumerate(manifest.scenarios, start=1):
        name = str(scenario["name"])
        cells = [cell for cell in manifest.cells if cell.scenario == name]
        rows = [_row(data, cell) for cell in cells if cell in valid]
        table = pd.DataFrame(rows, columns=COLUMNS).sort_values(["framework", "run"])
        stem = f"scenario_{number}_{name.replace('-', '_')}"
        out = [f"{c.variant} {c.repetition}" for c in cells if c not in valid]
        yield Export(stem, table, _stats(manifest, scenario, table, out))


def _row(data: Dataset, cell: CellRecord) -> dict[str, Any]:
    found = figures(data.results, cell, "promql")
    ended = found["tasks_completed"] + found["tasks_failed"]
    return {
        "framework": cell.variant,
        "run": cell.repetition,
        "task_count": int(ended),
        "total_time": ended / found["throughput"],
        "throughput": found["throughput"],
        "mean_latency": found.get("end_to_end_mean"),
        **{q: found.get(f"end_to_end_{q}") for q in ("p50", "p95", "p99")},
        "memory_mb": _times(found.get("worker_memory_peak"), 1e-6),
        "cpu_percent": _times(found.get("worker_cpu_cores"), 100),
    }


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _stats(
    manifest: Manifest, scenario: Mapping[str, Any], table: pd.DataFrame, left_out: list[str]
) -> dict[str, Any]:
    frameworks = {variant["name"]: variant["framework"] for variant in scenario["variants"]}
    return {
        "scenario": scenario["name"],
        "title": scenario["title"],
        "session": manifest.session,
        "source": "promql",
        "units": {column: unit for column, (unit, _) in UNITS.items()},
        "meaning": {column: meaning for column, (_, meaning) in UNITS.items()},
        "left_out": left_out,
        "frameworks": {
            str(name): {
                "framework": frameworks[name],
                "runs": len(rows),
                **{column: _spread(rows[column].dropna().tolist()) for column in UNITS},
            }
            for name, rows in table.groupby("framework")
        },
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    """Describe some values; the standard deviation is that of a sample (n - 1)."""
    if not values:
        return dict.fromkeys(("mean", "median", "stdev", "min", "max"))
    return {
        "mean": fmean(values),
        "median": median(values),
        "stdev": stdev(values) if len(values) > 1 else None,
        "min": min(values),
        "max": max(values),
    }
