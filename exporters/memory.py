"""Memory of each role's processes, in which a page that several of them share counts once.

That is the sum of their proportional set sizes (PSS). The resident sets would count the pages that
a parent shares with its forked children once for each child: a hundred children that together hold
0.5 GB came to 5 GB so. But the kernel walks all pages of a process to know it, some 0.7 ms for
50 MB, so it is not asked at each scrape where processes are many.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import psutil

_STEADY_SHARE = 0.01
"""Of a core, at most this much goes into reading while the number of processes is the same."""
_CHANGING_SHARE = 0.1
"""And this much while it changes: a figure from before the last fork is worth nothing."""


class Process(Protocol):
    """The part of psutil.Process that is used."""

    def memory_full_info(self) -> Any: ...


class ProportionalMemory:
    """One role's memory, as of the last time that reading it was worth its cost."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._count = 0
        self._bytes = 0
        self._ended = self._cost = 0.0

    def update(self, processes: Sequence[Process]) -> int:
        """Return the live processes' bytes. psutil.AccessDenied if they are another user's."""
        share = _STEADY_SHARE if len(processes) == self._count else _CHANGING_SHARE
        began = self._clock()
        if not processes:
            self._bytes = 0
        elif began - self._ended >= self._cost / share:
            self._bytes = sum(map(_proportional_bytes, processes))
            self._ended = self._clock()
            self._cost = self._ended - began
        else:
            return self._bytes
        self._count = len(processes)
        return self._bytes


def _proportional_bytes(process: Process) -> int:
    with suppress(psutil.NoSuchProcess):  # ended since the process table was read
        return int(process.memory_full_info().pss)
    return 0
