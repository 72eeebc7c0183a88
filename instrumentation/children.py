"""What the children of a process pool wrote last, for the attempts that their parent calls lost.

A child writes for itself when a task begins and ends, and may be killed at any moment: also after
the end was written, and before its parent heard of it. So the parent's word counts only where the
child's own is missing, and only once the child can write no more.
"""

import os
from collections.abc import Callable
from operator import itemgetter
from time import time_ns
from typing import Any

from instrumentation.records import DONE, Record

_GIVE_UP_NS = 5_000_000_000  # a child that outlives its attempt by so much will not write of it
_MOST_REMEMBERED = 1_000
_STARTED_PID, _DONE_PID = itemgetter(4), itemgetter(8)


def is_running(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is not ours
        return True
    return pid > 0


class Children:
    """The latest begin and end of each child, and the lost attempts that are not settled yet."""

    def __init__(
        self, running: Callable[[int], bool] = is_running, clock: Callable[[], int] = time_ns
    ) -> None:
        self._running = running
        self._clock = clock
        self._began: dict[int, Any] = {}
        self._ended: dict[int, Any] = {}
        self._lost: list[Any] = []
        self._silent: set[int] = set()

    def look(self) -> None:
        """See who is still there; to be called before what they wrote is read."""
        pids = {record[8] for record in self._lost}
        self._silent = {pid for pid in pids if not self._running(pid)}

    def settle(
        self, began: list[Record], ended: list[Record], lost: list[Record], *, final: bool
    ) -> list[Record]:
        """Take STARTED, DONE and LOST records; return as DONE what nobody else will tell.

        Whatever is lost waits for the next call, as its child may have been writing meanwhile.
        """
        self._began.update(zip(map(_STARTED_PID, began), began, strict=True))
        self._ended.update(zip(map(_DONE_PID, ended), ended, strict=True))
        known, self._lost = self._lost, []
        settled = [done for record in known for done in self._settle(record, final=final)]
        for record in lost:
            settled += self._settle(record, final=True) if final else []
            self._lost += [] if final else [record]
        self._forget(self._began)
        self._forget(self._ended)
        return settled

    def _settle(self, lost: Any, *, final: bool) -> list[Record]:
        _, task, queue, outcome, task_id, number, carrier, span_id, pid, received = lost[:10]
        completed, acked, error, _ = lost[11:]
        began, ended = self._began.get(pid, ()), self._ended.get(pid, ())
        counted = began[5:] == (task_id, number)
        if counted and ended and (ended[4], ended[5], ended[10]) == (task_id, number, began[3]):
            return []
        old = self._clock() - completed > _GIVE_UP_NS
        if not (final or old or pid in self._silent):
            self._lost.append(lost)
            return []
        # What was killed before its code began counts as begun, like all that fails.
        started = began[3] if counted else completed
        return [(DONE, task, queue, outcome, task_id, number, carrier, span_id, pid, received,
                 started, max(started, completed), acked, error, counted)]  # fmt: skip

    def _forget(self, latest: dict[int, Any]) -> None:
        """Forget the oldest children that are gone."""
        if len(latest) > 2 * _MOST_REMEMBERED:
            for pid in [pid for pid in list(latest)[:-_MOST_REMEMBERED] if not self._running(pid)]:
                del latest[pid]
