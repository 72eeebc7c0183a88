"""What the mock API tells of itself: enough to see whether it was the one that limited."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

_BOUNDS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1,
                  0.2, 0.5, 1.0)  # fmt: skip


class Metrics(Collector):
    """Counts in plain integers, as an answer costs little more; they are named when scraped."""

    def __init__(self, cpu_seconds: Callable[[], float] = time.process_time) -> None:
        self.in_flight = 0
        self._cpu_seconds = cpu_seconds
        self._outcomes = {"200": 0, "503": 0}
        self._late, self._lag = _Histogram(), _Histogram()
        self._asked_seconds = 0.0
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def answered(self, asked_seconds: float, late_seconds: float, *, failed: bool) -> None:
        """Note an answer: how long it was to take, and how much later it was all sent."""
        self._asked_seconds += asked_seconds
        self._outcomes["503" if failed else "200"] += 1
        self._late.add(late_seconds)

    def lagged(self, seconds: float) -> None:
        """Note how late the event loop woke."""
        self._lag.add(seconds)

    def collect(self) -> Iterator[Metric]:
        """Name all that was counted."""
        requests = CounterMetricFamily(
            "mock_api_requests", "Answers of the mock API.", labels=["status"]
        )
        for status, count in self._outcomes.items():
            requests.add_metric([status], count)
        yield requests
        yield GaugeMetricFamily(
            "mock_api_requests_in_flight", "Requests being answered.", value=self.in_flight
        )
        yield CounterMetricFamily(
            "mock_api_cpu_seconds", "CPU time of the mock API's process.", self._cpu_seconds()
        )
        yield CounterMetricFamily(
            "mock_api_asked_seconds",
            "How long answers were to take.",
            self._asked_seconds,
        )
        yield self._late.family(
            "mock_api_late_seconds", "How much later than asked an answer was all sent."
        )
        yield self._lag.family(
            "mock_api_loop_lag_seconds", "How late the event loop woke, looked at every 10 ms."
        )


class _Histogram:
    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(_BOUNDS, value)] += 1
        self._sum += value

    def family(self, name: str, meaning: str) -> Metric:
        seen, buckets = 0, []
        for bound, count in zip([*map(str, _BOUNDS), "+Inf"], self._counts, strict=True):
            seen += count
            buckets.append((bound, seen))
        family = HistogramMetricFamily(name, meaning)
        family.add_metric([], buckets, self._sum)
        return family
