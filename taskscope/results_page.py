"""Writes docs/results.md from runs: `python -m taskscope.results_page RUN... > docs/results.md`.

Nothing in it is written by hand: all follows from the runs' manifests and datasets, whatever they
say, the unflattering included.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from extract import capacity_words
from extract.manifest import Manifest
from extract.report import by_class
from extract.report.families import Family, families
from extract.report.view import View, views
from taskscope import rows, rundir
from taskscope.derive import load
from taskscope.reporting import report_run
from taskscope.summary import Comparison, Summary, summarise

_HEAD = """# Results

As measured, and as every number is written by `.venv/bin/python -m taskscope.results_page RUN...`
from the datasets of the runs. Only cells that passed their audit count.
"""
_COLUMNS = """In tables stands the median of the valid repetitions, ± half their range (by class of
task: the median).
"""
_FIGURES = ("throughput", "end_to_end_p99", "worker_cpu_per_1000", "worker_memory_peak",
            "tasks_failed")  # fmt: skip


def page(directories: Sequence[Path]) -> str:
    """Return the page as Markdown. UsageError where a directory is no run."""
    sections = [line for directory in directories for line in _run(directory)]
    tables = any(line.startswith("|") for line in sections)
    return "\n".join([_HEAD, *([_COLUMNS] if tables else []), *sections])


def _run(directory: Path) -> Iterator[str]:
    manifest = rundir.open_run(directory)
    data = load(directory, manifest)
    summary = summarise(directory, manifest, data, asked=_FIGURES)
    seen = report_run(directory, manifest, data)
    viewed = list(views(seen))
    together = list(families(seen, viewed))
    titles = dict.fromkeys(str(s["title"]).partition(": ")[0] for s in manifest.scenarios)
    searched = ": the search for its capacity" if manifest.searched else ""
    yield f"## {_cell('; '.join(titles))}{searched}\n"
    yield from _facts(manifest, summary)
    if told := list(capacity_words.of_run(manifest, data)):
        yield from (f"- {_cell(line)}" for line in told)
        yield ""
    if not manifest.searched:
        for family in together:
            yield from _family(family)
        for comparison in summary.comparisons:
            yield from _comparison(comparison)
        for view in viewed:
            yield from _classes(view)


def _facts(manifest: Manifest, summary: Summary) -> Iterator[str]:
    machine = manifest.machine
    yield f"- Measured {manifest.created}: `taskscope {' '.join(_asked(manifest.command))}`"
    yield (f"- Machine: {_cell(machine.get('cpu', 'unknown'))}, {machine.get('cores', 0):g} cores; "
           f"load {machine.get('load_1m', float('nan')):.2g} when it began")  # fmt: skip
    for doubt in machine.get("doubts", []):
        yield f"- Doubt about the machine, {_cell(doubt['name'])}: {_cell(doubt['found'])}"
    yield f"- Versions: {_cell(', '.join(f'{k} {v}' for k, v in manifest.versions.items()))}"
    lines, _ = rows.audited(summary)
    yield from (f"- {_cell(line)}" for line in lines)
    yield ""


def _asked(command: Sequence[str]) -> Iterator[str]:
    """Leave out where the run was put, which is of no use to anybody else."""
    before = ""
    for word in command:
        if "--out" not in {before, word}:
            yield word
        before = word


def _family(family: Family) -> Iterator[str]:
    if not (family.charts or any(row.bound for row in family.rows)):
        return
    yield f"### {_cell(family.title)}: throughput, and its share of what theory allows\n"
    yield from _table(
        [*family.axes, "bound", *family.variants],
        (
            [
                *row.place,
                row.bound.text if row.bound else "–",
                *(
                    f"{number.text}{f' ({share})' if share else ''}" if number else "none"
                    for number, share in zip(row.throughputs, row.shares, strict=True)
                ),
            ]
            for row in family.rows
        ),
    )
    yield from (f"- {_cell(line)}" for line in family.flattening)
    yield ""


def _comparison(comparison: Comparison) -> Iterator[str]:
    yield f"### {_cell(comparison.title)}: {_cell(' against '.join(rows.names(comparison)))}\n"
    columns = ["", *rows.names(comparison), "ratio (95 %)", "verdict"]
    yield from _table(
        columns,
        ([row.label, *row.sides, row.ratio, row.verdict] for row in rows.rows(comparison)),
    )
    if found := list(rows.doubts(comparison)):
        yield from (f"- Doubt, {_cell(doubt)}" for doubt in found)
        yield ""


def _classes(view: View) -> Iterator[str]:
    """Yield the figures of each class of tasks by itself, where there are several."""
    if found := by_class.rows(view):
        yield f"### {_cell(view.scenario['title'])}: by class of task\n"
        yield from _table(
            ["task", "figure", *view.variants],
            (
                [row.task, row.label, *(n.text if n else "none" for n in row.numbers)]
                for row in found
            ),
        )


def _table(head: Sequence[str], body: Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(map(_cell, head))} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(map(_cell, line))} |" for line in body)
    yield ""


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "\\<")


if __name__ == "__main__":
    sys.stdout.write(page([Path(word) for word in sys.argv[1:]]))
