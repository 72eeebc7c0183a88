"""What every metric source has in common: its read is timed, and a failed one is said to be so."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)


class Source(Protocol):
    """One thing that is read, parsed and emitted as a whole, or not at all."""

    @property
    def name(self) -> str:
        """The value of the ``source`` label."""

    def collect(self) -> Iterable[Metric]:
        """Read now; whatever goes wrong is raised."""


@dataclass(frozen=True)
class Outcome:
    """How one read went: ``metrics`` is empty when it failed."""

    source: str
    success: bool
    duration_seconds: float
    metrics: tuple[Metric, ...]


class SourceCollector(Collector):
    """All sources behind one collector, so that they share one pair of read metrics.

    A source that fails costs its own metrics only. Each distinct failure of a source is logged
    once: a broker that is gone for an hour is one line, not one a scrape.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        clock: Callable[[], float] = time.perf_counter,
        warn: Callable[[str], None] = logger.warning,
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._warn = warn
        self._warned: set[str] = set()
        # Scrapes arrive on threads of their own; the sources keep state (a connection, what a
        # process had used when last seen) and would count wrong if two of them read at once.
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Read every source, one after another, in the order given."""
        with self._lock:
            outcomes = [self._outcome(source) for source in self._sources]
        for outcome in outcomes:
            yield from outcome.metrics
        yield from emit_outcomes(outcomes)

    def _outcome(self, source: Source) -> Outcome:
        started = self._clock()
        metrics: tuple[Metric, ...] = ()
        failure: Exception | None = None
        try:
            metrics = tuple(source.collect())
        except Exception as error:  # noqa: BLE001 - one failed source must not take the others along
            failure = error
        duration = self._clock() - started
        if failure is not None:
            self._warn_once(f"{source.name}: {type(failure).__name__}: {failure}")
        return Outcome(source.name, failure is None, duration, metrics)

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            self._warn(message)


def emit_outcomes(outcomes: Iterable[Outcome]) -> list[Metric]:
    """Whether and how long each source's read went; present in every scrape."""
    success = GaugeMetricFamily(
        "taskscope_exporter_read_success",
        "1 if the source was read in this scrape, 0 if that failed and its metrics are absent.",
        labels=["source"],
    )
    duration = GaugeMetricFamily(
        "taskscope_exporter_read_duration_seconds",
        "How long reading the source took in this scrape, successful or not.",
        labels=["source"],
    )
    for outcome in outcomes:
        success.add_metric([outcome.source], float(outcome.success))
        duration.add_metric([outcome.source], outcome.duration_seconds)
    return [success, duration]
