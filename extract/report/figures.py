"""The tables of figures: each variant's median over its valid repetitions, with the range."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, median

import queries
from extract import words
from extract.report.view import PARTS, View
from extract.words import Number
from instrumentation.buckets import BOUNDS_SECONDS

_ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}

#: What is shown at once; all others are behind a click.
FIRST = (
    "throughput", "enqueue_rate", "end_to_end_p50", "end_to_end_p99", "broker_wait_p50",
    "prefetch_wait_p50", "execution_p50", "schedule_lag_p99", "queue_depth_max",
    "worker_cpu_cores", "worker_cpu_per_1000", "worker_memory_peak", "broker_cpu_per_1000",
    "broker_commands_per_task", "tasks_completed", "tasks_failed", "tasks_retried",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of all variants; `spread` is each variant's range."""

    label: str
    arrow: str
    meaning: str
    numbers: tuple[Number | None, ...]
    spread: tuple[str, ...]
    first: bool


def rows(view: View) -> list[Row]:
    """Return a row for each figure by PromQL that any variant has."""
    known = set(view.results.loc[view.results["source"] == "promql", "metric"])
    order = [*FIRST, *(name for name in queries.catalogue() if name not in FIRST)]
    return [_row(view, queries.catalogue()[name]) for name in order if name in known]


def _row(view: View, query: queries.Query) -> Row:
    return Row(
        query.name.replace("_", " "),
        _ARROWS[query.better],
        query.meaning,
        tuple(middle(view, query.name, variant, query.unit) for variant in view.variants),
        tuple(_range(view, query, variant) for variant in view.variants),
        query.name in FIRST,
    )


def middle(view: View, metric: str, variant: str, unit: str) -> Number | None:
    """Return the median of a variant's valid repetitions, None where it has none."""
    values = view.values(metric, variant)
    if not values:
        return None
    found = median(values)
    text = words.quantity(found, unit)
    if in_lowest(metric, found):
        text = f"< {words.quantity(BOUNDS_SECONDS[0], 's')}"
    count = (
        "1 valid repetition" if len(values) == 1 else f"median of {len(values)} valid repetitions"
    )
    return Number(text, found, metric, f"query {metric}, by PromQL: {count} of {variant}", variant)


def in_lowest(metric: str, value: float) -> bool:
    """Whether a quantile lies in the lowest bucket, of which only the upper bound is known."""
    query = queries.catalogue()[metric]
    return "histogram_quantile" in query.text and value <= BOUNDS_SECONDS[0]


def _range(view: View, query: queries.Query, variant: str) -> str:
    values = view.values(query.name, variant)
    if len(set(values)) < 2 or in_lowest(query.name, max(values)):  # noqa: PLR2004 - a range
        return ""
    low, high = (words.quantity(end, query.unit) for end in (min(values), max(values)))
    if low == high:
        return ""
    (a, unit_a), (b, unit_b) = (text.split(" ", 1) for text in (low, high))
    return f"{a}–{b}" if unit_a == unit_b else f"{low} – {high}"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the mean task's time, of each variant: the time, and its share of the whole."""

    stage: str
    means: tuple[Number | None, ...]
    shares: tuple[str, ...]


def parts(view: View) -> list[Part]:
    """Return the parts of the mean end-to-end time that any variant has, and their sum."""
    table = {variant: dict(mean_stages(view, variant, PARTS)) for variant in view.variants}
    totals = {variant: sum(n.value for n in found.values()) for variant, found in table.items()}
    return [
        Part(
            stage.replace("_", " "),
            tuple(table[variant].get(stage) for variant in view.variants),
            tuple(
                f"{table[v][stage].value / totals[v]:.1%}"
                if stage in table[v] and totals[v]
                else ""
                for v in view.variants
            ),
        )
        for stage in PARTS
        if any(stage in found for found in table.values())
    ]


def mean_stages(view: View, variant: str, stages: Sequence[str]) -> Iterator[tuple[str, Number]]:
    """Yield the mean of each stage that a variant has, by the traces."""
    for stage in stages:
        metric = f"{stage}_mean"
        if values := view.values(metric, variant, "traces"):
            found = mean(values)
            origin = (f"trace statistic {metric}: mean over the attempts of each repetition, then "
                      f"over {len(values)} valid repetitions of {variant}")  # fmt: skip
            yield stage, Number(words.quantity(found, "s"), found, metric, origin, variant)
