"""Intervals and instants, sorted once, to be asked often: pure arithmetic in nanoseconds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

type Ns = NDArray[np.int64]


class Intervals:
    """Intervals that belong to rows of a table; those without length are left out."""

    def __init__(self, rows: Ns, starts: Ns, ends: Ns) -> None:
        lasting = ends > starts
        order = np.argsort(starts[lasting], kind="stable")
        self.rows = rows[lasting][order]
        self.starts = starts[lasting][order]
        self.ends = ends[lasting][order]
        self._sorted_ends = np.sort(self.ends)
        #: The latest end of all up to each one: what ended long ago need not be looked at.
        self._latest_ends = np.maximum.accumulate(self.ends)

    def count(self, at: int) -> int:
        """Return how many began before an instant and had not ended by then."""
        begun = np.searchsorted(self.starts, at, side="left")
        return int(begun - np.searchsorted(self._sorted_ends, at, side="right"))

    def ended(self, start: int, end: int) -> int:
        """Return how many ended after `start` and before `end`."""
        last = np.searchsorted(self._sorted_ends, end, side="left")
        return int(last - np.searchsorted(self._sorted_ends, start, side="right"))

    def within(self, start: int, end: int) -> "Overlaps":
        """Return those that lie, in part at least, between two instants."""
        first = int(np.searchsorted(self._latest_ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left"))
        some = np.flatnonzero(self.ends[first:last] > start) + first
        starts = self.starts[some]
        overlap_ns = np.minimum(self.ends[some], end) - np.maximum(starts, start)
        return Overlaps(self.rows[some], starts, overlap_ns)

    def busy_ns(self, start: int, end: int) -> int:
        """Return how long all of them together took between two instants."""
        return int(self.within(start, end).overlap_ns.sum())

    def most_at_once(self) -> int:
        """Return how many there were at once, at most."""
        # When the n-th begins, as many as ended by then are over.
        over = np.searchsorted(self._sorted_ends, self.starts, side="right")
        return int((np.arange(1, len(self.starts) + 1) - over).max(initial=0))


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Intervals that lie, in part at least, between two instants, and how much of each does."""

    rows: Ns
    starts: Ns
    overlap_ns: Ns

    def where(self, wanted: NDArray[np.bool_]) -> "Overlaps":
        """Return some of them."""
        return Overlaps(self.rows[wanted], self.starts[wanted], self.overlap_ns[wanted])

    def __len__(self) -> int:
        return len(self.rows)


def silences(instants: Ns, start: int, end: int, at_least: int) -> list[tuple[int, int]]:
    """Return the gaps between sorted instants that reach into `start` to `end`, the long ones."""
    first = max(int(np.searchsorted(instants, start, side="right")) - 1, 0)
    last = int(np.searchsorted(instants, end, side="left")) + 1
    some = instants[first:last]
    (long,) = np.nonzero(np.diff(some) >= at_least)
    return [(int(some[i]), int(some[i + 1])) for i in long]


def overlap(a: tuple[int, int], b: tuple[int, int]) -> int:
    """Return how long two intervals lie over each other."""
    return max(min(a[1], b[1]) - max(a[0], b[0]), 0)


def as_ns(column: Any, missing: int) -> Ns:
    """Return a column of instants as integers, `missing` where there is none."""
    found: Ns = column.to_numpy(dtype=np.int64, na_value=missing)
    return found
