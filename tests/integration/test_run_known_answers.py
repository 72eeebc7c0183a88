"""Scenarios whose answers theory knows: what waits, what computes, and what the mistakes cost."""

from pathlib import Path

import pytest
from pipeline import failed_checks, table, taskscope, values

from extract.capacity import backlog_over_time
from taskscope.quota import usable_cores

pytestmark = pytest.mark.alone


def measured(place: Path, *words: object) -> Path:
    """Run a scenario's quick form; it is to be exact."""
    done = taskscope("run", *words, "--quick", "--out", place / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "run"


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured(
        tmp_path_factory.mktemp("waiting"), "io-bound", "--variant", "asynctasq", "--variant",
        "celery-threads", "--concurrency", 10, "--workers", 1,
    )  # fmt: skip


@pytest.mark.parametrize("variant", ["asynctasq", "celery-threads"])
def test_ten_places_that_wait_100_ms_make_100_tasks_a_second(waiting: Path, variant: str) -> None:
    """At most, whatever the machine; and all ten places are used."""
    assert not failed_checks(waiting, variant)
    assert values(waiting, variant)["throughput"] < 101
    tasks = table(waiting, "tasks").query(f"variant == '{variant}'")
    began, ended = (tasks[name].to_numpy("float64") for name in ("started_ns", "completed_ns"))
    _, under_way = backlog_over_time(began, ended)
    assert under_way.max() == 10


COMPUTING = ("asynctasq-blocking", "celery-prefork", "celery-threads")


@pytest.fixture(scope="module")
def computing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = [word for name in COMPUTING for word in ("--variant", name)]
    return measured(
        tmp_path_factory.mktemp("computing"), "cpu-bound", *chosen, "--concurrency", 2,
        "--tasks", 120,
    )  # fmt: skip


def test_every_cell_that_computes_is_exact(computing: Path) -> None:
    for variant in COMPUTING:
        assert not failed_checks(computing, variant)


def test_what_blocks_the_event_loop_uses_one_core(computing: Path) -> None:
    assert values(computing, "asynctasq-blocking")["worker_cpu_cores"] < 1.15


@pytest.mark.skipif(usable_cores() < 2, reason="one core shows no difference")
def test_in_threads_what_holds_the_interpreter_lock_waits_for_it(computing: Path) -> None:
    classes = table(computing, "classes").query("task == 'factorial' and source == 'traces'")
    took = classes.query("metric == 'execution_mean'").set_index("variant")["value"]
    assert took["celery-threads"] > 1.1 * took["celery-prefork"]
