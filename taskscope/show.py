"""The tables that end a run."""

import re
from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from extract.compare import Line, Side
from instrumentation.buckets import BOUNDS_SECONDS
from taskscope.overhead_show import sentence
from taskscope.summary import Comparison, Summary

#: The figures that a person looks at first; all others are in the dataset and in --json.
HEADLINE_METRICS = (
    "throughput",
    "end_to_end_p50", "end_to_end_p99", "execution_p50", "prefetch_wait_p50", "broker_wait_p50",
    "enqueue_rate", "schedule_lag_p99", "queue_depth_max",
    "worker_cpu_cores", "worker_cpu_per_1000", "worker_memory_peak",
    "broker_cpu_per_1000", "broker_commands_per_task", "tasks_failed", "tasks_retried",
)  # fmt: skip

_SECOND, _MILLISECOND, _MEGABYTE, _LARGE = 1.0, 1e-3, 1e6, 1000
_ARROWS = {"higher": "↑", "lower": "↓", "neither": " "}
_LOWEST_SECONDS = BOUNDS_SECONDS[0]


def show(console: Console, summary: Summary) -> None:
    """Print every comparison, the audit's word on it, and where everything lies."""
    for comparison in summary.comparisons:
        console.print(_figures(comparison))
        console.print(_settings(comparison))
        if words := _overhead(comparison):
            console.print(Text(words), soft_wrap=True)
    for text in _audit(summary):
        console.print(text)
    console.print(Text(f"Run directory: {summary.directory}"), soft_wrap=True)


def _overhead(comparison: Comparison) -> str:
    sides = [name for name in (comparison.first, comparison.second) if name]
    return sentence(comparison.overhead, sides) if comparison.overhead else ""


def _figures(comparison: Comparison) -> Table:
    title = (
        f"{comparison.title}: median of the valid repetitions ± half their range\n"
        "↑ higher is better, ↓ lower is better; ratio is first to second"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    sides = [name for name in (comparison.first, comparison.second) if name]
    for side, name in enumerate(sides):
        table.add_column(
            f"{name}\n{_repetitions(comparison, side)} valid", justify="right", overflow="fold"
        )
    if comparison.second:
        table.add_column("ratio", justify="right")
    lines = {line.metric: line for line in comparison.lines}
    for metric in HEADLINE_METRICS:
        if metric in lines:
            cells = _row(lines[metric])
            table.add_row(*(cells if comparison.second else cells[:2]))
    return table


def _repetitions(comparison: Comparison, side: int) -> int:
    sides = ((line.first, line.second)[side] for line in comparison.lines)
    return max((s.repetitions for s in sides if s), default=0)


def _row(line: Line) -> tuple[str, str, str, str]:
    unit, write = _scale(line)
    label = f"{_ARROWS[line.better]} {line.metric.replace('_', ' ')}"
    if unit not in line.metric:
        label += f", {unit}"
    # A ratio of two values in the lowest bucket would be a ratio of interpolations.
    known = line.ratio is not None and not (_in_lowest(line, 0) or _in_lowest(line, 1))
    ratio = f"{line.ratio:.3g}" if known and line.ratio else ""
    sides = [
        f"< {_LOWEST_SECONDS * 1e6:.0f} µs" if _in_lowest(line, i) else _side(side, write)
        for i, side in enumerate((line.first, line.second))
    ]
    return label, sides[0], sides[1], ratio


def _in_lowest(line: Line, side: int) -> bool:
    """Whether a quantile lies in the lowest bucket, where nothing but its upper bound is known."""
    value = (line.first, line.second)[side]
    quantile = re.search(r"_p\d+$", line.metric) is not None
    return quantile and value is not None and value.median <= _LOWEST_SECONDS


def _scale(line: Line) -> tuple[str, Callable[[float], str]]:
    """Choose one unit for both sides, so that the eye can compare."""
    largest = max((s.median for s in (line.first, line.second) if s), default=0.0)
    if line.unit == "s" and largest < _SECOND:
        factor, unit = (1e3, "ms") if largest >= _MILLISECOND else (1e6, "µs")
        return unit, lambda value: f"{value * factor:,.4g}"
    if line.unit == "bytes" and largest >= _MEGABYTE:
        return "MB", lambda value: f"{value / _MEGABYTE:,.0f}"
    return line.unit, lambda value: f"{value:,.0f}" if abs(value) >= _LARGE else f"{value:.3g}"


def _side(side: Side | None, write: Callable[[float], str]) -> str:
    if side is None:
        return "none"
    if side.lowest == side.highest:
        return write(side.median)
    half_range = (side.highest - side.lowest) / 2
    if half_range >= side.median:  # a percentage would say little
        return f"{write(side.median)} [{write(side.lowest)} .. {write(side.highest)}]"
    return f"{write(side.median)} ±{half_range / side.median:.1%}"


def _settings(comparison: Comparison) -> Table:
    table = Table(title="Settings", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True, min_width=26)
    sides = [name for name in (comparison.first, comparison.second) if name]
    for name in sides:
        table.add_column(name)
    settings = [comparison.settings[name] for name in sides]
    keys = dict.fromkeys(key for side in settings for key in side if key != "description")
    for key in [*keys, "description"]:
        table.add_row(key, *(str(side.get(key, "")) for side in settings))
    return table


def _audit(summary: Summary) -> list[Text]:
    lines = []
    if summary.measured < summary.planned:
        text = f"The run ended early: {summary.measured} of {summary.planned} cells were measured."
        lines.append(Text(text, style="red"))
    if summary.valid == summary.measured:
        return [*lines, Text(f"Audit: all {summary.measured} cells are exact.", style="green")]
    bad = summary.measured - summary.valid
    text = f"Audit: {bad} of {summary.measured} cells are invalid and left out above:"
    return [*lines, *(Text(line, style="red") for line in (text, *summary.invalid))]
