"""Scenarios whose answers theory knows: what waits, what computes, and what the mistakes cost."""

from pathlib import Path

import pytest
from pipeline import failed_checks, table, taskscope, values

from extract.capacity import backlog_over_time

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


COMPUTING = ("asynctasq-blocking", "celery-threads")


@pytest.fixture(scope="module")
def computing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = [word for name in COMPUTING for word in ("--variant", name)]
    return measured(
        tmp_path_factory.mktemp("computing"), "cpu-bound", *chosen, "--concurrency", 2,
        "--tasks", 120,
    )  # fmt: skip


@pytest.mark.parametrize("variant", COMPUTING)
def test_every_cell_that_computes_is_exact(computing: Path, variant: str) -> None:
    assert not failed_checks(computing, variant)


def test_what_blocks_the_event_loop_uses_one_core(computing: Path) -> None:
    assert values(computing, "asynctasq-blocking")["worker_cpu_cores"] < 1.15


def test_threads_use_one_core_but_for_what_lets_go_of_the_lock(computing: Path) -> None:
    """Which is a quarter of the computing: beside that, one thread at a time computes."""
    assert values(computing, "celery-threads")["worker_cpu_cores"] < 1.5
