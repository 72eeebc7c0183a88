"""Single tasks: which were slow, and which stage their time went to."""

from typing import Any

import pandas as pd
from rich.table import Table

_NS_PER_MS = 1e6
_STAGES = ("schedule_lag", "broker_wait", "prefetch_wait", "execution", "ack")


def slowest_tasks(
    tasks: pd.DataFrame, count: int, *, task_id: str | None = None, failed: bool = False
) -> list[dict[str, Any]]:
    """Return the `count` slowest attempts end to end, with each stage's share in milliseconds.

    `task_id` chooses all attempts of one task instead; `failed` leaves out what ended well.
    """
    wanted = tasks["scheduled_ns"].fillna(tasks["sent_ns"])
    stages = pd.DataFrame({
        "end_to_end": tasks["completed_ns"] - wanted,
        "schedule_lag": tasks["sent_ns"] - wanted,
        "broker_wait": tasks["received_ns"] - tasks["sent_ns"],
        "prefetch_wait": tasks["started_ns"] - tasks["received_ns"],
        "execution": tasks["completed_ns"] - tasks["started_ns"],
        "ack": tasks["acked_ns"] - tasks["completed_ns"],
    })  # fmt: skip
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
    """Draw the tasks as a table, stages from left to right in the order of a task's life."""
    table = Table(title="Tasks by end-to-end time, in ms", title_justify="left")
    for name in ("task id", "variant", "repetition", "outcome"):
        table.add_column(name, overflow="fold")
    for name in ("end_to_end", *_STAGES):
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        times = [row[f"{stage}_ms"] for stage in ("end_to_end", *_STAGES)]
        table.add_row(
            row["task_id"], row["variant"], str(row["repetition"]),
            f"{row['outcome']} ({row['attempt']})",
            *("" if t is None else f"{t:,.3f}" for t in times),
        )  # fmt: skip
    return table
