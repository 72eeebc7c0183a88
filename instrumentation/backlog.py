"""Finished records whose spans are not written yet: writing waits until the process has time.

Reading a record for the metrics costs a microsecond, which a scrape must wait for; writing its span
costs three. Under full load that would slow the tasks that are being measured, so spans wait for a
calmer moment, and only what exceeds the bound is written meanwhile.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from instrumentation.attempt import Attempt
from instrumentation.once import Once
from instrumentation.records import Record

_log = logging.getLogger(__name__)
_CALM = 500  # new records since the last look that are no load: writing their spans takes 2 ms
_MOST_WAITING = 20_000  # about 12 MB

#: A SENT record, or an attempt that is complete.
type Finished = Record | Attempt
type SpanSink = Callable[[Sequence[Finished]], int]


class Backlog:
    """Holds records back from `write_spans`, which returns how many spans it had to drop."""

    def __init__(self, write_spans: SpanSink) -> None:
        self._write_spans = write_spans
        self._waiting: list[Finished] = []
        self._new = 0
        self._complain = Once(_log.exception)
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add(self, records: Sequence[Finished]) -> None:
        """Take new records."""
        with self._lock:
            self._waiting += records
            self._new += len(records)

    def write(self, *, final: bool) -> int:
        """Write the records whose time has come; return how many spans were dropped."""
        with self._writing:
            ready = self._due(final=final)
            try:
                return self._write_spans(ready)  # if it is nothing, too: drops are told late
            except Exception:  # noqa: BLE001 - counted, and never the worker's trouble
                self._complain("spans are being dropped: they cannot be written")
                return len(ready)

    def _due(self, *, final: bool) -> list[Finished]:
        with self._lock:
            waiting = len(self._waiting)
            calm = final or self._new <= _CALM
            due = waiting if calm else max(0, waiting - _MOST_WAITING)
            ready, self._waiting = self._waiting[:due], self._waiting[due:]
            self._new = 0
            return ready
