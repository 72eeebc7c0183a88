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
from instrumentation.done_rows import DoneRows
from instrumentation.once import Once
from instrumentation.records import Record
from instrumentation.sent_rows import SentRows

_log = logging.getLogger(__name__)
_CALM = 500  # new records since the last look that are no load: writing their spans takes 2 ms
_MOST_WAITING = 20_000  # 4 MB of rows, or 12 of attempts

type Rows = DoneRows | SentRows
#: A SENT record, an attempt that is complete, or many of them.
type Finished = Record | Attempt | Rows
type SpanSink = Callable[[Sequence[Finished]], int]


class Backlog:
    """Holds records back from `write_spans`, which returns how many spans it had to drop."""

    def __init__(self, write_spans: SpanSink) -> None:
        self._write_spans = write_spans
        #: What came together, and how many spans that makes.
        self._waiting: deque[tuple[int, Sequence[Finished]]] = deque()
        self._new = 0
        self._complain = Once(_log.exception)
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add(self, records: Sequence[Record | Attempt], *tables: Rows) -> None:
        """Take new records, one by one and in rows."""
        new = [(len(records), records), *((rows.size(), [rows]) for rows in tables)]
        with self._lock:
            self._waiting += [(count, some) for count, some in new if count]
            self._new += sum(count for count, _ in new)

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
            excess = sum(count for count, _ in self._waiting) - (0 if calm else _MOST_WAITING)
            self._new = due = 0
            ready: list[Finished] = []
            while self._waiting and due < excess:
                count, some = self._waiting.popleft()
                ready += some
                due += count
            return due, ready
