"""A comparison as Markdown: what a pull request shows."""

from collections.abc import Iterable, Iterator

from taskscope import rows
from taskscope.show import heading
from taskscope.summary import Comparison, Summary


def markdown(summary: Summary) -> str:
    """Return the whole summary as GitHub's Markdown."""
    return "\n".join(_lines(summary)).rstrip("\n") + "\n"


def _lines(summary: Summary) -> Iterator[str]:
    if summary.judgements:
        yield "### Conditions\n"
        yield from _list(rows.judged(judgement) for judgement in summary.judgements)
    for line in rows.runs(summary):
        yield f"{_safe(line)}\n"
    for comparison in summary.comparisons:
        yield from _comparison(comparison)
    for lines, _ in rows.audits(summary):
        yield from (f"{_safe(lines[0])}\n", *_list(lines[1:]))


def _comparison(comparison: Comparison) -> Iterator[str]:
    yield f"### {_safe(comparison.title)}: {_safe(' against '.join(rows.names(comparison)))}\n"
    if answer := comparison.answer:
        yield f"**{_safe(answer.choice)}** {_safe(answer.how_much)} {_safe(answer.sure)}\n"
    yield from _list(rows.sentences(comparison))
    columns = ["", *rows.names(comparison), *(["ratio", "verdict"] if comparison.second else [])]
    counts = iter(rows.repetitions(comparison))
    named = [f"{c} ({next(counts)} valid)" if c in rows.names(comparison) else c for c in columns]
    body = (
        [row.label, *row.sides, *([row.ratio, row.verdict] if comparison.second else [])]
        for row in rows.rows(comparison)
    )
    yield from _table(named, body)
    yield f"<sub>{_safe(heading(comparison)).replace(chr(10), '; ')}</sub>\n"
    if found := list(rows.doubts(comparison)):
        yield f"<details><summary>Doubts: {len(found)}</summary>\n"
        yield from (*_list(found), "</details>\n")
    yield from (f"{_safe(said)}\n" for said in rows.clocks(comparison))
    if costs := rows.overhead(comparison):
        yield f"{_safe(costs)}\n"
    yield "<details><summary>Settings</summary>\n"
    settings = ([key, *values] for key, values in rows.settings(comparison))
    yield from (*_table(["", *rows.names(comparison)], settings), "</details>\n")


def _table(head: list[str], body: Iterable[list[str]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---", *["--:" for _ in head[1:]]])
    yield from map(_row, body)
    yield ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_safe(cell) for cell in cells)} |"


def _list(texts: Iterable[str]) -> Iterator[str]:
    yield from (f"- {_safe(text)}" for text in texts)
    yield ""


def _safe(text: str) -> str:
    """Keep Markdown from reading a name, a path or a condition as markup."""
    for sign in "\\|<>*_`[]#":
        text = text.replace(sign, f"\\{sign}")
    return text.strip()
