"""Hands out what to send and when it is due, in order, to however many senders ask.

This is what makes the loop open: the schedule does not wait for the senders. When all of them are
busy, the next task is sent late, and the lateness is measured from the instant it was due.
"""

import itertools
from collections.abc import Iterator
from time import time_ns

import numpy as np
from numpy.typing import NDArray

from loadgen.calls import Call

_NS_PER_SECOND = 1_000_000_000
_LEAD_NS = 50_000_000  # so that the first task is not late because senders are still starting


class Pacer:
    """Due instants and calls of one phase; the instants are Unix nanoseconds, or 0: at once.

    Several senders may iterate at once: each pair goes to exactly one of them.
    """

    def __init__(self, offsets_ns: NDArray[np.int64] | None, calls: Iterator[Call]) -> None:
        start = time_ns() + _LEAD_NS
        due = itertools.repeat(0) if offsets_ns is None else (offsets_ns + start).tolist()
        self._due: Iterator[tuple[int, Call]] = zip(due, calls, strict=False)

    def __iter__(self) -> Iterator[tuple[int, Call]]:
        return self._due


def seconds_until(due_ns: int) -> float:
    """How long to sleep before sending; 0 when it is due already or has no schedule."""
    return max(0.0, (due_ns - time_ns()) / _NS_PER_SECOND)
