"""What ends a run, and what `taskscope compare` prints: verdicts, tables, doubts, audit."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from extract.conditions import State
from extract.verdict import Outcome
from taskscope import rows
from taskscope.summary import Comparison, Summary

_COLOURS = {
    Outcome.BETTER: "green", Outcome.WORSE: "red", Outcome.INCONCLUSIVE: "dim",
}  # fmt: skip
_STATES = {State.FIRED: "bold red", State.HELD: "green", State.UNDECIDED: "yellow"}


def show(console: Console, summary: Summary) -> None:
    """Print every comparison, the audit's word on it, and where everything lies."""
    for line in rows.runs(summary):
        _say(console, line)
    for comparison in summary.comparisons:
        _show_one(console, comparison)
    for judgement in summary.judgements:
        _say(console, rows.judged(judgement), _STATES[judgement.state])
    for lines, well in rows.audits(summary):
        for line in lines:
            _say(console, line, "green" if well else "red")
    _say(console, f"Run directory: {summary.directory}")


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)


def _show_one(console: Console, comparison: Comparison) -> None:
    for sentence in rows.sentences(comparison):
        _say(console, sentence, "bold")
    console.print(_figures(comparison))
    for doubt in rows.doubts(comparison):
        _say(console, f"Doubt: {doubt}", "yellow")
    for said in rows.clocks(comparison):
        _say(console, said, "yellow")
    if costs := rows.overhead(comparison):
        _say(console, costs)
    console.print(_settings(comparison))


def heading(comparison: Comparison) -> str:
    """Say how the figures of a table are to be read."""
    how = "median of the valid repetitions ± half their range"
    arrows = "↑ higher is better, ↓ lower is better"
    if not comparison.second:
        return f"{comparison.title}: {how}\n{arrows}"
    return f"{comparison.title}: {how}\n{arrows}; ratio is first to second, with 95 % interval"


def _figures(comparison: Comparison) -> Table:
    table = Table(title=heading(comparison), title_justify="left", box=box.SIMPLE_HEAD,
                  pad_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
    table.add_column("", no_wrap=True)
    for name, count in zip(rows.names(comparison), rows.repetitions(comparison), strict=True):
        table.add_column(f"{name}\n{count} valid", justify="right", overflow="fold")
    if not comparison.second:
        for row in rows.rows(comparison):
            table.add_row(row.label, *row.sides)
        return table
    table.add_column("ratio", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows.rows(comparison):
        colour = _COLOURS.get(row.outcome, "") if row.outcome else ""
        table.add_row(row.label, *row.sides, row.ratio, Text(row.verdict, style=colour))
    return table


def _settings(comparison: Comparison) -> Table:
    table = Table(title="Settings", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True, min_width=26)
    for name in rows.names(comparison):
        table.add_column(name)
    for key, values in rows.settings(comparison):
        table.add_row(key, *values)
    return table
