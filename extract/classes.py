"""The main figures of each class of tasks by itself, where a cell has several: by either source.

A class is a task's name. The queries are those of the catalogue, of the series with that name.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import pandas as pd
from prometheus_api_client import PrometheusConnect

import queries
from extract import promql, traces
from extract.manifest import CellRecord, Manifest
from extract.promql import Row

STAGES: Final = ("broker_wait", "prefetch_wait", "execution", "end_to_end")
METRICS: Final = (
    *("tasks_completed", "tasks_failed"),
    *(f"{stage}_{what}" for stage in STAGES for what in ("mean", "p50", "p95", "p99")),
)
COLUMNS: Final = {
    "session": "string", "scenario": "string", "framework": "string", "variant": "string",
    "repetition": "int64", "task": "string", "metric": "string", "value": "float64",
    "lower": "float64", "upper": "float64", "unit": "string", "source": "string",
    "query": "string",
}  # fmt: skip


def table(rows: Iterable[Row]) -> pd.DataFrame:
    """Return the rows as the table `classes`."""
    return pd.DataFrame(list(rows), columns=pd.Index(COLUMNS)).astype(COLUMNS)


def rows(
    manifest: Manifest, prometheus: PrometheusConnect, attempts: pd.DataFrame
) -> Iterator[Row]:
    """Yield a row for each measured cell of several classes, class, figure and source."""
    for cell in manifest.cells:
        own = traces.of_cell(attempts, cell, "completed_ns")
        names = sorted(own["task"].unique())
        for name in names if len(names) > 1 else ():
            of_class = own[own["task"] == name]
            for row in (
                *_by_promql(prometheus, cell, manifest.session, name),
                *_by_traces(of_class, cell, manifest.session),
            ):
                yield {**row, "task": name}


def _by_promql(
    prometheus: PrometheusConnect, cell: CellRecord, session: str, name: str
) -> Iterator[Row]:
    for metric in METRICS:
        row = promql.row(prometheus, queries.catalogue()[metric], cell, session, {"task": name})
        if row is not None:
            yield row


def _by_traces(attempts: pd.DataFrame, cell: CellRecord, session: str) -> Iterator[Row]:
    for metric, (value, unit) in traces.figures_of_attempts(attempts).items():
        if metric in METRICS:
            yield traces.row(cell, session, metric, value, unit)
