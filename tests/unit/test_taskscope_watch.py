"""What is shown while a run goes on, where the output is no terminal."""

import io

from msgspec.structs import replace
from rich.console import Console

from extract.manifest import CellRecord, Problem
from taskscope.plan import plan
from taskscope.scenario import load_scenario
from taskscope.together import PROBLEM, halve, steps
from taskscope.watch import Watch


def watch() -> tuple[Watch, io.StringIO]:
    shown = io.StringIO()
    cells = plan([load_scenario("throughput")])
    watch = Watch(Console(file=shown, width=80), len(cells))
    watch.step(1, cells[:1])
    return watch, shown


def test_one_line_of_figures_every_five_seconds_while_measuring() -> None:
    view, shown = watch()
    view.phase("measuring")
    begun = view._last_line = 1000.0
    shown.truncate(0)
    for tenth in range(101):
        view._print_line_if_due(begun + tenth / 10)
    assert len(shown.getvalue().splitlines()) == 2
    view.phase("settling")
    view._print_line_if_due(begun + 1000)
    assert len(shown.getvalue().splitlines()) == 2


def test_the_headline_is_one_line_and_says_which_cell_of_how_many() -> None:
    view, shown = watch()
    view.phase("measuring")
    (line,) = shown.getvalue().splitlines()
    assert line.startswith("cell 1 of 40 · throughput · ")
    assert "time left" in line


def test_an_invalid_cell_is_named_at_once_with_its_remedy() -> None:
    view, shown = watch()
    problem = Problem("cell ran to its end", "worker was killed", "See its log.")
    view.finished(
        [CellRecord("throughput", "celery", "celery-prefork", 3, 10, problems=(problem,))]
    )
    assert "celery-prefork repetition 3: worker was killed" in shown.getvalue()
    assert "See its log." in shown.getvalue()
    view.step(2, plan([load_scenario("throughput")])[1:2])
    view.phase("measuring")
    assert "left" in shown.getvalue().splitlines()[-1]


def test_two_sides_at_once_are_named_together_and_that_is_no_fault() -> None:
    view, shown = watch()
    cells = plan([halve(load_scenario("throughput"), chosen=False)])
    (pair, *_) = steps(cells, together=True)
    view.step(1, pair)
    view.phase("measuring")
    assert "pair 1 of 40 · throughput · asynctasq and celery-prefork-cores" in shown.getvalue()
    view.finished([replace(cell.record(), problems=(PROBLEM,)) for cell in pair])
    assert "invalid" not in shown.getvalue()
