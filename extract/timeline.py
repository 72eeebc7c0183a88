"""What is followed over time: the samples of every scrape between a cell's marks, by PromQL.

Samples keep their own instants and counters are differences between two scrapes, so that nothing is
interpolated, and no scrape is counted twice or left out.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
from prometheus_api_client import PrometheusConnect

import queries
from extract.manifest import CellRecord, Manifest
from extract.promql import Row, selector

#: `seconds` are since the cell's start mark.
COLUMNS = {
    "session": "string", "scenario": "string", "framework": "string", "variant": "string",
    "repetition": "int64", "metric": "string", "seconds": "float64", "value": "float64",
    "unit": "string", "query": "string",
}  # fmt: skip


def table(rows: Iterable[Row]) -> pd.DataFrame:
    """Return the rows as the table `timeline`."""
    return pd.DataFrame(list(rows), columns=pd.Index(COLUMNS)).astype(COLUMNS)


def rows(manifest: Manifest, prometheus: PrometheusConnect) -> Iterator[Row]:
    """Yield one row for each measured cell, timeline of the catalogue, and scrape."""
    for cell in manifest.cells:
        for timeline in queries.timelines().values() if cell.measured else ():
            for seconds, value in samples(prometheus, timeline, cell, manifest.session):
                yield {
                    **cell.labels(manifest.session), "repetition": cell.repetition,
                    "metric": timeline.name, "seconds": seconds, "value": value,
                    "unit": timeline.unit, "query": timeline.name,
                }  # fmt: skip


def samples(
    prometheus: PrometheusConnect, timeline: queries.Timeline, cell: CellRecord, session: str
) -> list[tuple[float, float]]:
    """Return (seconds since the start mark, value) at each scrape of one measured cell."""
    found = follow(_ask(prometheus, timeline, cell, session), timeline.kind)
    return [(instant - (cell.start or 0), value) for instant, value in found.items()]


def _ask(
    prometheus: PrometheusConnect, timeline: queries.Timeline, cell: CellRecord, session: str
) -> list[dict[str, Any]]:
    assert cell.start is not None  # noqa: S101 - the caller asks for measured cells only
    assert cell.end is not None  # noqa: S101
    text = timeline.render(
        cell=selector(cell.labels(session)),
        end=f"{cell.end:.3f}",
        window=f"{round((cell.end - cell.start) * 1000)}ms",
    )
    answer: list[dict[str, Any]] = prometheus.custom_query(text, params={"time": f"{cell.end:.3f}"})
    return answer


def follow(samples: Iterable[dict[str, Any]], kind: str) -> dict[float, float]:
    """Return the sum of all series by the instant of each scrape, as Prometheus answers them.

    A series without a sample at an instant has the last value it had; a counter without any before
    has 0, and the first scrape only says where the counters stood.
    """
    series = [pd.Series({float(t): float(v) for t, v in s["values"]}) for s in samples]
    if not series:
        return {}
    total = pd.concat(series, axis=1).sort_index().ffill().fillna(0).sum(axis=1)
    if kind == "counter":
        elapsed = total.index.to_series().diff()
        total = (total.diff() / elapsed).dropna()
    return {float(t): float(v) for t, v in total.items()}  # type: ignore[arg-type]
