"""What was sampled around an attempt, from the dataset's timeline: worker CPU and queue depth.

The timeline has one row for each cell, metric and scrape: the metric's `value`, and `seconds` since
the cell's start mark. CPU is in cores, in the mean since the scrape before.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from extract.causes import Cell
from extract.manifest import CellRecord

CPU: Final = "worker_cpu_over_time"
DEPTH: Final = "queue_depth_over_time"
_NS: Final = 1e9

type Series = tuple[NDArray[np.float64], NDArray[np.float64]]


class Timeline:
    """Sampled series by cell."""

    def __init__(self, timeline: pd.DataFrame, cells: Iterable[CellRecord]) -> None:
        self._timeline = timeline[timeline["metric"].isin([CPU, DEPTH])]
        self._start = {
            Cell(c.scenario, c.framework, c.variant, c.repetition): c.start
            for c in cells if c.start is not None
        }  # fmt: skip

    def worker_cpu_cores(self, cell: Cell, start_ns: int, end_ns: int) -> float | None:
        """Return the mean of the scrapes that two instants touch, by how far they do."""
        at, cores = self._series(cell, CPU)
        start, end = self._since(cell, start_ns), self._since(cell, end_ns)
        touched = np.minimum(at[1:], end) - np.maximum(at[:-1], start)
        weights = np.maximum(touched, 0.0)
        known = float(weights.sum())
        return float((weights * cores[1:]).sum() / known) if known > 0 else None

    def queue_depth(self, cell: Cell, _queue: str, at_ns: int) -> float | None:
        """Return the depth of all the cell's queues, as last sampled before an instant."""
        at, depth = self._series(cell, DEPTH)
        last = int(np.searchsorted(at, self._since(cell, at_ns), side="right")) - 1
        return float(depth[last]) if last >= 0 else None

    def _since(self, cell: Cell, instant_ns: int) -> float:
        return instant_ns / _NS - self._start.get(cell, 0.0)

    def _series(self, cell: Cell, metric: str) -> Series:
        table = self._timeline
        same = table["metric"] == metric
        for name in ("scenario", "framework", "variant", "repetition"):
            same &= table[name] == getattr(cell, name)
        some = table[same].sort_values("seconds") if cell in self._start else table.iloc[:0]
        return some["seconds"].to_numpy(np.float64), some["value"].to_numpy(np.float64)
