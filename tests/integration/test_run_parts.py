"""Several classes of tasks, several workers of each side, and an API that they need: one run."""

from pathlib import Path

import pytest
from pipeline import failed_checks, table, taskscope, values

SCENARIO = """
name = "parts"
title = "Waiting and doing nothing"
description = "Half of the tasks ask an API, half do nothing."
headline = ["asynctasq", "celery"]

[workload]
count = 200

[[workload.parts]]
task = "fetch"
weight = 1
arguments = { url = "$mock_api", number = "$number" }

[[workload.parts]]
task = "noop"
weight = 1

[requires.mock-api]
latency = "fixed"
latency_seconds = 0.1

[load]
arrivals = "constant"
rate = 50.0
in_flight = 8

[run]
repetitions = 1
warmup = 20
concurrency = 4
workers = 2
seed = 3
queue = "taskscope"

[variants.asynctasq]
framework = "asynctasq"
description = "Two workers."

[variants.celery]
framework = "celery"
description = "Two workers."
[variants.celery.settings]
pool = "threads"
task_acks_late = true
task_ignore_result = true
"""
VARIANTS = ("asynctasq", "celery")
#: Checks that fail where others use the machine, as other tests do.
A_BUSY_MACHINES = {"generator on schedule", "no scrape gap", "mock API kept up"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("parts")
    (place / "parts.toml").write_text(SCENARIO)
    done = taskscope("run", place / "parts.toml", "--out", place / "run")
    exact = table(place / "run", "audit")["ok"].astype(bool).all()
    assert done.returncode == (0 if exact else 4), done.stderr
    return place / "run"


def test_every_cell_is_exact_and_the_api_is_audited(run: Path) -> None:
    audit = table(run, "audit")
    for variant in VARIANTS:
        assert not failed_checks(run, variant).keys() - A_BUSY_MACHINES
        assert "mock API kept up" in set(audit[audit["variant"] == variant]["check"])


def test_the_parts_are_mixed_by_weight_alike_on_both_sides(run: Path) -> None:
    tasks = table(run, "tasks")
    first, second = (
        tasks[tasks["variant"] == v].sort_values("sent_ns")["task"].tolist() for v in VARIANTS
    )
    assert first == second
    assert len(first) == 200
    assert 70 <= first.count("fetch") <= 130
    assert first != sorted(first)


def test_each_class_has_figures_of_its_own_by_both_sources(run: Path) -> None:
    classes = table(run, "classes")
    for variant in VARIANTS:
        for source in ("promql", "traces"):
            found = classes[(classes["variant"] == variant) & (classes["source"] == source)]
            figures = dict(zip(zip(found["task"], found["metric"], strict=True), found["value"],
                               strict=True))  # fmt: skip
            assert figures["fetch", "execution_p50"] > 0.09
            assert figures["noop", "execution_p50"] < 0.09
            counts = [figures[name, "tasks_completed"] for name in ("fetch", "noop")]
            assert sum(counts) == 200


def test_the_api_answered_each_request_once(run: Path) -> None:
    tasks = table(run, "tasks")
    for variant in VARIANTS:
        asked = ((tasks["variant"] == variant) & (tasks["task"] == "fetch")).sum()
        assert values(run, variant)["mock_api_requests"] == asked


def test_both_workers_of_each_side_took_part(run: Path) -> None:
    tasks = table(run, "tasks")
    for variant in VARIANTS:
        assert tasks[tasks["variant"] == variant]["worker"].nunique() == 2
