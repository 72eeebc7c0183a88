"""Single tasks: which were slow, and which stage their time went to."""

from typing import Any

import pandas as pd
from rich import box
from rich.markup import escape
from rich.table import Table

from extract.traces import attempt_stages

_NS_PER_MS = 1e6
_LARGE_MS = 1000
#: Stage and column title, in the order of a task's life.
_COLUMNS = {
    "end_to_end": "total",
    "schedule_lag": "lag",
    "delay": "delay",
    "broker_wait": "broker",
    "prefetch_wait": "prefetch",
    "execution": "run",
    "ack": "ack",
}


def slowest_tasks(
    tasks: pd.DataFrame, count: int, *, task_id: str | None = None, failed: bool = False
) -> list[dict[str, Any]]:
    """Return the `count` slowest attempts end to end, with each stage's share in milliseconds.

    `task_id` chooses all attempts of one task instead; `failed` leaves out what ended well.
    """
    stages = attempt_stages(tasks)
    stages["schedule_lag"] = tasks["sent_ns"] - tasks["scheduled_ns"].fillna(tasks["sent_ns"])
    facts = tasks[["task_id", "trace_id", "scenario", "variant", "repetition", "task", "outcome",
                   "attempt", "worker"]]  # fmt: skip
    table = facts.join((stages.astype("Float64") / _NS_PER_MS).add_suffix("_ms"))
    if task_id is not None:
        table = table[table["task_id"] == task_id]
    if failed:
        table = table[table["outcome"] == "failure"]
    chosen = table.sort_values("end_to_end_ms", ascending=False).head(count)
    plain = chosen.astype(object).where(chosen.notna(), None)
    return [dict(zip(plain.columns, row, strict=True)) for row in plain.itertuples(index=False)]


def waterfall_table(rows: list[dict[str, Any]]) -> Table:
    """Draw the tasks as a table, a column for each stage that any of them has."""
    title = "Tasks by end-to-end time, in ms"
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("task", no_wrap=True, min_width=36)
    stages = [stage for stage in _COLUMNS if any(row[f"{stage}_ms"] for row in rows)]
    for stage in stages:
        table.add_column(_COLUMNS[stage], justify="right", no_wrap=True, min_width=6)
    for row in rows:
        times = [row[f"{stage}_ms"] for stage in stages]
        about = f"{row['variant']} {row['repetition']}, {row['outcome']}"
        numbers = [
            "" if t is None else f"{t:,.3g}" if t < _LARGE_MS else f"{t:,.0f}" for t in times
        ]
        table.add_row(f"{row['task_id']}\n[dim]{escape(about)}[/dim]", *numbers)
    return table
