"""The tables that end a run."""

from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from extract.compare import Line, Side
from taskscope.summary import Comparison, Summary

#: The figures that a person looks at first; all others are in the dataset and in --json.
HEADLINE_METRICS = (
    "throughput",
    "end_to_end_p50", "end_to_end_p99", "execution_p50", "prefetch_wait_p50", "broker_wait_p50",
    "enqueue_rate", "schedule_lag_p99", "queue_depth_max",
    "worker_cpu_cores", "worker_cpu_per_1000", "worker_memory_peak",
    "broker_cpu_per_1000", "broker_commands_per_task", "tasks_failed", "tasks_retried",
)  # fmt: skip

_SECOND, _MILLISECOND = 1.0, 1e-3


def show(console: Console, summary: Summary) -> None:
    """Print every comparison, the audit's word on it, and where everything lies."""
    for comparison in summary.comparisons:
        console.print(_figures(comparison))
        console.print(_settings(comparison))
        for text in _audit(comparison):
            console.print(text)
    console.print(Text(f"Run directory: {summary.directory}"), soft_wrap=True)


def _figures(comparison: Comparison) -> Table:
    table = Table(title=f"{comparison.title} ({comparison.scenario}): median [min to max]",
                  title_justify="left")  # fmt: skip
    table.add_column("")
    table.add_column(_with_repetitions(comparison, 0), justify="right")
    table.add_column(_with_repetitions(comparison, 1), justify="right")
    table.add_column("ratio", justify="right")
    table.add_column("better", justify="right")
    lines = {line.metric: line for line in comparison.lines}
    for metric in HEADLINE_METRICS:
        if metric in lines:
            table.add_row(*_row(lines[metric]))
    return table


def _with_repetitions(comparison: Comparison, side: int) -> str:
    name = (comparison.first, comparison.second)[side]
    counts = {s.repetitions for line in comparison.lines if (s := (line.first, line.second)[side])}
    return f"{name}\n{max(counts, default=0)} valid repetitions"


def _row(line: Line) -> tuple[str, str, str, str, str]:
    unit, write = _scale(line)
    label = line.metric.replace("_", " ")
    ratio = f"{line.ratio:.3g}" if line.ratio is not None else ""
    better = "" if line.better == "neither" else line.better
    return (f"{label} ({unit})", _side(line.first, write), _side(line.second, write), ratio, better)


def _scale(line: Line) -> tuple[str, Callable[[float], str]]:
    """Choose one unit for both sides, so that the eye can compare."""
    largest = max((s.median for s in (line.first, line.second) if s), default=0.0)
    if line.unit == "s" and largest < _SECOND:
        factor, unit = (1e3, "ms") if largest >= _MILLISECOND else (1e6, "µs")
        return unit, lambda value: f"{value * factor:,.4g}"
    if line.unit == "bytes" and largest >= 1e6:  # noqa: PLR2004
        return "MB", lambda value: f"{value / 1e6:,.1f}"
    return line.unit, lambda value: f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004


def _side(side: Side | None, write: Callable[[float], str]) -> str:
    if side is None:
        return "none"
    spread = "" if side.lowest == side.highest else (
        f" [{write(side.lowest)} to {write(side.highest)}]")  # fmt: skip
    return write(side.median) + spread


def _settings(comparison: Comparison) -> Table:
    table = Table(title="Settings", title_justify="left")
    table.add_column("")
    first, second = (comparison.settings[n] for n in (comparison.first, comparison.second))
    table.add_column(comparison.first)
    table.add_column(comparison.second)
    for key in dict.fromkeys([*first, *second]):
        if key != "description":
            table.add_row(key, str(first.get(key, "")), str(second.get(key, "")))
    table.add_row("description", first["description"], second["description"])
    return table


def _audit(comparison: Comparison) -> list[Text]:
    if comparison.valid == comparison.cells:
        return [Text(f"Audit: all {comparison.cells} cells are exact.", style="green")]
    bad = comparison.cells - comparison.valid
    lines = [f"Audit: {bad} of {comparison.cells} cells are invalid and left out above:"]
    return [Text(line, style="red") for line in (*lines, *comparison.invalid)]
