"""Results by PromQL: every query of the catalogue, for every cell, at its marks."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_api_client import PrometheusConnect

import queries
from extract.manifest import CellRecord, Manifest
from instrumentation.buckets import bucket_around

type Row = dict[str, Any]


def results(manifest: Manifest, prometheus: PrometheusConnect) -> Iterator[Row]:
    """Yield one row for each cell and query that has an answer; the dataset's long form.

    A stage that a variant does not have (acknowledging early, say) has no answer and no row.
    """
    for cell in manifest.cells:
        if not cell.measured:
            continue
        for query in queries.catalogue().values():
            found = row(prometheus, query, cell, manifest.session)
            if found is not None:
                yield found


def row(
    prometheus: PrometheusConnect,
    query: queries.Query,
    cell: CellRecord,
    session: str,
    labels: Mapping[str, str] | None = None,
) -> Row | None:
    """Return a row of the dataset's long form, or None where no series has such labels too."""
    value = ask(prometheus, query, cell, session, labels)
    if value is None:
        return None
    lower, upper = _bounds(query, value)
    return {
        **cell.labels(session),
        "repetition": cell.repetition,
        "metric": query.name,
        "value": value,
        "lower": lower,
        "upper": upper,
        "unit": query.unit,
        "source": "promql",
        "query": query.name,
    }


def ask(
    prometheus: PrometheusConnect,
    query: queries.Query,
    cell: CellRecord,
    session: str,
    labels: Mapping[str, str] | None = None,
) -> float | None:
    """Evaluate one query for one measured cell; None when no series answers it."""
    assert cell.start is not None  # noqa: S101 - the caller asks for measured cells only
    assert cell.end is not None  # noqa: S101
    seconds = cell.end - cell.start
    text = query.render(
        cell=selector({**cell.labels(session), **(labels or {})}),
        start=f"{cell.start:.3f}",
        end=f"{cell.end:.3f}",
        window=f"{round(seconds * 1000)}ms",
        seconds=f"{seconds:.3f}",
    )
    # `time` matters to no result, since every selector has its `@`; it must only be the same.
    answer = prometheus.custom_query(text, params={"time": f"{cell.end:.3f}"})
    value = float(answer[0]["value"][1]) if answer else math.nan
    return value if math.isfinite(value) else None


def selector(labels: Mapping[str, str]) -> str:
    """Write labels as PromQL matchers. Their values were checked to need no escaping."""
    return ", ".join(f'{name}="{value}"' for name, value in labels.items())


def _bounds(query: queries.Query, value: float) -> tuple[float | None, float | None]:
    """Return the bounds of the bucket that a quantile fell in; other figures are exact."""
    return bucket_around(value) if "histogram_quantile" in query.text else (None, None)
