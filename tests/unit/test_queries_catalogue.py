"""Every query says what it is, and renders."""

from pathlib import Path

import pytest

import queries
from queries import Query, Timeline
from queries.rules import Alert, alerts
from queries.watching import Live, live, searches

VALUES = {"cell": 'variant="v"', "start": "1.000", "end": "2.000", "window": "1000ms",
          "seconds": "1.000"}  # fmt: skip
CATALOGUE = queries.catalogue()
STAGES = ("schedule_lag", "publish_duration", "delay", "broker_wait", "prefetch_wait", "execution",
          "ack", "end_to_end")  # fmt: skip


@pytest.mark.parametrize("query", CATALOGUE.values(), ids=lambda q: q.name)
def test_it_says_what_it_is_and_renders(query: Query) -> None:
    assert query.unit
    assert query.better in {"higher", "lower", "neither"}
    assert query.meaning.endswith(".")
    rendered = query.render(**VALUES)
    assert "$" not in rendered
    assert "$" not in query.name + query.meaning
    assert rendered.count("(") == rendered.count(")")
    assert 'variant="v"' in rendered
    assert "@ 2.000" in rendered  # without it, the time of asking would matter


@pytest.mark.parametrize("query", CATALOGUE.values(), ids=lambda q: q.name)
def test_results_are_not_extrapolated(query: Query) -> None:
    assert not any(f"{f}(" in query.text for f in ("rate", "irate", "increase", "delta"))


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        CATALOGUE["throughput"].render(cell="", start="1", end="2")


def test_all_that_is_asked_for_is_there() -> None:
    wanted = {"throughput", "enqueue_rate", "tasks_failed", "tasks_retried", "queue_depth_max",
              "queue_depth_mean", "queue_depth_end", "worker_cpu_cores", "worker_cpu_per_1000",
              "worker_memory_peak", "worker_memory_mean", "broker_cpu_per_1000",
              "broker_commands_per_task"}  # fmt: skip
    for stage in STAGES:
        wanted |= {f"{stage}_{q}" for q in ("p50", "p90", "p95", "p99", "p999", "mean", "count")}
    assert wanted <= set(CATALOGUE)


@pytest.mark.parametrize("timeline", queries.timelines().values(), ids=lambda t: t.name)
def test_what_is_followed_over_time_says_what_it_is_and_renders(timeline: Timeline) -> None:
    assert timeline.unit
    assert timeline.kind in {"gauge", "counter"}
    assert timeline.meaning.endswith(".")
    rendered = timeline.render(**VALUES)
    assert "$" not in rendered
    assert 'variant="v"' in rendered
    assert rendered.strip().endswith("[1000ms] @ 2.000")  # raw samples, and not a series of steps


def test_every_file_is_read() -> None:
    files = {path.stem for path in Path(queries.__file__).parent.glob("*.promql")}
    families = {"stage_quantile", "stage_mean", "stage_count"}
    assert files - families == {name for name in CATALOGUE if not name.startswith(STAGES)}


@pytest.mark.parametrize("query", [*live().values(), *searches().values()], ids=lambda q: q.name)
def test_what_is_watched_says_what_it_is_and_renders(query: Live) -> None:
    assert query.unit
    assert query.meaning.endswith(".")
    rendered = query.render(cell="CELL", first="CELL", second="CELL", window="5s", range="15m",
                            bound="1s")  # fmt: skip
    assert "$" not in rendered.replace("CELL", "") + query.name + query.meaning
    assert "CELL" in rendered or query.name == "sessions"


@pytest.mark.parametrize("alert", alerts(), ids=lambda a: a.name)
def test_an_alert_says_what_is_wrong_and_what_to_do(alert: Alert) -> None:
    assert alert.severity in {"warning", "critical"}
    assert alert.summary.endswith((".", " %."))
    assert alert.remedy.endswith((".", "?"))
    assert "$by" not in alert.text
