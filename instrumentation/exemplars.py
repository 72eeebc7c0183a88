"""Exemplars: for each histogram, the trace of its slowest task since the last scrape.

Found where attempts are binned: the hot path knows nothing of it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from instrumentation.carrier import begin_trace, parse_traceparent
from instrumentation.finished import Batch, Codes, Instants, Labels

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
        at = batch.stages
        for stage, begin in (("execution", at.started), ("end_to_end", batch.wanted())):
            known = (begin > 0) & (at.completed > 0)
            intervals = np.maximum(np.where(known, at.completed - begin, -1), -1)
            places = _places_of_largest(intervals, batch.codes, len(batch.labels))
            for labels, place in zip(batch.labels, places, strict=True):
                took = int(intervals[place])
                before = self._slowest.get((stage, labels))
                if took < 0 or (before and before.interval_ns >= took):
                    continue
                if trace_id := _trace_id(batch.carrier_of(place)):
                    found = Exemplar(took, trace_id, int(at.completed[place]))
                    self._slowest[stage, labels] = found

    def take(self) -> Mapping[str, dict[Labels, Exemplar]]:
        """Return what was slowest by histogram and label set, and begin anew."""
        taken: dict[str, dict[Labels, Exemplar]] = {stage: {} for stage in STAGES}
        for (stage, labels), exemplar in self._slowest.items():
            taken[stage][labels] = exemplar
        self._slowest.clear()
        return taken


def _places_of_largest(values: Instants, codes: Codes, groups: int) -> list[int]:
    """Return for each group where its largest value stands, or one of them. None is below -1."""
    if groups == 1:  # as is usual, and quicker
        return [int(values.argmax())]
    largest, places = np.full(groups, -1), np.zeros(groups, dtype=np.int64)
    np.maximum.at(largest, codes, values)
    found = np.flatnonzero(values == largest[codes])
    places[codes[found]] = found
    return places.tolist()


def _trace_id(carrier: str) -> str:
    """Return the trace that the spans of the attempt are in, "" where it is not known yet."""
    header = carrier.partition(";")[0]
    context = parse_traceparent(header) or begin_trace(header)
    return context.trace_id if context.trace_id in header else ""
