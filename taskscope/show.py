"""What ends a run, and what `taskscope compare` prints: verdicts, tables, doubts, audit."""

import textwrap
from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from extract.conditions import State
from extract.verdict import Outcome
from extract.wording import percent
from taskscope import points, rows
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
    for group in points.groups(summary.comparisons):
        if len(group) > 1:
            _show_points(console, group)
        else:
            _show_one(console, group[0])
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


def _show_points(console: Console, group: Sequence[Comparison]) -> None:
    """Print the points of a matrix in one table; each by itself is in --json and the report."""
    narrow = console.width < _NARROW
    console.print(_settings(group[0], left_out=points.varying(group)))
    title = heading(_measured(group), points.title(group), spread=not narrow)
    columns = list(zip(rows.names(group[0]), points.repetitions(group), strict=True))
    console.print(_table(title, columns, list(points.sections(group)), narrow=narrow))
    for doubt in points.doubts(group):
        _say(console, f"Doubt: {doubt}", "yellow")
    if costs := rows.overhead(group[0]):
        _say(console, costs)
    _say(console, f"{points.title(group)}:", "bold")
    for line in points.answers(group):
        _say(console, line)


def _measured(group: Sequence[Comparison]) -> Comparison:
    """Return a point that has verdicts, if any has."""
    return next((point for point in group if point.verdicts), group[0])


def heading(comparison: Comparison, title: str = "", *, spread: bool = True) -> str:
    """Say how the figures of a table are to be read."""
    title = title or comparison.title
    how = f"median of the valid repetitions{' ± half their range' if spread else ''}"
    arrows = "↑ higher is better, ↓ lower is better"
    if not comparison.second:
        return f"{title}: {how}\n{arrows}"
    margin = next((percent(v.margin) for v in comparison.verdicts), "")
    means = f"equivalent: within {margin}; inconclusive: these repetitions cannot tell"
    return f"{title}: {how}\n{arrows}; ratio is first to second (95 % interval)\n{means}"


def _figures(comparison: Comparison, *, narrow: bool) -> Table:
    title = heading(comparison, spread=not narrow)
    counts = map(str, rows.repetitions(comparison))
    columns = list(zip(rows.names(comparison), counts, strict=True))
    return _table(title, columns, rows.sections(comparison), narrow=narrow)


def _table(
    title: str,
    columns: Sequence[tuple[str, str]],
    sections: Sequence[tuple[str, list[rows.Row]]],
    *,
    narrow: bool,
) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD,
                  pad_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
    table.add_column("", no_wrap=not narrow)
    for name, count in columns:
        table.add_column(f"{_broken(name) if narrow else name}\n{count} valid", justify="right",
                         no_wrap=True)  # fmt: skip
    pair = len(columns) > 1
    if pair:
        table.add_column("ratio", justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
    for name, some in sections:
        if name and some:
            table.add_row(Text(name, style="bold"))
        for row in some:
            verdict = (row.ratio, _coloured(row)) if pair else ()
            table.add_row(row.label, *(row.medians if narrow else row.sides), *verdict)
        table.add_section()
    return table


def _coloured(row: rows.Row) -> Text:
    return Text(row.verdict, style=_COLOURS.get(row.outcome, "") if row.outcome else "")


def _broken(name: str) -> str:
    """Break a variant's name into short lines, at its dashes."""
    return "\n".join(textwrap.wrap(name, _COLUMN, break_long_words=True))


def _settings(comparison: Comparison, left_out: Collection[str] = ()) -> Table:
    table = Table(title="Settings", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True, min_width=26)
    for name in rows.names(comparison):
        table.add_column(name)
    for key, values in rows.settings(comparison):
        if key not in left_out:
            table.add_row(key, *values)
    return table
