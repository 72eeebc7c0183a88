"""The figures of each class of tasks by itself: what a short task has to wait behind long ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from extract import words
from extract.report import distributions, spec
from extract.report.spec import Chart
from extract.report.view import View
from extract.words import Number

_SHOWN = ("end_to_end_p50", "end_to_end_p99", "prefetch_wait_p99", "execution_p50", "execution_p99")


@dataclass(frozen=True)
class Row:
    """One figure of one class, of all variants."""

    task: str
    label: str
    numbers: tuple[Number | None, ...]


def rows(view: View) -> list[Row]:
    """Return a row for each class and figure; none where there is but one class."""
    table = view.classes[view.classes["source"] == "promql"]
    groups = {
        (str(t), str(m), str(v)): values.tolist()
        for (t, m, v), values in table.groupby(["task", "metric", "variant"])["value"]
    }
    tasks = sorted({task for task, _, _ in groups})
    return [
        Row(
            task,
            metric.replace("_", " "),
            tuple(
                _number(groups.get((task, metric, v), []), metric, task, v) for v in view.variants
            ),
        )
        for task in tasks
        for metric in _SHOWN
    ]


def _number(values: list[float], metric: str, task: str, variant: str) -> Number | None:
    if not values:
        return None
    origin = (f"query {metric} of the tasks {task} alone, by PromQL: median of {len(values)} valid "
              f"repetitions of {variant}")  # fmt: skip
    return Number(words.quantity(median(values), "s"), median(values), metric, origin, variant)


def chart(view: View) -> Iterator[Chart]:
    """Yield a box for each class and variant, where there are several classes."""
    tasks = sorted(view.tasks["task"].dropna().unique())
    if len(tasks) < 2:  # noqa: PLR2004 - several
        return
    found = [
        {"stage": str(task), "variant": variant,
         **{name: max(value, 1e-6) for name, value in box.items()},
         "text": ", ".join(f"{name} {words.quantity(v, 's')}" for name, v in box.items())}
        for task in tasks
        for variant in view.variants
        if (box := distributions.box(_end_to_end(view, variant, str(task))))
    ]  # fmt: skip
    origin = (
        "traces: end_to_end of the tasks of each class of the valid repetitions (tasks.parquet)"
    )
    yield Chart(
        "classes",
        "End-to-end time by class of task",
        "Box: the middle half of the tasks of a class; tick: the median; line: 5 % to 95 %. Log "
        "scale. Where a short class is as slow as a long one, it waits behind it.",
        origin,
        spec.fill("boxes", found, view.variants, origin),
    )


def _end_to_end(view: View, variant: str, task: str) -> distributions.Array:
    stages = view.stages[variant]
    of_class = view.tasks.loc[stages.index, "task"] == task
    found: distributions.Array = stages.loc[of_class, "end_to_end"].dropna().to_numpy("float64")
    return found
