"""What the children of a process pool wrote last, for the attempts that end with their process.

A child writes for itself when a task begins and ends, and may be killed at any moment: also after
the end was written, and before its parent heard of it. So the parent's word counts only where the
child's own is missing, and only once the child can write no more.

A child may even be killed before its parent heard that it had begun. Then the parent gives the task
to another child, and nobody speaks for the first attempt: it is recorded as one that was retried.
"""

import os
from collections.abc import Callable
from operator import itemgetter
from time import time_ns
from typing import Any

from instrumentation.attempt import Attempt
from instrumentation.records import RETRY, Record

#: A child that outlives its attempt by so much will not write of it, nor will a parent say later
#: what became of a dead one: some look for those only every five seconds.
_GIVE_UP_NS = 10_000_000_000
_MOST_REMEMBERED = 1_000
_STARTED_PID = itemgetter(4)
_UNHEARD = ("ProcessLost", "killed before its worker knew that it had begun", "")


def is_running(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is not ours
        return True
    return pid > 0


def _never_ended(began: Any, completed: int) -> Attempt:
    attempt = Attempt()
    _, attempt.task, attempt.queue, attempt.started, attempt.pid, *which = began
    attempt.task_id, attempt.number = which
    attempt.completed = max(attempt.started, completed)
    attempt.outcome, attempt.error, attempt.counted = RETRY, _UNHEARD, True
    return attempt


class Children:
    """The latest begin and end of each child, and the attempts that are not settled yet."""

    def __init__(
        self, running: Callable[[int], bool] = is_running, clock: Callable[[], int] = time_ns
    ) -> None:
        self._running = running
        self._clock = clock
        self._began: dict[int, Any] = {}
        self._ended: dict[int, Attempt] = {}
        self._open: set[int] = set()
        self._lost: list[Attempt] = []
        #: Since when those are known to be gone who began what they did not end.
        self._gone: dict[int, int] = {}

    def look(self) -> None:
        """See who is still there; to be called before what they wrote is read."""
        now, pids = self._clock(), self._open | {attempt.pid for attempt in self._lost}
        self._gone = {pid: self._gone.get(pid, now) for pid in pids if not self._running(pid)}

    def settle(
        self, began: list[Record], ended: list[Attempt], lost: list[Attempt], *, final: bool
    ) -> list[Attempt]:
        """Take STARTED records, what ended and what is lost; return what nobody else will tell.

        Whatever is lost waits for the next call, as its child may have been writing meanwhile.
        """
        pids = list(map(_STARTED_PID, began))
        self._began.update(zip(pids, began, strict=True))
        self._ended.update((attempt.pid, attempt) for attempt in ended)
        self._open = {pid for pid in self._open.union(pids) if not self._has_ended(pid)}
        known, self._lost = self._lost, lost
        if final:
            known, self._lost = known + lost, []
        settled = [attempt for attempt in known if self._settle(attempt, final=final)]
        settled += self._unheard(final=final)
        self._forget()
        return settled

    def _has_ended(self, pid: int) -> bool:
        """Tell whether the latest that a child began is also the latest that it ended."""
        began, ended = self._began[pid], self._ended.get(pid)
        if ended is None:
            return False
        return bool((*began[5:], began[3]) == (ended.task_id, ended.number, ended.started))

    def _settle(self, lost: Attempt, *, final: bool) -> bool:
        """Tell whether to believe the parent now, with the start as the child saw it."""
        began = self._began.get(lost.pid, ())
        lost.counted = began[5:] == (lost.task_id, lost.number)
        if lost.counted and lost.pid not in self._open:
            return False
        if not (final or lost.pid in self._gone or self._clock() - lost.completed > _GIVE_UP_NS):
            self._lost.append(lost)
            return False
        if lost.counted:
            self._open.discard(lost.pid)
        # What was killed before its code began counts as begun, like all that fails.
        lost.started = began[3] if lost.counted else lost.completed
        lost.completed = max(lost.started, lost.completed)
        return True

    def _unheard(self, *, final: bool) -> list[Attempt]:
        """Return the attempts of which neither the child nor its parent said how they ended."""
        now = self._clock()
        unheard = [
            (self._began[pid], since)
            for pid, since in self._gone.items()
            if pid in self._open and (final or now - since > _GIVE_UP_NS)
        ]
        self._open.difference_update(began[4] for began, _ in unheard)
        return [_never_ended(began, since) for began, since in unheard]

    def _forget(self) -> None:
        """Forget the oldest children that are gone."""
        for latest in (self._began, self._ended):
            if len(latest) > 2 * _MOST_REMEMBERED:
                old = list(latest)[:-_MOST_REMEMBERED]
                for pid in [pid for pid in old if pid not in self._open and not self._running(pid)]:
                    del latest[pid]
