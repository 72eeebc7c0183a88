"""A search whose answer is known: eight places and tasks of 0.2 s make 40 tasks/s, and no more."""

import json
from pathlib import Path
from typing import Any

import pytest
from pipeline import assert_nothing_left, manifest, taskscope

PLACES, SECONDS = 8, 0.2
KNOWN = PLACES / SECONDS
SCENARIO = f"""
name = "known"
title = "Known capacity"
description = "Sleeps, at rates that are searched."

[workload]
task = "sleep"
arguments = {{ seconds = {SECONDS} }}

[load]
arrivals = "constant"
rate = 25.0
seconds = 6
in_flight = 16

[run]
repetitions = 1
warmup = 10
concurrency = {PLACES}
seed = 7
queue = "taskscope"

[slo]
p99_seconds = 1.0

[variants.threads]
framework = "celery"
description = "Four at once, by a worker that is woken: below 40/s nothing waits."
[variants.threads.settings]
pool = "threads"
task_acks_late = true
task_ignore_result = true
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Return what the search prints, and its directory."""
    place = tmp_path_factory.mktemp("capacity")
    (place / "known.toml").write_text(SCENARIO)
    done = taskscope("capacity", place / "known.toml", "--quick", "--precision", "0.5", "--json",
                     "--out", place / "run", seconds=600)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), place / "run"


def test_the_known_rate_lies_between_its_ends(found: tuple[dict[str, Any], Path]) -> None:
    outcome, _ = found
    (capacity,) = outcome["capacities"]
    assert outcome["trustworthy"] is True
    assert capacity["sustained"] < KNOWN < capacity["refuted"] * 1.05
    assert capacity["refuted"] <= capacity["sustained"] * 2
    assert capacity["saturation"] == pytest.approx(KNOWN, rel=0.15)


def test_both_ends_were_tried_more_than_once(found: tuple[dict[str, Any], Path]) -> None:
    (capacity,) = found[0]["capacities"]
    rates = [trial["rate"] for trial in capacity["trials"]]
    assert rates.count(capacity["sustained"]) >= 2
    assert rates.count(capacity["refuted"]) >= 2
    assert capacity["valid"] > 4


def test_a_burst_grows_a_backlog_by_what_is_too_much(found: tuple[dict[str, Any], Path]) -> None:
    (capacity,) = found[0]["capacities"]
    burst = capacity["burst"]
    assert burst["growth"] == pytest.approx(burst["rate"] - KNOWN, rel=0.4)
    assert burst["recovery_seconds"] > 0


def test_its_report_has_the_capacity_in_words(found: tuple[dict[str, Any], Path]) -> None:
    _, directory = found
    assert_nothing_left(manifest(directory)["session"])
    done = taskscope("report", directory)
    assert done.returncode == 0, done.stderr
    page = (directory / "report" / "report.html").read_text()
    (capacity,) = found[0]["capacities"]
    assert f"threads sustains {capacity['sustained']:,.4g} tasks/s" in page
