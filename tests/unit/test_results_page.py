"""docs/results.md is made from runs: what they say stands in it, what they do not say does not."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from reports import run

from extract import timeline
from extract.capacity import capacities
from extract.capacity_words import of_run, sentences
from extract.classes import COLUMNS
from extract.classes import table as classes
from extract.dataset import Dataset
from extract.manifest import CellRecord, Manifest
from extract.traces import TASK_COLUMNS
from taskscope.errors import UsageError
from taskscope.results_page import page

START = 1_795_308_000
RATES = {50.0: ("yes", "yes"), 80.0: ("no", "no"), 100.0: ("no",)}


def _scenario(name: str, rate: float, kind: str = "poisson") -> dict[str, object]:
    numbers = {"rate": rate}
    if kind == "pulse":
        numbers |= {"burst_rate": 40.0, "burst_after_seconds": 2.0, "burst_seconds": 1.0}
    return {
        "name": name, "title": f"Stress: rate {rate:g}", "description": "", "headline": [],
        "family": "stress", "point": {} if kind == "pulse" else {"rate": rate},
        "workload": {"count": int(rate * 10), "parts": [], "payload_bytes": 0},
        "load": {"arrivals": {"kind": kind, "numbers": numbers}, "in_flight": 8, "seconds": 10},
        "run": {"seed": 1, "repetitions": 1, "concurrency": 1, "warmup": 0},
        "slo": {"p99_seconds": 0.25, "failed_share": 0.0},
        "variants": [{"name": "a", "framework": "celery", "description": "", "settings": {}}],
    }  # fmt: skip


def _searched() -> tuple[Manifest, Dataset]:
    """Make a capacity run: three rates, of which the lowest is sustained, then a burst."""
    scenarios = [_scenario(f"stress-rate-{rate:g}", rate) for rate in RATES]
    scenarios.append(_scenario("stress-burst-a", 10.0, "pulse"))
    cells, results, followed = [], [], []
    for rate, outcomes in RATES.items():
        for repetition, outcome in enumerate(outcomes, start=1):
            start = START + 100.0 * len(cells)
            cell = CellRecord(f"stress-rate-{rate:g}", "f", "a", repetition, 1, start, start + 20)
            cells.append(cell)
            keys = {**cell.labels("x"), "repetition": repetition}
            late = 0.1 if outcome == "yes" else 2.0
            for metric, value in {
                "end_to_end_p99": late,
                "throughput": min(rate, 60.0),
                "tasks_completed": rate * 10,
                "tasks_failed": 0.0,
            }.items():
                results.append(
                    {
                        **keys,
                        "metric": metric,
                        "value": value,
                        "lower": None,
                        "upper": None,
                        "unit": "s",
                        "source": "promql",
                        "query": metric,
                    }
                )
            slope = 0.0 if outcome == "yes" else rate - 60
            followed += [
                {
                    **keys,
                    "metric": "queue_depth_over_time",
                    "seconds": float(t),
                    "value": slope * t,
                    "unit": "tasks",
                    "query": "q",
                }
                for t in range(10)
            ]
    burst = CellRecord("stress-burst-a", "f", "a", 1, 1, START + 900.0, START + 990.0)
    audit = [{**c.labels("x"), "repetition": c.repetition, "check": "all", "ok": True, "found": "",
              "remedy": ""} for c in (*cells, burst)]  # fmt: skip
    made = run({"s": ({("a", "throughput"): [1.0]}, {})}).manifest
    manifest = msgspec.structs.replace(
        made, scenarios=tuple(scenarios), cells=(*cells, burst),
        command=("capacity", "--out", "/some/where", "--quick"),
        order=tuple(str(n) for n in range(len(cells) + 1)),
    )  # fmt: skip
    data = Dataset(
        pd.DataFrame(results), _burst_tasks(burst), pd.DataFrame(audit),
        pd.DataFrame(columns=["metric", "traces", "difference"]), timeline.table(followed),
    )  # fmt: skip
    return manifest, data


def _burst_tasks(cell: CellRecord) -> pd.DataFrame:
    """Make 10 a second for 2 s, 40 a second for 1 s, then 10 again, through one place of 1/20 s."""
    due = [n / 10 for n in range(20)] + [2 + n / 40 for n in range(40)]
    due += [3 + n / 10 for n in range(80)]
    rows, free = [], 0.0
    for seconds in due:
        started = max(free, seconds)
        free = started + 0.05
        at = [int((cell.start or 0) * 1e9) + 10**9 + int(t * 1e9) for t in (seconds, started, free)]
        rows.append({"scenario": cell.scenario, "framework": "f", "variant": "a", "repetition": 1,
                     "task": "noop", "outcome": "success", "attempt": 1, "scheduled_ns": at[0],
                     "sent_ns": at[0], "started_ns": at[1], "completed_ns": at[2]})  # fmt: skip
    return pd.DataFrame(rows, columns=pd.Index(TASK_COLUMNS)).astype(TASK_COLUMNS)


def test_a_burst_whose_audit_failed_says_nothing() -> None:
    manifest, data = _searched()
    (whole,) = capacities(manifest, data)
    assert whole.burst is not None
    failed = data.audit.assign(ok=data.audit["scenario"] != "stress-burst-a")
    (found,) = capacities(manifest, replace(data, audit=failed))
    assert found.burst is None
    assert (found.valid, found.measured) == (whole.valid - 1, whole.measured)


def test_a_capacity_follows_from_the_dataset_alone() -> None:
    (found,) = capacities(*_searched())
    assert (found.scenario, found.variant) == ("stress", "a")
    assert (found.sustained, found.refuted, found.saturation) == (50.0, 80.0, 60.0)
    assert [t.verdict for t in found.trials] == ["sustained"] * 2 + ["not sustained"] * 3
    assert found.trials[2].growth
    assert found.trials[2].growth.slope == pytest.approx(20)
    assert (found.valid, found.measured) == (6, 6)


def test_a_burst_is_told_from_the_tasks_instants() -> None:
    (found,) = capacities(*_searched())
    assert found.burst
    assert found.burst.growth == pytest.approx(20, rel=0.1)  # 40 come and 20 go, in a second
    assert found.burst.largest_backlog == pytest.approx(21, abs=1)
    assert found.burst.recovery_seconds == pytest.approx(2.0, abs=0.15)  # 20 left, 10 more go


def test_a_trial_whose_audit_failed_says_nothing() -> None:
    manifest, data = _searched()
    data.audit.loc[0, "ok"] = False
    (found,) = capacities(manifest, data)
    assert found.trials[0].verdict == "says nothing"
    assert found.sustained is None  # the other one alone does not confirm it
    assert found.refuted == 80.0


def test_points_that_differ_in_more_than_the_rate_have_capacities_of_their_own() -> None:
    manifest, data = _searched()
    scenarios = [
        {**s, "point": {"rate": 1.0, "workers": 2.0 if s["name"] == "stress-rate-80" else 1.0}}
        for s in manifest.scenarios
    ]
    one, two = capacities(msgspec.structs.replace(manifest, scenarios=tuple(scenarios)), data)
    assert (one.place, one.refuted) == ({"workers": 1.0}, None)
    assert (two.place, two.sustained, two.refuted) == ({"workers": 2.0}, None, 80.0)
    assert "a, workers 2 does not sustain 80 tasks/s" in " ".join(sentences(two))


def test_a_scenario_without_a_rate_or_a_promise_has_no_capacity() -> None:
    manifest, data = _searched()
    others = [{**s, "slo": None} if n == 0 else
              {**s, "load": {**s["load"], "arrivals": {"kind": "asap", "numbers": {}}}}
              for n, s in enumerate(manifest.scenarios)]  # fmt: skip
    assert not list(capacities(msgspec.structs.replace(manifest, scenarios=tuple(others)), data))


def test_a_run_that_was_no_search_tells_only_what_it_shows() -> None:
    manifest, data = _searched()
    plain = msgspec.structs.replace(manifest, command=("run",))
    assert any("a sustains 50 tasks/s" in line for line in of_run(plain, data))
    data.audit["ok"] = False
    assert not list(of_run(plain, data))
    assert any("Nothing is known of a" in line for line in of_run(manifest, data))


def test_capacities_are_told_in_sentences() -> None:
    (found,) = capacities(*_searched())
    words = " ".join(sentences(found))
    for part in ("a sustains 50 tasks/s, and not 80", "p99 at most 0.25 s",
                 "it gets through 60 tasks/s", "In a burst of 40 tasks/s for 1 s"):  # fmt: skip
        assert part in words


def test_the_page_has_machine_date_versions_and_capacities(tmp_path: Path) -> None:
    manifest, data = _searched()
    directory = tmp_path / "run"
    directory.mkdir()
    manifest.write(directory)
    data.write(directory / "dataset")
    text = page([directory])
    for part in ("## Stress: the search for its capacity\n", "Measured 2026-11-22",
                 "`taskscope capacity --quick`", "Some CPU, 2 cores", "python 3.12",
                 "a sustains 50 tasks/s", "all 6 cells are exact"):  # fmt: skip
        assert part in text, part
    with pytest.raises(UsageError, match="does not exist"):
        page([tmp_path / "none"])


def test_the_page_has_the_classes_of_tasks_apart(tmp_path: Path) -> None:
    manifest, data = _searched()
    rows = [
        {**dict.fromkeys(COLUMNS, ""), "scenario": "stress-rate-50", "variant": "a",
         "repetition": 1, "task": task, "metric": "end_to_end_p99", "value": value, "lower": None,
         "upper": None, "source": "promql"}
        for task, value in (("short", 0.5), ("long", 2.0))
    ]  # fmt: skip
    tmp_path.joinpath("run").mkdir()
    msgspec.structs.replace(manifest, command=("run",)).write(tmp_path / "run")
    replace(data, classes=classes(rows)).write(tmp_path / "run" / "dataset")
    text = page([tmp_path / "run"])
    assert "### Stress: rate 50: by class of task" in text
    assert "| short | end to end p99 | 500 ms |" in text
    assert "| long | end to end p99 | 2 s |" in text
    assert text.count("by class of task\n") == 1  # the other points have but one class
