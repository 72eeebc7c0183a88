"""What all sources share: success, duration, absence on failure, one log line a failure."""

from collections.abc import Callable, Iterable
from itertools import count

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from exporters.source import SourceCollector


class Working:
    name = "working"

    def collect(self) -> Iterable[Metric]:
        return [GaugeMetricFamily("answer", "The answer.", value=42)]


class Failing:
    name = "failing"

    def __init__(self, messages: Iterable[str]) -> None:
        self._messages = iter(messages)

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("half", "Emitted before the failure.", value=1)
        raise OSError(next(self._messages))


def scrape(collector: SourceCollector) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("source", "")): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def ticking() -> Callable[[], float]:
    instants = count(step=0.25)
    return lambda: next(instants)


def test_a_failed_source_is_absent_and_said_to_be_so_while_the_others_stay() -> None:
    samples = scrape(SourceCollector([Failing(["gone"]), Working()], ticking(), lambda _: None))

    assert samples == {
        ("answer", ""): 42,
        ("taskscope_exporter_read_success", "failing"): 0,
        ("taskscope_exporter_read_success", "working"): 1,
        ("taskscope_exporter_read_duration_seconds", "failing"): 0.25,
        ("taskscope_exporter_read_duration_seconds", "working"): 0.25,
    }


def test_each_distinct_failure_is_logged_once() -> None:
    warnings: list[str] = []
    failing = Failing(["gone", "gone", "refused", "gone"])
    collector = SourceCollector([failing], warn=warnings.append)

    for _ in range(4):
        scrape(collector)

    assert warnings == ["failing: OSError: gone", "failing: OSError: refused"]
