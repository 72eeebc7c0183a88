"""The slowest task since the last scrape is found again by its trace."""

from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar

from instrumentation import finished
from instrumentation.attempt import Attempt
from instrumentation.carrier import begin_trace, pack
from instrumentation.collector import Collector
from instrumentation.exemplars import Exemplars
from instrumentation.recorder import Recorder
from instrumentation.records import DONE, RETRY, SUCCESS, Record
from instrumentation.telemetry import Telemetry

MS, SECOND = 1_000_000, 1_000_000_000
NOW = 1_800_000_000 * SECOND


def done(letter: str, waited: int, took: int, task: str = "t", outcome: str = SUCCESS) -> Record:
    """Return an attempt in the trace of that letter."""
    carrier = pack(f"00-{letter * 32}-{'b' * 16}-00", 0, NOW)
    started = NOW + waited
    return (DONE, task, "q", outcome, letter, 1, carrier, "", 1, NOW, started, started + took,
            0, None, True)  # fmt: skip


class Bench:
    def __init__(self) -> None:
        self.recorder = Recorder()
        self.collector = Collector(self.recorder, lambda _: 0)

    def exemplars(self, *records: Record) -> dict[tuple[str, str], Exemplar]:
        """Scrape as OpenMetrics; return exemplars by histogram and task, each in its bucket."""
        for record in records:
            self.recorder.append(record)
        page = self.collector.exposition(openmetrics=True) + "# EOF\n"
        found = {}
        for family in text_string_to_metric_families(page):
            lower = 0.0
            for sample in family.samples:
                if "le" not in sample.labels:
                    continue
                upper = float(sample.labels["le"])
                if sample.exemplar:
                    assert (lower if lower < upper else 0.0) < sample.exemplar.value <= upper
                    key = family.name, sample.labels["task"]
                    assert key not in found, "one exemplar for each histogram"
                    found[key] = sample.exemplar
                lower = upper
        return found


END_TO_END, EXECUTION = "taskqueue_end_to_end_seconds", "taskqueue_execution_seconds"


def test_each_histogram_shows_its_own_slowest_task() -> None:
    found = Bench().exemplars(
        done("1", 5 * MS, 40 * MS), done("2", 90 * MS, 3 * MS), done("3", MS, 30 * MS),
        done("4", MS, 7 * MS, task="other"),
    )  # fmt: skip
    assert {key: e.labels["trace_id"][0] for key, e in found.items()} == {
        (EXECUTION, "t"): "1", (END_TO_END, "t"): "2",
        (EXECUTION, "other"): "4", (END_TO_END, "other"): "4",
    }  # fmt: skip
    slowest = found[END_TO_END, "t"]
    assert slowest.labels == {"trace_id": "2" * 32}
    assert slowest.value == pytest.approx(0.093)
    assert float(slowest.timestamp) == pytest.approx((NOW + 93 * MS) / SECOND)  # type: ignore[arg-type]


def test_it_is_the_slowest_of_all_batches_since_the_last_scrape() -> None:
    bench = Bench()
    for letter, took in (("1", 2 * MS), ("2", 9 * MS), ("3", 4 * MS)):
        bench.recorder.append(done(letter, MS, took))
        bench.collector.drain()
        bench.collector.exposition()  # somebody else's scrape, in the other format, takes nothing
    assert bench.exemplars()[EXECUTION, "t"].labels["trace_id"] == "2" * 32
    assert bench.exemplars() == {}
    assert bench.exemplars(done("4", MS, MS))[EXECUTION, "t"].labels["trace_id"] == "4" * 32


def test_whose_intervals_are_all_negative_has_none_and_takes_no_others() -> None:
    behind = list(done("2", MS, 2 * MS, task="quick"))
    behind[6] = pack(f"00-{'2' * 32}-{'b' * 16}-00", 0, NOW + SECOND)  # its sender's clock is ahead
    records = done("1", SECOND, 4 * SECOND, task="slow"), tuple(behind)
    exemplars = Exemplars()
    exemplars.look(finished.read(list(map(Attempt.heard, records))))
    assert {
        (stage, labels[0]): one.trace_id[0]
        for stage, some in exemplars.take().items()
        for labels, one in some.items()
    } == {("execution", "slow"): "1", ("end_to_end", "slow"): "1", ("execution", "quick"): "2"}


def test_an_attempt_that_is_retried_has_an_execution_but_no_end() -> None:
    assert set(Bench().exemplars(done("1", MS, MS, outcome=RETRY))) == {(EXECUTION, "t")}


def test_a_trace_that_began_here_is_known_and_one_that_cannot_be_read_is_left_out() -> None:
    begun = begin_trace()
    record = list(done("1", MS, MS))
    record[6] = begun.traceparent()
    found = Bench().exemplars(tuple(record))
    assert found[EXECUTION, "t"].labels["trace_id"] == begun.trace_id
    record[6] = "rubbish"
    assert Bench().exemplars(tuple(record)) == {}


def test_the_text_format_has_none() -> None:
    bench = Bench()
    bench.recorder.append(done("1", MS, MS))
    assert "trace_id" not in bench.collector.exposition()


def scrape(address: str, accept: str) -> tuple[str, str]:
    answer = requests.get(f"http://{address}/metrics", headers={"Accept": accept}, timeout=5)
    return answer.headers["Content-Type"], answer.text


def test_who_asks_for_openmetrics_gets_it(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Gauge("own", "Of the application.", registry=registry).set(3)
    environ = {"OTEL_TRACES_EXPORTER": "none", "TASKQUEUE_TARGETS_DIR": str(tmp_path)}
    telemetry = Telemetry("celery", environ, registry=registry)
    try:
        telemetry.serve()
        telemetry.recorder.append(done("1", MS, MS))
        assert telemetry._server
        address = telemetry._server.address
        kind, page = scrape(address, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
        assert kind.startswith("application/openmetrics-text; version=1.0.0")
        names = {family.name for family in text_string_to_metric_families(page)}
        assert {EXECUTION, "own", "taskqueue_tasks_started"} <= names
        assert page.count("# EOF") == 1
        kind, page = scrape(address, "text/plain;version=0.0.4")
        assert kind.startswith("text/plain; version=0.0.4")
        assert "# EOF" not in page
        assert "own 3.0" in page
    finally:
        telemetry.close()
