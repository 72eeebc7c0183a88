"""*Comparison*: both sides beside each other in every row, with the same scale."""

from typing import Any, Final

import grafana
from grafana import frame
from grafana.panels import Look, Panel, Shown, curves, figure, heat_map

_SIDES: Final = ("$left", "$right")
_BOTH: Final = f'{frame.SCENARIO}, variant=~"$left|$right", repetition=~"$repetition"'
_SAME_SCALE: Final = "Both sides have the same scale."


def build_dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    return frame.build(
        "Comparison",
        grafana.COMPARISON_UID,
        "Two variants of one scenario side by side: in turn, or at once. To be watched; verdicts "
        "come from `taskscope compare`.",
        frame.standard(
            frame.of_cells("left", "Left", frame.SCENARIO, of="variant"),
            frame.of_cells("right", "Right", f'{frame.SCENARIO}, variant!="$left"', of="variant"),
        ),
        [
            ("Left to right, over the range shown", 4, _ratios()),
            ("Throughput", 7, _pair("tasks a second", "completed_rate", "sent_rate")),
            ("End-to-end latency", 8, _slow("end to end", "end_to_end_quantiles", "latest_p99")),
            ("Distribution of end-to-end latency", 8, _heat_maps()),
            ("Stages, median", 8, _slow("stages, median", "stages_p50", "slowest_stage_p50")),
            (
                "Stages, slowest 1 %",
                8,
                _slow("stages, 99th percentile", "stages_p99", "slowest_stage_p99"),
            ),
            ("Queue depth", 7, _stacked("queue", "queue_depth_now", "queue_depth_total")),
            ("Worker CPU", 7, _stacked("worker CPU", "worker_cpu_now", "worker_cores")),
            ("Worker memory", 6, _pair("worker memory", "worker_memory_now")),
            ("Failures and retries", 6, _failures()),
            ("Generator", 6, _generator()),
        ],
    )


def _cell(side: str) -> str:
    return f'{frame.SCENARIO}, variant="{side}", repetition=~"$repetition"'


def _ratios() -> list[Panel]:
    """Return the ratio of the left side to the right, for what decides most."""
    shown = {
        "Throughput": "throughput_ratio",
        "End to end, median": "end_to_end_p50_ratio",
        "End to end, p99": "end_to_end_p99_ratio",
        "Worker CPU a task": "worker_cpu_per_task_ratio",
        "Worker memory": "worker_memory_ratio",
        "Broker CPU a task": "broker_cpu_per_task_ratio",
    }
    ratios: list[Panel] = [
        figure(title, Shown(query, first=_cell("$left"), second=_cell("$right")), good="blue",
               note="Not a verdict: `taskscope compare` says what is proven.")
        for title, query in shown.items()
    ]  # fmt: skip
    together = Shown("together", _BOTH)
    return [*ratios, figure("At once", together, "1: nothing here is a result."),
            figure("Targets up", Shown("targets_up", frame.SESSION), good="blue")]  # fmt: skip


def _pair(what: str, *queries: str) -> list[Panel]:
    """Return curves of each side, on the scale of both."""
    return [
        curves(
            f"{side}: {what}",
            [Shown(query, _cell(side)) for query in queries],
            Look(scale=[Shown(query, _cell(other)) for query in queries], note=_SAME_SCALE),
        )
        for side, other in (_SIDES, _SIDES[::-1])
    ]


def _slow(what: str, query: str, highest: str) -> list[Panel]:
    """Return curves that lead to slow tasks; `highest` is the only one that the scale needs."""
    return [
        curves(
            f"{side}: {what}",
            [Shown(query, _cell(side))],
            Look(
                scale=[Shown(highest, _cell(other))],
                note=_SAME_SCALE,
                links=[frame.slow_tasks(side)],
            ),
        )
        for side, other in (_SIDES, _SIDES[::-1])
    ]


def _failures() -> list[Panel]:
    return _pair("not well", "failed_rate", "retried_rate")


def _stacked(what: str, query: str, total: str) -> list[Panel]:
    """Return what adds up, of each side; the scale is that of both totals."""
    return [
        curves(
            f"{side}: {what}",
            [Shown(query, _cell(side))],
            Look(stacked=True, scale=[Shown(total, _BOTH)], note=_SAME_SCALE),
        )
        for side in _SIDES
    ]


def _heat_maps() -> list[Panel]:
    return [
        heat_map(f"{side}: end to end", Shown("latency_heatmap", _cell(side))) for side in _SIDES
    ]


def _generator() -> list[Panel]:
    return [
        curves(
            f"{side}: behind schedule",
            [Shown("schedule_lag_quantiles", _cell(side))],
            Look(scale=[Shown("schedule_lag_quantiles", _cell(other))], note=_SAME_SCALE),
        )
        for side, other in (_SIDES, _SIDES[::-1])
    ]
