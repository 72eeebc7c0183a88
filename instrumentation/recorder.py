"""The hand-over point between tasks and telemetry: what is handed over is never waited for."""

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from instrumentation import done_rows, sent_rows
from instrumentation.attempt import Attempt, SpooledAttempt
from instrumentation.records import Record
from instrumentation.rows import Numbers, numbers
from instrumentation.spool import Spool

#: Once a worker has received so many tasks it pays to drain: numpy's fixed costs are small by then,
#: and all of it is still in the processor's caches.
BATCH = 1024
#: So many become rows at once. What is used once a task has left the processor's caches each time;
#: so a task only leaves what it knows, and the code that makes rows is read once for several.
_ROWS_AT_ONCE = 16


class Drained(NamedTuple):
    """What was recorded since the last time."""

    records: list[Record]
    #: Attempts of this process that have ended, but for those in `done_rows`.
    ended: list[Attempt]
    done_rows: bytes
    sent_rows: bytes

    def size(self) -> int:
        """Return how many attempts and records these are."""
        rows = _count(self.done_rows, self.sent_rows)
        return len(self.records) + len(self.ended) + rows


class Recorder:
    """Collects what happens in this process, and in the children it forks, until it is drained.

    In this process attempts that have ended become rows, some at a time, and what was sent too;
    what has more to tell is held as it is. A forked child writes records to the spool. Nothing here
    raises into the task, or has it wait.
    """

    def __init__(self) -> None:
        #: What has ended or was sent, and is no row yet.
        self._new_ended: deque[Attempt] = deque()
        self._new_sent: deque[Record] = deque()
        self._records: list[Record] = []
        self._ended: list[Attempt] = []
        self._done_rows, self._sent_rows = bytearray(), bytearray()
        #: Which names stand in rows as which numbers.
        self.done_kinds: Numbers = numbers()
        self.sent_kinds: Numbers = numbers()
        #: Whoever holds it makes rows. A task that does not get it leaves that to others.
        self._making_rows = threading.Lock()
        #: Attempts that are no row yet and whose start is not counted. Who takes one out decides
        #: who counts it.
        self._uncounted: set[Attempt] = set()
        self._spool = Spool()
        #: Takes any record.
        self.append: Callable[[Record], None] = self._records.append
        #: Takes a SENT record.
        self.sent: Callable[[Record], None] = self._take_sent
        #: Begins an attempt.
        self.attempt: Callable[[], Attempt] = self._begin
        _write_to_parent_after_fork(weakref.ref(self))

    def _begin(self) -> Attempt:
        if len(self._new_ended) >= _ROWS_AT_ONCE:
            self._make_rows()
        attempt = Attempt(self._new_ended.append)
        self._uncounted.add(attempt)
        return attempt

    def _take_sent(self, record: Record) -> None:
        self._new_sent.append(record)
        if len(self._new_sent) >= _ROWS_AT_ONCE:
            self._make_rows()

    def _make_rows(self) -> None:
        if self._making_rows.acquire(blocking=False):
            try:
                self._make_sent_rows()
                self._make_done_rows()
            finally:
                self._making_rows.release()

    def _make_done_rows(self) -> None:
        for _ in range(len(self._new_ended)):
            attempt = self._new_ended.popleft()
            try:
                self._uncounted.remove(attempt)
            except KeyError:
                attempt.counted = True
            if row := done_rows.write(attempt, self.done_kinds):
                self._done_rows.extend(row)
            else:
                self._ended.append(attempt)

    def _make_sent_rows(self) -> None:
        for _ in range(len(self._new_sent)):
            record = self._new_sent.popleft()
            if row := sent_rows.write(record, self.sent_kinds):
                self._sent_rows.extend(row)
            else:
                self._records.append(record)

    def write_to_parent(self) -> None:
        """Record for the process that this one was forked from."""
        self.append = self.sent = self._spool.append
        self.attempt = lambda: SpooledAttempt(self._spool.append)

    def __len__(self) -> int:
        objects = len(self._new_sent) + len(self._records) + len(self._ended)
        attempts = len(self._uncounted.union(self._new_ended))
        return objects + attempts + _count(self._done_rows, self._sent_rows)

    def drain(self) -> Drained:
        """Take all records so far, and the attempts of this process that have ended.

        The order matters: a task ends before it is acknowledged, so with the parent's records read
        first, none of them is the acknowledgement of an end that is not here.
        """
        with self._making_rows:
            self._make_sent_rows()
            records = self._records[:]
            self._make_done_rows()
            found = Drained(records, self._ended[:], bytes(self._done_rows), bytes(self._sent_rows))
        del self._records[: len(found.records)]
        del self._ended[: len(found.ended)]
        del self._done_rows[: len(found.done_rows)]
        del self._sent_rows[: len(found.sent_rows)]
        return found._replace(records=found.records + self._starts() + self._spool.drain())

    def _starts(self) -> list[Record]:
        """Count the starts of those under way: whoever takes one out of the set counts it."""
        starts = []
        for attempt in list(self._uncounted):
            if attempt.started:
                try:
                    self._uncounted.remove(attempt)
                except KeyError:  # it became a row meanwhile
                    continue
                starts.append(attempt.count_start())
        return starts


def _count(done: bytes | bytearray, sent: bytes | bytearray) -> int:
    return len(done) // done_rows.SIZE + len(sent) // sent_rows.SIZE


def _write_to_parent_after_fork(recorder: weakref.ref[Recorder]) -> None:
    """Have it done in each child, for as long as there is the recorder."""

    def forked() -> None:
        if (found := recorder()) is not None:  # an empty one is false
            found.write_to_parent()

    os.register_at_fork(after_in_child=forked)
