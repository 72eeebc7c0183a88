"""The comparison dataset: derived as a whole from a run directory, and written beside it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
from prometheus_api_client import PrometheusConnect

from extract import classes, clocks, promql, timeline, traces
from extract.audit import audit
from extract.manifest import CellRecord, Manifest

KEYS = ["session", "scenario", "framework", "variant", "repetition"]
_RESULT_COLUMNS = [*KEYS, "metric", "value", "lower", "upper", "unit", "source", "query"]
_AUDIT_COLUMNS = [*KEYS, "check", "ok", "found", "remedy"]


@dataclass(frozen=True)
class Dataset:
    """results and audit in long form, tasks with one row an attempt, agreement of the sources.

    timeline has one row for each scrape and each metric that is followed over time, classes the
    figures of each class of tasks by itself, in long form, clocks one row for each cell and host
    whose clock is not the generator's.
    """

    results: pd.DataFrame
    tasks: pd.DataFrame
    audit: pd.DataFrame
    agreement: pd.DataFrame
    timeline: pd.DataFrame = field(default_factory=lambda: timeline.table(()))
    classes: pd.DataFrame = field(default_factory=lambda: classes.table(()))
    clocks: pd.DataFrame = field(default_factory=lambda: clocks.frame(()))

    def write(self, directory: Path) -> None:
        """Write every table as Parquet; tasks and timeline, being long, not as CSV too."""
        directory.mkdir(exist_ok=True)
        for name in ("results", "audit", "agreement", "classes"):
            table: pd.DataFrame = getattr(self, name)
            table.to_parquet(directory / f"{name}.parquet", index=False)
            table.to_csv(directory / f"{name}.csv", index=False)
        for name in ("tasks", "timeline", "clocks"):
            getattr(self, name).to_parquet(directory / f"{name}.parquet", index=False)


def read(directory: Path) -> Dataset:
    """Read what `write` wrote. FileNotFoundError when there is none."""
    names = ["results", "tasks", "audit", "agreement", "timeline", "classes"]
    names += [name for name in ("clocks",) if (directory / f"{name}.parquet").exists()]
    return Dataset(**{n: pd.read_parquet(directory / f"{n}.parquet") for n in names})


def derive(directory: Path, manifest: Manifest, prometheus: PrometheusConnect) -> Dataset:
    """Derive the dataset from the traces in `directory` and the series in `prometheus`."""
    attempts, publishes = traces.read_traces(directory / "traces")
    rows = [
        *promql.results(manifest, prometheus),
        *traces.results(manifest, attempts, publishes),
    ]
    results = pd.DataFrame(rows, columns=_RESULT_COLUMNS).astype(
        {"repetition": "int64", "value": "float64", "lower": "float64", "upper": "float64"}
    )
    tasks = traces.of_cells(attempts, manifest.cells)
    return Dataset(
        results,
        tasks,
        _audit(manifest, results),
        _agreement(results),
        timeline.table(timeline.rows(manifest, prometheus)),
        classes.table(classes.rows(manifest, prometheus, attempts)),
        clocks.table(manifest, tasks),
    )


def _audit(manifest: Manifest, results: pd.DataFrame) -> pd.DataFrame:
    required = {scenario["name"]: scenario.get("requires", ()) for scenario in manifest.scenarios}
    rows = [
        {**cell.labels(manifest.session), "repetition": cell.repetition, **asdict(finding)}
        for cell in manifest.cells
        for finding in audit(
            cell,
            figures(results, cell, "promql"),
            figures(results, cell, "traces"),
            required.get(cell.scenario, ()),
        )
    ]
    return pd.DataFrame(rows, columns=_AUDIT_COLUMNS)


def figures(results: pd.DataFrame, cell: CellRecord, source: str) -> dict[str, float]:
    """Return one cell's values by metric, from one source."""
    chosen = results[
        (results["scenario"] == cell.scenario)
        & (results["variant"] == cell.variant)
        & (results["repetition"] == cell.repetition)
        & (results["source"] == source)
    ]
    return dict(zip(chosen["metric"], chosen["value"], strict=True))


def _agreement(results: pd.DataFrame) -> pd.DataFrame:
    """Put the two sources of each figure side by side, with the difference (PromQL - traces)."""
    wide = results.pivot_table(
        index=[*KEYS, "metric", "unit"], columns="source", values="value", sort=False
    ).reset_index()
    for source in ("promql", "traces"):
        if source not in wide:
            wide[source] = float("nan")
    both = wide.dropna(subset=["promql", "traces"]).reset_index(drop=True)
    both["difference"] = both["promql"] - both["traces"]
    both.columns.name = None
    return both[[*KEYS, "metric", "unit", "promql", "traces", "difference"]]


def valid_cells(audit_table: pd.DataFrame, cells: Iterable[CellRecord]) -> list[CellRecord]:
    """Return the cells all of whose checks hold."""
    failed = audit_table[~audit_table["ok"].astype(bool)]
    bad = set(zip(failed["scenario"], failed["variant"], failed["repetition"], strict=True))
    return [c for c in cells if (c.scenario, c.variant, c.repetition) not in bad]
