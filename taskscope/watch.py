"""What people see while a run goes on: a live view in a terminal, plain lines elsewhere.

Every figure in it comes from Prometheus. It goes to stderr: stdout belongs to the results.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from extract.manifest import CellRecord, Problem
from queries.watching import live
from taskscope import progress, prometheus_api, together
from taskscope.plan import PlannedCell, Step

_REFRESH_SECONDS = 0.5
_LINE_EVERY_SECONDS = 5.0
#: Column, its query in `queries/live/`, and how to write the value.
_COLUMNS = (
    ("tasks/s over 5 s", "completed_rate", "{:,.0f}"),
    ("p99 over 10 s", "latest_p99", "{:.3f} s"),
    ("queue depth", "queue_depth_total", "{:,.0f}"),
    ("worker CPU over 5 s", "worker_cores", "{:.2f} cores"),
)


class Watch:
    """Follows a run of so many steps (0: nobody knows), and shows on the console how it goes."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console = console
        self._steps = steps
        self._number = 0
        self._step: Step = ()
        self._phase = "starting Redis and Prometheus"
        self._cell_began = self._last_line = time.monotonic()
        self._durations: list[float] = []
        self._figures: dict[str, dict[str, float]] = {}
        self._stop = threading.Event()

    @contextmanager
    def following(self, prometheus_url: str) -> Iterator[None]:
        """Refresh the view from that Prometheus while the block lasts."""
        follower = threading.Thread(target=self._follow, args=(prometheus_url,), daemon=True)
        with progress.display(self._console, self._render):
            follower.start()
            try:
                yield
            finally:
                self._stop.set()
                follower.join()

    def step(self, number: int, step: Step) -> None:
        """A cell begins, or two at once."""
        self._number, self._step, self._cell_began = number, step, time.monotonic()

    def phase(self, name: str) -> None:
        """The cell's next phase begins."""
        self._phase, self._last_line = name, time.monotonic()
        if not self._console.is_terminal and name == "measuring":
            self._console.print(self._headline(), soft_wrap=True)

    def finished(self, records: Iterable[CellRecord]) -> None:
        """A step ended; a cell with problems is named at once, whatever the output."""
        self._durations.append(time.monotonic() - self._cell_began)
        for record in records:
            unasked = [problem for problem in record.problems if problem != together.PROBLEM]
            self.problems(f"invalid: {record.variant} repetition {record.repetition}", unasked)

    def profiling(self, planned: PlannedCell, kind: str) -> None:
        """A repetition for a profile begins, after all cells."""
        names = f"{planned.scenario.name} · {planned.variant.name}"
        self._step, self._phase = (), f"profile of {kind} · {names} · in no figure"
        if not self._console.is_terminal:
            self._console.print(Text(self._phase), soft_wrap=True)

    def problems(self, what: str, problems: Iterable[Problem]) -> None:
        """Name problems at once, whatever the output."""
        for problem in problems:
            text = f"{what}: {problem.message}\n  {problem.remedy}"
            self._console.print(Text(text, style="red"), soft_wrap=True)

    def _headline(self) -> Text:
        if not self._step:
            return Text(self._phase)
        planned = self._step[0]
        what = "cell" if len(self._step) == 1 else "pair"
        steps = f" of {self._steps}" if self._steps else ""
        return Text(
            f"{what} {self._number}{steps} · {planned.scenario.name} · "
            f"{' and '.join(self._variants())} · repetition {planned.repetition} · {self._phase} · "
            f"{self._time_left()}"
        )

    def _variants(self) -> list[str]:
        return [planned.variant.name for planned in self._step]

    def _time_left(self) -> str:
        if not self._steps:
            return "as many as it takes"
        if not self._durations:
            return "time left: known after the first cell"
        steps = self._steps - self._number + 1
        return progress.time_left(self._durations, steps, self._cell_began)

    def _render(self) -> RenderableType:
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for title, _, _ in _COLUMNS:
            table.add_column(title, justify="right", min_width=12)
        for variant, figures in self._figures.items():
            now = variant in self._variants()
            values = [_write(figures.get(query), form) for _, query, form in _COLUMNS]
            table.add_row(
                ("▶ " if now else "  ") + variant, *values, style="bold" if now else "dim"
            )
        return Group(self._headline(), table)

    def _follow(self, url: str) -> None:
        prometheus = prometheus_api.connect(url)
        while not self._stop.wait(_REFRESH_SECONDS):
            self._refresh(prometheus)
            if not self._console.is_terminal:
                self._print_line_if_due(time.monotonic())

    def _print_line_if_due(self, now: float) -> None:
        if self._phase == "measuring" and now - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = now
            self._console.print(Text(self._line()), soft_wrap=True)

    def _refresh(self, prometheus: PrometheusConnect) -> None:
        """Take the newest figures. A side that is not measured now keeps the last ones it had."""
        if self._phase != "measuring":
            return
        for planned in self._step:
            cell = f'scenario="{planned.scenario.name}", variant="{planned.variant.name}"'
            figures = self._figures.setdefault(planned.variant.name, {})
            for _, query, _ in _COLUMNS:
                try:
                    answer: list[dict[str, Any]] = prometheus.custom_query(
                        live()[query].render(cell=cell)
                    )
                except (requests.RequestException, PrometheusApiClientException):
                    return  # it is starting or stopping; the measurement has its own checks
                if answer:
                    figures[query] = float(answer[-1]["value"][1])

    def _line(self) -> str:
        return "\n".join(self._line_of(variant) for variant in self._variants())

    def _line_of(self, variant: str) -> str:
        figures = self._figures.get(variant, {})
        parts = [f"{title} {_write(figures.get(query), form)}" for title, query, form in _COLUMNS]
        return f"  {variant}: " + ", ".join(parts)


def _write(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
