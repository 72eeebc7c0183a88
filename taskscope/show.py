"""What ends a run, and what `taskscope compare` prints: verdicts, tables, doubts, audit."""

import textwrap

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from extract.conditions import State
from extract.verdict import Outcome
from extract.wording import percent
from taskscope import rows
from taskscope.summary import Comparison, Summary

_COLOURS = {
    Outcome.BETTER: "green", Outcome.WORSE: "red", Outcome.INCONCLUSIVE: "dim",
}  # fmt: skip
#: Below this width, in characters, names are broken into lines, and medians have no spread.
_NARROW, _COLUMN = 106, 9
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
    """Print the answer last: there, above the prompt, the eye rests."""
    console.print(_settings(comparison))
    console.print(_figures(comparison, narrow=console.width < _NARROW))
    for doubt in rows.doubts(comparison):
        _say(console, f"Doubt: {doubt}", "yellow")
    for said in rows.clocks(comparison):
        _say(console, said, "yellow")
    if costs := rows.overhead(comparison):
        _say(console, costs)
    for number, line in enumerate(rows.answer(comparison)):
        _say(console, line, "bold" if number == 0 or not comparison.answer else "")


def heading(comparison: Comparison, *, spread: bool = True) -> str:
    """Say how the figures of a table are to be read."""
    how = f"median of the valid repetitions{' ± half their range' if spread else ''}"
    arrows = "↑ higher is better, ↓ lower is better"
    if not comparison.second:
        return f"{comparison.title}: {how}\n{arrows}"
    margin = next((percent(v.margin) for v in comparison.verdicts), "")
    means = f"equivalent: within {margin}; inconclusive: these repetitions cannot tell"
    return f"{comparison.title}: {how}\n{arrows}; ratio is first to second (95 % interval)\n{means}"


def _figures(comparison: Comparison, *, narrow: bool) -> Table:
    title = heading(comparison, spread=not narrow)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD,
                  pad_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
    table.add_column("", no_wrap=not narrow)
    for name, count in zip(rows.names(comparison), rows.repetitions(comparison), strict=True):
        table.add_column(f"{_broken(name) if narrow else name}\n{count} valid", justify="right",
                         no_wrap=True)  # fmt: skip
    if comparison.second:
        table.add_column("ratio", justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
    for title, some in rows.sections(comparison):
        if title and some:
            table.add_row(Text(title, style="bold"))
        for row in some:
            verdict = (row.ratio, _coloured(row)) if comparison.second else ()
            table.add_row(row.label, *(row.medians if narrow else row.sides), *verdict)
        table.add_section()
    return table


def _coloured(row: rows.Row) -> Text:
    return Text(row.verdict, style=_COLOURS.get(row.outcome, "") if row.outcome else "")


def _broken(name: str) -> str:
    """Break a variant's name into short lines, at its dashes."""
    return "\n".join(textwrap.wrap(name, _COLUMN, break_long_words=True))


def _settings(comparison: Comparison) -> Table:
    table = Table(title="Settings", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True, min_width=26)
    for name in rows.names(comparison):
        table.add_column(name)
    for key, values in rows.settings(comparison):
        table.add_row(key, *values)
    return table
