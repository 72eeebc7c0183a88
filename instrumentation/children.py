"""What the children of a process pool wrote last, for the attempts that end with their process.

A child writes for itself when a task begins and ends, and may be killed at any moment: also after
the end was written, and before its parent heard of it. So the parent's word counts only where the
child's own is missing, and only once the child can write no more.

A child may even be killed before its parent heard that it had begun. Then the parent gives the task
to another child, and nobody speaks for the first attempt: it is recorded as one that was retried.
"""

import os
from collections.abc import Callable
from time import time_ns
from typing import Any

from instrumentation.attempt import Attempt
from instrumentation.records import RETRY, Record

#: A child that outlives its attempt by so much will not write of it, nor will a parent say later
#: what became of a dead one: some look for those only every five seconds.
_GIVE_UP_NS = 10_000_000_000
_MOST_REMEMBERED = 1_000
#: The process, the task's id, and the number of the attempt.
type _Key = tuple[int, str, int]
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


def _key(attempt: Attempt) -> _Key:
    return attempt.pid, attempt.task_id, attempt.number


class Children:
    """What children have under way, what each ended last, and what is not settled yet."""

    def __init__(
        self, running: Callable[[int], bool] = is_running, clock: Callable[[], int] = time_ns
    ) -> None:
        self._running = running
        self._clock = clock
        self._own = os.getpid()
        self._began: dict[_Key, Any] = {}
        self._ended: dict[int, Attempt] = {}
        self._lost: list[Attempt] = []
        #: Since when those are known to be gone who began what they did not end.
        self._gone: dict[int, int] = {}

    def look(self) -> None:
        """See who is still there; to be called before what they wrote is read."""
        pids = {pid for pid, *_ in self._began} | {attempt.pid for attempt in self._lost}
        now = self._clock()
        self._gone = {pid: self._gone.get(pid, now) for pid in pids if not self._running(pid)}

    def settle(
        self, began: list[Record], ended: list[Attempt], lost: list[Attempt], *, final: bool
    ) -> list[Attempt]:
        """Take STARTED records, what ended and what is lost; return what nobody else will tell.

        Whatever is lost waits for the next call, as its child may have been writing meanwhile.
        """
        for record in began:
            _, _, _, _, pid, *which = record
            if pid != self._own:
                self._began[pid, *which] = record  # type: ignore[index]
        for attempt in ended:
            self._ended[attempt.pid] = attempt
            start = self._began.get(_key(attempt))
            if start and start[3] == attempt.started:  # and not one that came again since
                del self._began[_key(attempt)]
        known, self._lost = self._lost, lost
        if final:
            known, self._lost = known + lost, []
        settled = [attempt for attempt in known if self._settle(attempt, final=final)]
        settled += self._unheard(final=final)
        self._forget()
        return settled

    def _settle(self, lost: Attempt, *, final: bool) -> bool:
        """Tell whether to believe the parent now, with the start as the child saw it."""
        start = self._began.get(_key(lost))
        last = self._ended.get(lost.pid)
        if not start and last and _key(last) == _key(lost):
            return False
        if not (final or lost.pid in self._gone or self._clock() - lost.completed > _GIVE_UP_NS):
            self._lost.append(lost)
            return False
        lost.counted = bool(start)
        if start:
            del self._began[_key(lost)]
        # What was killed before its code began counts as begun, like all that fails.
        lost.started = start[3] if start else lost.completed
        lost.completed = max(lost.started, lost.completed)
        return True

    def _unheard(self, *, final: bool) -> list[Attempt]:
        """Return the attempts of which neither the child nor its parent said how they ended."""
        now = self._clock()
        given_up = {pid for pid, since in self._gone.items() if final or now - since > _GIVE_UP_NS}
        unheard = [key for key in self._began if key[0] in given_up]
        return [_never_ended(self._began.pop(key), self._gone[key[0]]) for key in unheard]

    def _forget(self) -> None:
        """Forget the oldest children that are gone."""
        if len(self._ended) > 2 * _MOST_REMEMBERED:
            old = list(self._ended)[:-_MOST_REMEMBERED]
            for pid in [pid for pid in old if not self._running(pid)]:
                del self._ended[pid]
