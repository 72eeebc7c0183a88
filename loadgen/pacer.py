"""Hands out the instants at which tasks are due, in order, to however many senders ask.

This is what makes the loop open: the schedule does not wait for the senders. When all of them are
busy, the next task is sent late, and the lateness is measured from the instant it was due.
"""

import itertools
from collections.abc import Iterator
from time import time_ns

import numpy as np
from numpy.typing import NDArray

_NS_PER_SECOND = 1_000_000_000
_LEAD_NS = 50_000_000  # so that the first task is not late because senders are still starting


class Pacer:
    """Due instants of one phase, in Unix nanoseconds; 0 means "at once, without a schedule".

    Several senders may iterate at once: each instant goes to exactly one of them.
    """

    def __init__(self, offsets_ns: NDArray[np.int64] | None, count: int) -> None:
        start = time_ns() + _LEAD_NS
        due = itertools.repeat(0, count) if offsets_ns is None else (offsets_ns + start).tolist()
        self._due: Iterator[int] = iter(due)

    def __iter__(self) -> Iterator[int]:
        return self._due


def seconds_until(due_ns: int) -> float:
    """How long to sleep before sending; 0 when it is due already or has no schedule."""
    return max(0.0, (due_ns - time_ns()) / _NS_PER_SECOND)
