"""Histograms that are filled a batch at a time and written fast.

`prometheus_client` scans its buckets one by one on each observe and spends about 12 µs on each line
of exposition. Here numpy bins a batch, and everything of a line but its number is made once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from instrumentation.buckets import LABELS, bin_counts, bin_of
from instrumentation.exemplars import Exemplar
from instrumentation.finished import Codes, Instants, Labels

_NS_PER_SECOND = 1_000_000_000
_LOW_BITS = 32
_LOW_MASK = 2**_LOW_BITS - 1


def escape(value: str) -> str:
    """Escape a label value for the Prometheus text format."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def label_text(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Write labels as they stand between braces."""
    return ",".join(f'{n}="{escape(v)}"' for n, v in zip(names, values, strict=True))


def _exact_sums(values: Instants, codes: Codes, groups: int) -> list[int]:
    """Add up each group: half a dozen intervals of decades (a wrong clock) exceed 64 bits.

    In halves, of which a float adds up two million without rounding.
    """
    halves = (values >> _LOW_BITS, values & _LOW_MASK)
    if groups == 1:  # as is usual, and quicker
        return [(int(halves[0].sum()) << _LOW_BITS) + int(halves[1].sum())]
    sums = [np.bincount(codes, half, groups).tolist() for half in halves]
    return [(int(high) << _LOW_BITS) + int(low) for high, low in zip(*sums, strict=True)]


class _Series:
    """One label set: the counts, and the text of its lines."""

    def __init__(self, name: str, labels: str) -> None:
        separator = "," if labels else ""
        bounds = (*LABELS, "+Inf")
        self._prefixes = [f'{name}_bucket{{{labels}{separator}le="{le}"}} ' for le in bounds]
        self._sum_prefix = f"{name}_sum{{{labels}}} "
        self._count_prefix = f"{name}_count{{{labels}}} "
        self.counts: NDArray[np.int64] = np.zeros(len(bounds), dtype=np.int64)
        self.sum_ns = 0

    def lines(self, exemplar: Exemplar | None) -> Iterator[str]:
        cumulated = self.counts.cumsum().tolist()
        lines = [p + str(count) for p, count in zip(self._prefixes, cumulated, strict=True)]
        if exemplar:
            lines[bin_of(exemplar.interval_ns)] += exemplar.text()
        yield from lines
        yield self._sum_prefix + repr(self.sum_ns / _NS_PER_SECOND)
        yield self._count_prefix + str(cumulated[-1])


@dataclass
class Histogram:
    """A Prometheus histogram of intervals, in seconds, with the project's one bucket layout."""

    name: str
    help: str
    label_names: tuple[str, ...]
    _series: dict[tuple[str, ...], _Series] = field(default_factory=dict, repr=False)

    def observe(self, labels: Sequence[Labels], intervals_ns: Instants, codes: Codes) -> int:
        """Add a batch, each interval to the series of its labels; return how many were negative.

        Negative intervals come from clocks that disagree. They are counted in the lowest bucket so
        that no task is lost from the count, and the caller reports them as clock anomalies.
        """
        counts = bin_counts(intervals_ns, codes, len(labels))
        sums = _exact_sums(intervals_ns, codes, len(labels))
        for each, count, sum_ns in zip(labels, counts, sums, strict=True):
            if count.any():
                series = self._of(each)
                series.counts += count
                series.sum_ns += sum_ns
        return int((intervals_ns < 0).sum())

    def _of(self, labels: Labels) -> _Series:
        series = self._series.get(labels)
        if series is None:
            series = _Series(self.name, label_text(self.label_names, labels))
            self._series[labels] = series
        return series

    def lines(self, exemplars: Mapping[Labels, Exemplar] | None = None) -> Iterator[str]:
        """Write the histogram in the Prometheus text format, a line at a time.

        An exemplar stands behind the bucket that it fell in, which OpenMetrics alone allows.
        """
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} histogram"
        for labels, series in self._series.items():
            yield from series.lines((exemplars or {}).get(labels))
