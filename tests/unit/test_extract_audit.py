"""Each check of the audit can fail and says what it found."""

from collections.abc import Sequence

import pandas as pd
import pytest

from extract import audit
from extract.dataset import valid_cells
from extract.manifest import CellRecord, Problem

CELL = CellRecord("s", "f", "v", 1, planned=100, start=10.0, end=20.0)
COUNTS = {"tasks_sent": 100.0, "tasks_started": 100.0, "tasks_completed": 98.0,
          "tasks_failed": 2.0, "tasks_retried": 0.0, "tasks_discarded": 0.0}  # fmt: skip
ZEROS = {"publish_failures": 0.0, "queue_depth_end": 0.0, "spans_dropped": 0.0,
         "records_dropped": 0.0, "clock_anomalies": 0.0, "swap_bytes": 0.0, "evicted_keys": 0.0,
         "exporter_failures": 0.0}  # fmt: skip
TRACES = {**COUNTS, "throughput": 50.0, "execution_p50": 0.05, "schedule_lag_p99": 0.001}
PROMQL = {**TRACES, **ZEROS, "scrapes_missed": 1.0}
CHECKS = {"publish_failures": "every publish accepted", "queue_depth_end": "queue empty at the end",
          "spans_dropped": "no span dropped", "records_dropped": "no record dropped",
          "clock_anomalies": "clocks agree", "swap_bytes": "no swapping",
          "evicted_keys": "no eviction by the broker",
          "exporter_failures": "exporters could read"}  # fmt: skip


def failed(
    promql: dict[str, float],
    traces: dict[str, float],
    cell: CellRecord = CELL,
    requires: Sequence[str] = (),
) -> dict[str, audit.Finding]:
    return {f.check: f for f in audit.audit(cell, promql, traces, requires) if not f.ok}


def test_a_sound_cell_has_no_doubt() -> None:
    assert not failed(PROMQL, TRACES)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"tasks_sent": 99.0}, "counts by prometheus"),
        ({"tasks_started": 101.0}, "counts by prometheus"),
        ({"tasks_completed": 99.0}, "counts by prometheus"),
        ({"tasks_failed": 1.0}, "counts by prometheus"),
        ({"tasks_retried": 1.0}, "counts by prometheus"),
        ({"tasks_discarded": 1.0}, "counts by prometheus"),
        ({"scrapes_missed": 2.0}, "no scrape gap"),
        ({"schedule_lag_p99": 0.0101}, "generator on schedule"),
        ({"throughput": 50.3}, "throughput agrees"),
        ({"execution_p50": 0.06}, "quantiles agree"),
        *(({metric: 1.0}, check) for metric, check in CHECKS.items()),
    ],
)
def test_each_check_can_fail(change: dict[str, float], check: str) -> None:
    found = failed({**PROMQL, **change}, TRACES)
    assert check in found
    assert found[check].found
    assert found[check].remedy


@pytest.mark.parametrize("metric", [*COUNTS, *ZEROS, "scrapes_missed", "throughput"])
def test_what_is_unknown_is_not_taken_for_well(metric: str) -> None:
    assert failed({k: v for k, v in PROMQL.items() if k != metric}, TRACES)


@pytest.mark.parametrize("metric", [*COUNTS, "throughput", "execution_p50"])
def test_the_traces_are_audited_too(metric: str) -> None:
    assert failed(PROMQL, {k: v for k, v in TRACES.items() if k != metric})
    assert failed(PROMQL, {**TRACES, metric: TRACES[metric] * 2 + 1})


def test_retries_are_sent_and_started_again() -> None:
    more = {"tasks_sent": 103.0, "tasks_started": 103.0, "tasks_retried": 3.0}
    assert not failed({**PROMQL, **more}, {**TRACES, **more})


def test_without_a_schedule_there_is_no_lag() -> None:
    plain = {k: v for k, v in PROMQL.items() if k != "schedule_lag_p99"}
    assert not failed(plain, {k: v for k, v in TRACES.items() if k != "schedule_lag_p99"})


def test_problems_of_the_run_are_findings() -> None:
    problem = Problem("clean stop", "worker had to be killed", "See the logs.")
    cell = CellRecord("s", "f", "v", 1, 100, 10.0, 20.0, (problem,))
    assert failed(PROMQL, TRACES, cell)["clean stop"].found == "worker had to be killed"


def test_a_cell_without_marks_is_invalid() -> None:
    assert list(failed({}, {}, CellRecord("s", "f", "v", 1, 100))) == ["finished"]


def test_a_cell_with_any_failed_check_is_not_valid() -> None:
    cells = [CellRecord("s", "f", v, r, 1, 1.0, 2.0) for v in "ab" for r in (1, 2)]
    checks = [(c.scenario, c.variant, c.repetition, name, True) for c in cells for name in "xy"]
    checks[3] = (*checks[3][:4], False)
    table = pd.DataFrame(checks, columns=["scenario", "variant", "repetition", "check", "ok"])
    assert valid_cells(table, cells) == [cells[0], *cells[2:]]


MOCK = {"mock_api_cpu_cores": 0.3, "mock_api_slowdown": 0.01, "mock_api_slowdown_p99": 0.05}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"mock_api_cpu_cores": 0.95}, "0.95 cores busy, bound 0.9"),
        ({"mock_api_slowdown": 0.08}, "answers 8.0% later than asked, bound 5%"),
        ({"mock_api_slowdown_p99": 0.3}, "the slowest 1 % 30.0%, bound 20%"),
        ({"mock_api_slowdown": None}, "answers nan% later"),  # nobody asked it anything
        ({"mock_api_cpu_cores": None}, "nan cores busy"),  # nobody scraped it
    ],
)
def test_a_cell_that_the_mock_api_limited_is_refused(
    change: dict[str, float | None], found: str
) -> None:
    assert not failed({**PROMQL, **MOCK}, TRACES, requires=["mock-api"])
    promql = {k: v for k, v in {**PROMQL, **MOCK, **change}.items() if v is not None}
    (finding,) = failed(promql, TRACES, requires=["mock-api"]).values()
    assert finding.check == "mock API kept up"
    assert found in finding.found
    assert finding.remedy


def test_a_broker_at_its_limit_is_reported() -> None:
    memory = {"broker_memory_peak": 96e6, "broker_memory_limit": 100e6}
    (finding,) = failed({**PROMQL, **memory}, TRACES).values()
    assert finding.check == "broker within its memory"
    assert "at most 96 MB of 100 MB" in finding.found
    for limit in (0.0, 200e6):
        assert not failed({**PROMQL, **memory, "broker_memory_limit": limit}, TRACES)


@pytest.mark.parametrize(("lag", "ok"), [(0.0049, True), (0.0051, False)])
def test_the_generator_is_on_schedule_within_five_milliseconds(lag: float, *, ok: bool) -> None:
    both = ({**PROMQL, "schedule_lag_p99": lag}, {**TRACES, "schedule_lag_p99": lag})
    assert ("generator on schedule" not in failed(*both)) == ok
