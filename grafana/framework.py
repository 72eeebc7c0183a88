"""What the dashboards of single frameworks have in common."""

from collections.abc import Sequence
from typing import Any

import grafana
from grafana import frame
from grafana.frame import CELL, Row
from grafana.panels import Look, Shown, curves, heat_map


def of_framework(
    title: str, framework: str, description: str, own: Sequence[Row]
) -> dict[str, Any]:
    """Return the dashboard of one framework; `own` are the rows that it alone has."""
    variants = frame.of_cells(
        "variant", "Variant", f'{frame.SCENARIO}, framework="{framework}"', of="variant"
    )
    return frame.build(
        title,
        f"{grafana.TAG}-{framework}",
        description,
        frame.standard(variants),
        [*_latency(), *own, *_resources()],
    )


def _latency() -> list[Row]:
    slow = [frame.slow_tasks("$variant")]
    return [
        ("Throughput", 7, [
            curves("Sent and completed", [Shown("sent_rate", CELL), Shown("completed_rate", CELL)]),
            curves("By task", [Shown("tasks_by_name", CELL)]),
            curves("Failures and retries",
                   [Shown("failed_rate", CELL), Shown("retried_rate", CELL)]),
        ]),
        ("Latency", 8, [
            curves("End to end", [Shown("end_to_end_quantiles", CELL)], Look(links=slow)),
            heat_map("End to end, distribution", Shown("latency_heatmap", CELL)),
        ]),
        ("Stages", 8, [
            curves("Publishing", [Shown("publish_duration_quantiles", CELL)]),
            curves("In the broker", [Shown("broker_wait_quantiles", CELL)]),
            curves("In the worker, before it starts", [Shown("prefetch_wait_quantiles", CELL)]),
            curves("Execution", [Shown("execution_quantiles", CELL)], Look(links=slow)),
        ]),
    ]  # fmt: skip


def _resources() -> list[Row]:
    return [
        ("Queue", 7, [
            curves("In the broker", [Shown("queue_depth_now", CELL)], Look(stacked=True)),
            curves("Acknowledgement", [Shown("ack_quantiles", CELL)]),
        ]),
        ("Worker", 7, [
            curves("CPU", [Shown("worker_cpu_now", CELL)], Look(stacked=True)),
            curves("Memory", [Shown("worker_memory_now", CELL)]),
        ]),
    ]  # fmt: skip
