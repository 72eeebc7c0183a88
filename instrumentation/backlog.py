"""Finished records whose spans are not written yet: writing waits until the process has time.

Binning a record costs half a microsecond and happens at each scrape; writing its span costs three.
Under full load that would slow the tasks that are being measured, so spans wait for a calmer
moment, and only what exceeds the bound is written meanwhile.
"""

import logging
from collections.abc import Callable, Sequence

from instrumentation.records import Record

_log = logging.getLogger(__name__)
_CALM = 500  # new records in one drain that are no load: writing their spans takes 2 ms
_MOST_WAITING = 20_000  # about 12 MB

type SpanSink = Callable[[Sequence[Record]], int]


class Backlog:
    """Holds records back from `write`, which returns how many spans it had to drop."""

    def __init__(self, write: SpanSink) -> None:
        self._write = write
        self._waiting: list[Record] = []

    def add(self, records: Sequence[Record], *, final: bool) -> int:
        """Take new records; write those whose time has come; return how many spans were dropped."""
        self._waiting += records
        calm = final or len(records) <= _CALM
        due = len(self._waiting) if calm else max(0, len(self._waiting) - _MOST_WAITING)
        ready, self._waiting = self._waiting[:due], self._waiting[due:]
        try:
            return self._write(ready)  # even if it is nothing: what was dropped since is told then
        except Exception:  # noqa: BLE001 - counted, and never the worker's trouble
            _log.exception("%d spans were dropped: they could not be written", len(ready))
            return len(ready)
