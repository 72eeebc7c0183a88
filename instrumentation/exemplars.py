"""Exemplars: for each histogram, the trace of its slowest task since the last scrape.

Found where attempts are binned, by an argmax a batch: the hot path knows nothing of it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from instrumentation.carrier import begin_trace, parse_traceparent
from instrumentation.finished import Batch, Instants, Labels, Stages
from instrumentation.records import RETRY

_NS_PER_SECOND = 1_000_000_000
#: The histograms that have exemplars.
STAGES = ("end_to_end", "execution")


class Exemplar(NamedTuple):
    """A task's interval, its trace, and when it completed, in Unix nanoseconds."""

    interval_ns: int
    trace_id: str
    completed_ns: int

    def text(self) -> str:
        """Write it as it stands behind a sample in OpenMetrics."""
        completed, fraction = divmod(self.completed_ns, _NS_PER_SECOND)
        return (f' # {{trace_id="{self.trace_id}"}} {self.interval_ns / _NS_PER_SECOND!r}'
                f" {completed}.{fraction:09d}")  # fmt: skip


class Exemplars:
    """The slowest task of each histogram's label sets. Not thread-safe by itself."""

    def __init__(self) -> None:
        self._slowest: dict[tuple[str, Labels], Exemplar] = {}

    def look(self, batch: Batch) -> None:
        """Take in finished attempts."""
        for labels, at in batch.by_labels():
            self._look(labels, at, batch.carrier_of)

    def _look(self, labels: Labels, at: Stages, carrier_of: Callable[[int], str]) -> None:
        for stage, begin in _begins(labels, at):
            intervals = np.where((begin > 0) & (at.completed > 0), at.completed - begin, -1)
            slowest = int(intervals.argmax())
            took = int(intervals[slowest])
            known = self._slowest.get((stage, labels))
            if took < 0 or (known and known.interval_ns >= took):
                continue
            if trace_id := _trace_id(carrier_of(int(at.place[slowest]))):
                found = Exemplar(took, trace_id, int(at.completed[slowest]))
                self._slowest[stage, labels] = found

    def take(self) -> Mapping[str, dict[Labels, Exemplar]]:
        """Return what was slowest by histogram and label set, and begin anew."""
        taken: dict[str, dict[Labels, Exemplar]] = {stage: {} for stage in STAGES}
        for (stage, labels), exemplar in self._slowest.items():
            taken[stage][labels] = exemplar
        self._slowest.clear()
        return taken


def _begins(labels: Labels, at: Stages) -> Iterator[tuple[str, Instants]]:
    """Yield from when each histogram's intervals count, as the histograms themselves do."""
    yield "execution", at.started
    if labels[2] != RETRY:
        yield "end_to_end", at.wanted()


def _trace_id(carrier: str) -> str:
    """Return the trace that the spans of the attempt are in, "" where it is not known yet."""
    header = carrier.partition(";")[0]
    context = parse_traceparent(header) or begin_trace(header)
    return context.trace_id if context.trace_id in header else ""
