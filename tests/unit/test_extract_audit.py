"""Each check of the audit can fail and says what it found; comparisons leave such cells out."""

import pandas as pd
import pytest

from extract import audit
from extract.compare import compare
from extract.dataset import Dataset, valid_cells
from extract.manifest import CellRecord, Manifest, Problem

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
    promql: dict[str, float], traces: dict[str, float], cell: CellRecord = CELL
) -> dict[str, audit.Finding]:
    return {f.check: f for f in audit.audit(cell, promql, traces) if not f.ok}


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


def manifest(cells: list[CellRecord]) -> Manifest:
    return Manifest("x", "", "complete", (), "native", "native", {}, {}, (), (), tuple(cells))


def dataset(rows: list[tuple[str, int, str, float]], bad: list[tuple[str, int]]) -> Dataset:
    results = [
        {"scenario": "s", "variant": v, "repetition": r, "metric": m, "value": x, "source": source}
        for v, r, m, x in rows
        for source in ("promql", "traces")
    ]
    results += [{**results[0], "value": 1e9, "source": "traces"}]
    checks = [
        {"scenario": "s", "variant": v, "repetition": r, "check": "c", "ok": (v, r) not in bad}
        for v, r in {(v, r) for v, r, _, _ in rows}
    ]
    empty = pd.DataFrame()
    return Dataset(pd.DataFrame(results), empty, pd.DataFrame(checks), empty)


ROWS = [("a", 1, "throughput", 10.0), ("a", 2, "throughput", 30.0), ("a", 3, "throughput", 20.0),
        ("b", 1, "throughput", 4.0), ("b", 2, "throughput", 1000.0), ("b", 3, "throughput", 6.0),
        ("a", 1, "tasks_failed", 1.0), ("b", 1, "tasks_failed", 0.0),
        ("a", 1, "ack_p50", 0.5), ("c", 1, "throughput", 7.0)]  # fmt: skip
CELLS = [CellRecord("s", "f", v, r, 1, 1.0, 2.0) for v in "abc" for r in (1, 2, 3)]


def test_medians_ranges_and_ratio_of_the_valid_repetitions() -> None:
    data = dataset(ROWS, bad=[("b", 2)])
    lines = {x.metric: x for x in compare(manifest(CELLS), data, "s", "a", "b")}
    line = lines["throughput"]
    assert line.first
    assert (line.first.median, line.first.lowest, line.first.highest) == (20.0, 10.0, 30.0)
    assert line.first.repetitions == 3
    assert line.second
    assert (line.second.median, line.second.highest, line.second.repetitions) == (5.0, 6.0, 2)
    assert line.ratio == 4.0
    assert lines["tasks_failed"].ratio is None  # to nothing, there is no ratio
    assert lines["ack_p50"].second is None
    assert len(valid_cells(data.audit, CELLS)) == 8


def test_with_no_valid_cell_there_is_no_line() -> None:
    data = dataset(ROWS[:2], bad=[("a", 1), ("a", 2)])
    assert not list(compare(manifest(CELLS), data, "s", "a", "b"))
