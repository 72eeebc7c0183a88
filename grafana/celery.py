"""*Celery*: with views of what its worker has prefetched, and of its pool."""

from typing import Any

from grafana import framework
from grafana.frame import CELL
from grafana.panels import Look, Shown, curves


def build_dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    prefetch = [
        curves("Prefetched and not begun", [Shown("waiting_in_worker", CELL)],
               Look(note="Up to concurrency × worker_prefetch_multiplier lie here: behind a long "
                         "task they wait, though another worker might be idle.")),
        curves("Wait after prefetching", [Shown("prefetch_wait_quantiles", CELL)]),
    ]  # fmt: skip
    pool = [
        curves("Executing at once", [Shown("executing_now", CELL)],
               Look(note="At the concurrency, the pool is full.")),
        curves("Processes", [Shown("worker_processes", CELL)],
               Look(note="A prefork pool has one for each unit of concurrency, and its parent; "
                         "threads and gevent have one in all.")),
    ]  # fmt: skip
    return framework.of_framework(
        "Celery",
        "celery",
        "One variant of Celery: stages, what is prefetched, and the pool.",
        [("Prefetch", 7, prefetch), ("Pool", 7, pool)],
    )
