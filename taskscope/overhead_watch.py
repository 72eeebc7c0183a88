"""What people see while a ledger is taken: a live view in a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from extract.overhead import CPU, THROUGHPUT, Timing, figures
from taskscope import progress
from taskscope.timing import PlannedTiming


class Watch:
    """Shows which timing goes on, how long the rest will take, and the latest of each mode."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._planned: Sequence[PlannedTiming] = ()
        self._number = 0
        self._phase = "finding out how many tasks fill the window"
        self._began = time.monotonic()
        self._durations: list[float] = []
        self._latest: dict[tuple[str, str], str] = {}

    def showing(self) -> AbstractContextManager[object]:
        """Keep the view up to date while the block lasts."""
        if not self._console.is_terminal:
            self._console.print(Text(self._phase))
        return progress.display(self._console, self._render)

    def planned(self, timings: Sequence[PlannedTiming]) -> None:
        """Everything that is going to be timed."""
        self._planned = timings

    def begin(self, number: int) -> None:
        """The timing of that number begins, counted from 1."""
        self._number, self._began = number, time.monotonic()

    def phase(self, name: str) -> None:
        """The timing's next phase begins."""
        self._phase = name
        if not self._console.is_terminal and name == "timing":
            self._console.print(self._headline(), soft_wrap=True)

    def finished(self, timing: Timing) -> None:
        """A timing was taken; one with problems is named at once."""
        self._durations.append(time.monotonic() - self._began)
        for problem in timing.problems:
            text = f"invalid: {timing.name}: {problem.message}\n  {problem.remedy}"
            self._console.print(Text(text, style="red"), soft_wrap=True)
        if timing.marks:
            of = figures(timing.marks, timing.tasks)
            text = f"{of[THROUGHPUT][0]:,.0f} tasks/s, {of[CPU][0]:,.0f} µs of CPU a task"
            self._latest[timing.variant, timing.mode] = text
            if not self._console.is_terminal:
                self._console.print(Text("  " + text), soft_wrap=True)

    def _headline(self) -> Text:
        if not self._number:
            return Text(self._phase)
        now = self._planned[self._number - 1]
        return Text(
            f"timing {self._number} of {len(self._planned)} · {now.variant.name} · {now.mode} · "
            f"repetition {now.repetition} · {now.tasks:,} tasks · {self._phase} · "
            f"{self._time_left()}"
        )

    def _time_left(self) -> str:
        if not self._durations:
            return "time left: known after the first"
        steps = len(self._planned) - self._number + 1
        return progress.time_left(self._durations, steps, self._began)

    def _render(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, show_header=False)
        for variant, mode in dict.fromkeys((p.variant.name, p.mode) for p in self._planned):
            table.add_row(variant, mode, self._latest.get((variant, mode), "-"))
        return Group(self._headline(), table)
