"""One small run of scenario 1, by both sides: exact, consistent, complete, and nothing left."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from pipeline import Finished, assert_nothing_left, manifest, table, taskscope, values

from compose import guardian
from compose.native import replayed_prometheus
from instrumentation.buckets import bucket_around

VARIANTS = ("asynctasq", "celery-prefork-cores")
STAGES = ("publish_duration", "broker_wait", "prefetch_wait", "execution", "ack", "end_to_end")
RESULTS = ["session", "scenario", "framework", "variant", "repetition", "metric", "value", "lower",
           "upper", "unit", "source", "query"]  # fmt: skip
TASKS = {"task_id", "trace_id", "scenario", "framework", "variant", "repetition", "task", "queue",
         "outcome", "attempt", "worker", "scheduled_ns", "sent_ns", "received_ns", "started_ns",
         "completed_ns", "acked_ns"}  # fmt: skip
AUDIT = ["session", "scenario", "framework", "variant", "repetition", "check", "ok", "found",
         "remedy"]  # fmt: skip


def test_it_ends_well_and_leaves_no_process(throughput_run: Finished) -> None:
    assert throughput_run.code == 0, throughput_run.stderr
    assert manifest(throughput_run.directory)["status"] == "complete"
    assert not guardian.marked(throughput_run.session)


def test_a_grafana_that_is_not_there_does_no_harm(throughput_run: Finished) -> None:
    assert throughput_run.code == 0
    assert "The run is not marked in Grafana, and goes on" in throughput_run.stderr
    assert "In Grafana: http://127.0.0.1:" in throughput_run.stderr


def test_json_is_the_only_thing_on_stdout(throughput_run: Finished) -> None:
    document = json.loads(throughput_run.stdout)
    assert document["trustworthy"] is True
    (comparison,) = document["comparisons"]
    assert document["planned"] == document["measured"] == document["valid"] == 2
    throughput = next(x for x in comparison["verdicts"] if x["metric"] == "throughput")
    first, second = (throughput[side]["values"] for side in ("challenger", "baseline"))
    assert throughput["ratio"]["value"] == pytest.approx(first[0] / second[0])
    assert "1 block is too few, a verdict takes 3" in throughput["sentence"]


@pytest.mark.parametrize("source", ["promql", "traces"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_task_is_counted_by_both_sources(
    throughput_run: Finished, variant: str, source: str
) -> None:
    found = values(throughput_run.directory, variant, source)
    assert found["tasks_sent"] == found["tasks_started"] == 500
    assert found["tasks_completed"] + found["tasks_failed"] == 500
    assert found["tasks_retried"] == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_spans_match_their_tasks_one_to_one(throughput_run: Finished, variant: str) -> None:
    tasks = table(throughput_run.directory, "tasks")
    rows = tasks[tasks["variant"] == variant]
    assert len(rows) == 500
    assert rows["task_id"].is_unique
    assert rows["span_id"].is_unique
    assert values(throughput_run.directory, variant, "traces")["publish_duration_count"] == 500


def test_every_check_of_the_audit_holds(throughput_run: Finished) -> None:
    audit = table(throughput_run.directory, "audit")
    assert audit["ok"].all(), audit[~audit["ok"]].to_string()
    assert set(audit["variant"]) == set(VARIANTS)
    assert {"counts by prometheus", "counts by traces", "no scrape gap"} <= set(audit["check"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_throughput_is_the_same_by_either_source(throughput_run: Finished, variant: str) -> None:
    a, b = (values(throughput_run.directory, variant, s)["throughput"] for s in SOURCES)
    assert a == pytest.approx(b, rel=0.005)


SOURCES = ("promql", "traces")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_quantiles_agree_within_a_bucket(
    throughput_run: Finished, variant: str, stage: str
) -> None:
    promql, traces = (values(throughput_run.directory, variant, s) for s in SOURCES)
    for quantile in ("p50", "p95", "p99"):
        a, b = promql[f"{stage}_{quantile}"], traces[f"{stage}_{quantile}"]
        lower, upper = bucket_around(max(a, b))
        assert abs(a - b) <= upper - lower, quantile
    assert promql[f"{stage}_mean"] == pytest.approx(traces[f"{stage}_mean"], rel=1e-6)


def test_quantiles_come_with_their_bucket(throughput_run: Finished) -> None:
    results = table(throughput_run.directory, "results")
    rows = results[results["metric"].str.match(r".*_p\d+$") & (results["source"] == "promql")]
    assert len(rows) >= 2 * 5 * len(STAGES)
    assert ((rows["lower"] <= rows["value"]) & (rows["value"] <= rows["upper"])).all()


def test_the_tables_have_the_columns_that_are_promised(throughput_run: Finished) -> None:
    dataset = throughput_run.directory / "dataset"
    for name, columns in {"results": RESULTS, "audit": AUDIT}.items():
        assert list(pd.read_parquet(dataset / f"{name}.parquet").columns) == columns
        assert list(pd.read_csv(dataset / f"{name}.csv").columns) == columns
    assert set(pd.read_parquet(dataset / "tasks.parquet").columns) >= TASKS
    agreement = pd.read_csv(dataset / "agreement.csv")
    difference = agreement["promql"] - agreement["traces"]
    assert (agreement["difference"] - difference).abs().max() < 1e-9


def test_a_tasks_instants_are_in_order(throughput_run: Finished) -> None:
    tasks = table(throughput_run.directory, "tasks")
    assert tasks["scheduled_ns"].isna().all()  # as fast as it can: no schedule
    for earlier, later in (("sent", "received"), ("received", "started"), ("started", "completed"),
                           ("completed", "acked")):  # fmt: skip
        assert (tasks[f"{earlier}_ns"] <= tasks[f"{later}_ns"]).all(), later
    for cell in manifest(throughput_run.directory)["cells"]:
        started = tasks[tasks["variant"] == cell["variant"]]["started_ns"] / 1e9
        assert started.between(cell["start"], cell["end"]).all()


def _document(*arguments: object) -> Any:
    done = taskscope(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_compare_prints_what_the_run_printed(throughput_run: Finished) -> None:
    document = _document("compare", throughput_run.directory)
    assert document["comparisons"] == json.loads(throughput_run.stdout)["comparisons"]


def test_compare_takes_the_sides_as_asked(throughput_run: Finished) -> None:
    pair = tuple(reversed(VARIANTS))
    (comparison,) = _document("compare", throughput_run.directory, "--variants", *pair)[
        "comparisons"
    ]
    assert (comparison["first"], comparison["second"]) == tuple(reversed(VARIANTS))


def test_trace_prints_the_slowest(throughput_run: Finished) -> None:
    rows = _document("trace", throughput_run.directory, "--slowest", "7")
    tasks = table(throughput_run.directory, "tasks")
    slowest = (tasks["completed_ns"] - tasks["sent_ns"]).sort_values(ascending=False) / 1e6
    assert [r["end_to_end_ms"] for r in rows] == pytest.approx(slowest.head(7).tolist())


def test_doctor_prints_one_document() -> None:
    done = taskscope("doctor", "--json")
    assert done.returncode in {0, 1}
    assert json.loads(done.stdout)


def test_a_damaged_dataset_is_derived_again(
    throughput_run: Finished, tmp_path: Path, copy_run: Callable[[Path, Path], Path]
) -> None:
    copy = copy_run(throughput_run.directory, tmp_path / "copy")
    (copy / "dataset").mkdir()
    whole = (throughput_run.directory / "dataset" / "results.parquet").read_bytes()
    (copy / "dataset" / "results.parquet").write_bytes(whole[: len(whole) // 2])
    document = _document("compare", copy)
    assert document["comparisons"] == json.loads(throughput_run.stdout)["comparisons"]
    assert_nothing_left(throughput_run.session)


def test_exemplars_lead_to_the_slowest_tasks(throughput_run: Finished, tmp_path: Path) -> None:
    """Prometheus keeps exemplars in its log, so that the stored series have them too."""
    tasks = table(throughput_run.directory, "tasks")
    begin, end = tasks["started_ns"].min() / 1e9, tasks["completed_ns"].max() / 1e9
    with replayed_prometheus(throughput_run.directory / "prometheus", tmp_path) as url:
        for stage in ("end_to_end", "execution"):
            found = requests.get(f"{url}/api/v1/query_exemplars", timeout=10, params={
                "query": f"taskqueue_{stage}_seconds_bucket", "start": begin - 5, "end": end + 5,
            }).json()["data"]  # fmt: skip
            for variant in VARIANTS:
                mine = tasks[tasks["variant"] == variant]
                known = {each["labels"]["trace_id"]: float(each["value"])
                         for group in found if group["seriesLabels"]["variant"] == variant
                         for each in group["exemplars"]}  # fmt: skip
                wanted = mine["scheduled_ns"].fillna(mine["sent_ns"])
                took = mine["completed_ns"] - (wanted if stage == "end_to_end"
                                               else mine["started_ns"])  # fmt: skip
                slowest = took.idxmax()
                seconds = known[mine.loc[slowest, "trace_id"]]
                assert seconds == pytest.approx(took[slowest] / 1e9)
