"""The older suite's files: its header, the dataset's values, and units that are said."""

import json
from pathlib import Path

import pandas as pd
import pytest
from made_runs import made_run
from typer.testing import CliRunner

from taskscope.commands.app import app

HEADER = ("framework,run,task_count,total_time,throughput,mean_latency,p50,p95,p99,memory_mb,"
          "cpu_percent")  # fmt: skip
FIGURES = {"throughput": [100.0, 110.0, 120.0], "tasks_completed": [198.0] * 3,
           "tasks_failed": [2.0] * 3, "end_to_end_mean": [0.02, 0.021, 0.022],
           "end_to_end_p50": [0.01, 0.011, 0.012], "end_to_end_p95": [0.05, 0.051, 0.052],
           "end_to_end_p99": [0.09, 0.091, 0.092], "worker_memory_peak": [9e7, 9.1e7, 9.2e7],
           "worker_cpu_cores": [0.9, 0.91, 0.92]}  # fmt: skip


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    values = {(v, m): series for v in ("fast", "slow-one") for m, series in FIGURES.items()}
    run = made_run(tmp_path / "run", values, scenario="known-answer", failed={("fast", 3): "swap"})
    done = CliRunner().invoke(app, ["export", str(run), "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    assert [Path(p).name for p in json.loads(done.stdout)] == [
        "scenario_1_known_answer.csv", "scenario_1_known_answer_stats.json",
    ]  # fmt: skip
    return tmp_path / "out"


def test_the_values_are_the_datasets(exported: Path, tmp_path: Path) -> None:
    file = exported / "scenario_1_known_answer.csv"
    assert file.read_text().splitlines()[0] == HEADER
    rows = pd.read_csv(file)
    results = pd.read_parquet(tmp_path / "run" / "dataset" / "results.parquet")
    assert list(zip(rows["framework"], rows["run"], strict=True)) == [
        ("fast", 1), ("fast", 2), ("slow-one", 1), ("slow-one", 2), ("slow-one", 3),
    ]  # fmt: skip
    for _, row in rows.iterrows():
        mine = results[(results["variant"] == row["framework"])
                       & (results["repetition"] == row["run"])]  # fmt: skip
        found = dict(zip(mine["metric"], mine["value"], strict=True))
        assert row["throughput"] == found["throughput"]
        assert row["mean_latency"] == found["end_to_end_mean"]
        assert [row[q] for q in ("p50", "p95", "p99")] == [
            found[f"end_to_end_{q}"] for q in ("p50", "p95", "p99")
        ]
        assert row["memory_mb"] == pytest.approx(found["worker_memory_peak"] / 1e6, rel=1e-15)
        assert row["cpu_percent"] == found["worker_cpu_cores"] * 100
        assert row["task_count"] == found["tasks_completed"] + found["tasks_failed"] == 200
        assert row["total_time"] == row["task_count"] / found["throughput"]


def test_the_statistics_say_their_units_and_what_is_left_out(exported: Path) -> None:
    stats = json.loads((exported / "scenario_1_known_answer_stats.json").read_text())
    assert stats["units"]["mean_latency"] == stats["units"]["p99"] == "s"
    assert set(stats["units"]) == set(HEADER.split(",")[2:])
    assert stats["left_out"] == ["fast 3"]
    slow = stats["frameworks"]["slow-one"]
    assert (slow["runs"], slow["framework"]) == (3, "celery")
    assert slow["throughput"] == {
        "mean": 110.0, "median": 110.0, "stdev": 10.0, "min": 100.0, "max": 120.0,
    }  # fmt: skip


def test_what_a_variant_lacks_is_empty(tmp_path: Path) -> None:
    few = {("v", m): FIGURES[m] for m in ("throughput", "tasks_completed", "tasks_failed")}
    run = made_run(tmp_path / "run", few)
    assert CliRunner().invoke(app, ["export", str(run)]).exit_code == 0
    rows = pd.read_csv(run / "results" / "scenario_1_s.csv")
    assert rows["p99"].isna().all()
    stats = json.loads((run / "results" / "scenario_1_s_stats.json").read_text())
    assert stats["frameworks"]["v"]["p99"]["mean"] is None
