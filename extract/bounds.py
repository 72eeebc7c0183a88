"""What the throughput of a scenario cannot exceed, by theory, to stand beside what was measured.

The kinds of bound, as a scenario's file names them:

- `waiting`: a task occupies one place for so many seconds, and a worker has as many places as its
  concurrency: places / seconds (Little's law).
- `cpu`: a task occupies one core for as long as its code needs there, and no more run at once than
  there are places or cores: min(places, cores) / seconds. The time is the smallest mean execution
  time that any valid cell of the scenario's family had, by the traces; on a busy machine even that
  is too long, and the bound too low.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound in tasks/s, and how it comes about."""

    tasks_per_second: float
    words: str


def bound(scenario: Mapping[str, Any], fastest_seconds: float | None, cores: float) -> Bound | None:
    """Return a scenario's bound; None where it has none, or nothing says what a task takes."""
    asked = scenario.get("bound")
    if not asked:
        return None
    run = scenario["run"]
    places = run["concurrency"] * run.get("workers", 1)
    if asked["kind"] == "waiting":
        seconds = float(asked["seconds"])
        words = f"{places} places / {seconds:.4g} s"
    elif fastest_seconds:
        seconds, places = fastest_seconds, min(places, cores)
        words = f"{places:g} places on cores / {seconds * 1e3:.4g} ms, the fastest mean execution"
    else:
        return None
    return Bound(places / seconds, words)


def fastest_execution(results: pd.DataFrame, scenarios: Iterable[str]) -> float | None:
    """Return the smallest mean execution time, in seconds, of the valid cells' results."""
    chosen = results[
        (results["metric"] == "execution_mean")
        & (results["source"] == "traces")
        & results["scenario"].isin(list(scenarios))
    ]
    return None if chosen.empty else float(chosen["value"].min())
