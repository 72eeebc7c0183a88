"""*AsyncTasQ*: with a view of its event loop, which does everything."""

from typing import Any

from grafana import framework
from grafana.frame import CELL
from grafana.panels import Look, Shown, curves


def build_dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    loop = [
        curves("Executing at once", [Shown("executing_now", CELL)],
               Look(note="At the concurrency, the worker takes no more from the broker.")),
        curves("Taken and not begun", [Shown("waiting_in_worker", CELL)],
               Look(note="Tasks that wait for their turn on the event loop, for a thread or for a "
                         "process.")),
        curves("Wait for the event loop", [Shown("prefetch_wait_quantiles", CELL)],
               Look(note="Grows when a task blocks the loop.")),
        curves("Processes", [Shown("worker_processes", CELL)],
               Look(note="One, and those of the process pool once it is used.")),
    ]  # fmt: skip
    return framework.of_framework(
        "AsyncTasQ",
        "asynctasq",
        "One variant of AsyncTasQ: stages, and how busy its event loop is.",
        [("Event loop", 7, loop)],
    )
