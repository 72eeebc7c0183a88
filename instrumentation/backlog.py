"""Finished records whose spans are not written yet: writing waits until the process has time.

Reading a record for the metrics costs a microsecond, which a scrape must wait for; writing its span
costs three. Under full load that would slow the tasks that are being measured, so spans wait for a
calmer moment, and only what exceeds the bound is written meanwhile.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from instrumentation.attempt import Attempt
from instrumentation.once import Once
from instrumentation.records import Record
from instrumentation.rows import Rows

_log = logging.getLogger(__name__)
_CALM = 500  # new records since the last look that are no load: writing their spans takes 2 ms
_MOST_WAITING = 20_000  # 4 MB of rows, or 12 of attempts

#: A SENT record, an attempt that is complete, or many of them.
type Finished = Record | Attempt | Rows
#: What was drained at one time.
type Together = Rows | Sequence[Record | Attempt]
type SpanSink = Callable[[Sequence[Finished]], int]


class Backlog:
    """Holds records back from `write_spans`, which returns how many spans it had to drop."""

    def __init__(self, write_spans: SpanSink) -> None:
        self._write_spans = write_spans
        self._waiting: deque[Together] = deque()
        self._new = 0
        self._complain = Once(_log.exception)
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add(self, records: Sequence[Record | Attempt], *tables: Rows) -> None:
        """Take new records, one by one and in rows."""
        together: tuple[Together, ...] = (records, *tables)
        new = [some for some in together if some]
        with self._lock:
            self._waiting += new
            self._new += sum(map(len, new))

    def write(self, *, final: bool) -> int:
        """Write the records whose time has come; return how many spans were dropped."""
        with self._writing:
            count, ready = self._due(final=final)
            try:
                return self._write_spans(ready)  # if it is nothing, too: drops are told late
            except Exception:  # noqa: BLE001 - counted, and never the worker's trouble
                self._complain("spans are being dropped: they cannot be written")
                return count

    def _due(self, *, final: bool) -> tuple[int, list[Finished]]:
        with self._lock:
            calm = final or self._new <= _CALM
            due = max(0, sum(map(len, self._waiting)) - (0 if calm else _MOST_WAITING))
            self._new, left = 0, due
            ready: list[Finished] = []
            while left:
                some = self._waiting.popleft()
                if len(some) > left:
                    self._waiting.appendleft(_part(some, slice(left, None)))
                    some = _part(some, slice(left))
                left -= len(some)
                ready += [some] if isinstance(some, Rows) else some
            return due, ready


def _part(some: Together, part: slice) -> Together:
    return some.where(part) if isinstance(some, Rows) else some[part]
