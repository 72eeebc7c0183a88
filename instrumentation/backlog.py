"""Spans that are written as text, and wait for a thread to bring them to where they go.

To make the text costs a microsecond or two a span while its attempt has just been read for the
metrics, and a multiple once that has left the processor's caches and is the garbage collector's. So
the thread that accounts for the attempts makes it soon, and keeps none of them. What may have to
wait, for a disk or a receiver, is left to another thread.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import batched

from instrumentation import spans, vital
from instrumentation.attempt import Finished
from instrumentation.sinks import LineSink, QueuedSink

_log = logging.getLogger(__name__)
_AT_ONCE = 1_024
#: In characters; a span has about 900, one of a failure perhaps ten thousand.
_MOST_WAITING = 64_000_000

type Line = tuple[str, int]


class Backlog:
    """Takes SENT records and complete attempts; `write` gives their spans to the sink.

    What is too much is dropped, counted, and said once. Where the sink itself may drop some,
    failures and the slowest tasks go first.
    """

    def __init__(self, system: str, resource: Mapping[str, spans.Value], sink: LineSink) -> None:
        self._system, self._resource, self._sink = system, resource, sink
        self._vital: list[Line] = []
        self._others: list[Line] = []
        self._waiting = self._dropped = 0
        self._complained = False
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add(self, records: Sequence[Finished]) -> int:
        """Take what has finished; return how many spans were dropped since the last time."""
        if records and self._sink.wanted():
            for some in batched(records, _AT_ONCE):
                self._add(some)
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped

    def _add(self, records: Sequence[Finished]) -> None:
        if self._waiting > _MOST_WAITING:
            self._drop(len(records))
            if not self._complained:
                _log.error("spans are being dropped: they are not written as fast as they come")
                self._complained = True
            return
        try:
            first, then = self._encoded(records)
        except Exception:  # noqa: BLE001 - counted, and never the worker's trouble
            _log.exception("%d spans were dropped: they could not be written", len(records))
            self._drop(len(records))
            return
        with self._lock:
            self._vital += first
            self._others += then
            self._waiting += sum(len(line) for line, _ in [*first, *then])

    def _encoded(self, records: Sequence[Finished]) -> tuple[list[Line], list[Line]]:
        """Return the lines that must survive, and the others."""
        if not isinstance(self._sink, QueuedSink):
            return [], list(self._lines(records))
        survivors, others = vital.split(records)
        return list(self._lines(survivors)), list(self._lines(others))

    def _lines(self, records: Sequence[Finished]) -> Iterator[Line]:
        return spans.lines(records, self._system, self._resource)

    def _drop(self, count: int) -> None:
        with self._lock:
            self._dropped += count

    def write(self) -> None:
        """Give all that waits to the sink."""
        with self._writing:
            with self._lock:
                first, then, taken = self._vital, self._others, self._waiting
                self._vital, self._others = [], []
            self._write(first, vital=True)
            self._write(then, vital=False)
            with self._lock:
                self._waiting -= taken

    def _write(self, lines: list[Line], *, vital: bool) -> None:
        try:
            dropped = self._sink.write(lines, vital=vital)
        except Exception:  # noqa: BLE001 - counted, and never the worker's trouble
            dropped = sum(count for _, count in lines)
            _log.exception("%d spans were dropped: they could not be written", dropped)
        self._drop(dropped)

    def close(self) -> int:
        """Write the last, and give the sink its time; return how many spans were dropped."""
        self.write()
        self._drop(self._sink.close())
        return self.add(())
