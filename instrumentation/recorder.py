"""The hand-over point between tasks and telemetry: appending costs tens of nanoseconds."""

import os
import weakref
from collections.abc import Callable
from itertools import compress

from instrumentation.attempt import Attempt, SpooledAttempt
from instrumentation.records import Record
from instrumentation.spool import Spool

#: Once a worker has received so many tasks it pays to drain: numpy's fixed costs are small by then,
#: and all of it is still in the processor's caches.
BATCH = 1024


class Recorder:
    """Collects what happens in this process, and in the children it forks, until it is drained.

    An attempt of this process is held from its beginning, so that nothing needs to be copied when
    it ends; one of a forked child writes records to the spool. `append` is a list's own append
    here, and the spool's in a child: neither blocks, takes a lock or raises into the task.
    """

    def __init__(self) -> None:
        self._attempts: list[Attempt] = []
        self._records: list[Record] = []
        self._spool = Spool()
        self.append: Callable[[Record], None] = self._records.append
        self.attempt: Callable[[], Attempt] = self._held_attempt
        _write_to_parent_after_fork(weakref.ref(self))

    def _held_attempt(self) -> Attempt:
        attempt = Attempt()
        self._attempts.append(attempt)
        return attempt

    def write_to_parent(self) -> None:
        """Record for the process that this one was forked from."""
        self.append = self._spool.append
        self.attempt = lambda: SpooledAttempt(self._spool.append)

    def __len__(self) -> int:
        return len(self._records) + len(self._attempts)

    def drain(self) -> tuple[list[Record], list[Attempt]]:
        """Take all records so far, and the attempts of this process that have ended.

        The order matters: a task ends before it is acknowledged, so with the parent's records read
        first, none of them is the acknowledgement of an end that is not here.
        """
        count = len(self._records)
        records = self._records[:count]
        del self._records[:count]
        starts, ended = self._drain_attempts()
        return records + starts + self._spool.drain(), ended

    def _drain_attempts(self) -> tuple[list[Record], list[Attempt]]:
        attempts = self._attempts[:]
        ends = [attempt.recorded for attempt in attempts]  # from here on they may end meanwhile
        running = [attempt for attempt, end in zip(attempts, ends, strict=True) if not end]
        self._attempts[: len(attempts)] = running
        starts = [attempt.count_start() for attempt in running if attempt.started]
        return list(filter(None, starts)), list(compress(attempts, ends))


def _write_to_parent_after_fork(recorder: weakref.ref[Recorder]) -> None:
    """Have it done in each child, for as long as there is the recorder."""

    def forked() -> None:
        if (found := recorder()) is not None:  # an empty one is false
            found.write_to_parent()

    os.register_at_fork(after_in_child=forked)
