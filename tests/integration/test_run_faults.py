"""What is known beforehand comes out; what goes wrong in a cell shows there and only there."""

import pytest
from pipeline import Finished, assert_nothing_left, failed_checks, manifest, table, values

from extract.slow import slowest
from instrumentation.buckets import bucket_around

pytestmark = pytest.mark.alone
UNTOUCHED = ("asynctasq", "celery")
RATE, COUNT, SLEEP_SECONDS = 40.0, 140, 0.05
NOISE_SECONDS = 0.02
#: The slowest two of 140 tell of the machine, which may stand still for a moment.
STALL_SECONDS = 0.5
TIMER_SECONDS = 0.001  # an event loop's timers may fire that much early
IDLE_POLL_SECONDS = 0.1  # how late an idle AsyncTasQ worker may notice the last task


def test_the_run_goes_on_to_its_end(faulty_run: Finished) -> None:
    assert faulty_run.code == 4, faulty_run.stderr
    run = manifest(faulty_run.directory)
    assert run["status"] == "complete"
    assert len(run["cells"]) == 5
    assert_nothing_left(faulty_run.session)


@pytest.mark.parametrize("variant", UNTOUCHED)
def test_cells_left_alone_are_valid(faulty_run: Finished, variant: str) -> None:
    assert not failed_checks(faulty_run.directory, variant)


@pytest.mark.parametrize("source", ["promql", "traces"])
@pytest.mark.parametrize("variant", UNTOUCHED)
def test_the_known_answer_comes_out(faulty_run: Finished, variant: str, source: str) -> None:
    found = values(faulty_run.directory, variant, source)
    lower, upper = bucket_around(SLEEP_SECONDS)
    bucket = upper - lower if source == "promql" else 0
    for quantile, noise in (("p50", NOISE_SECONDS), ("p99", STALL_SECONDS)):
        most = SLEEP_SECONDS + bucket + noise
        assert lower <= found[f"execution_{quantile}"] <= most
    assert SLEEP_SECONDS - TIMER_SECONDS <= found["execution_mean"] <= SLEEP_SECONDS + NOISE_SECONDS
    # From the first start to the last completion: 139 intervals and one sleep.
    seconds = (COUNT - 1) / RATE + SLEEP_SECONDS
    tolerance = (IDLE_POLL_SECONDS + NOISE_SECONDS) / seconds
    assert found["throughput"] == pytest.approx(COUNT / seconds, rel=tolerance)


@pytest.mark.parametrize("variant", UNTOUCHED)
def test_end_to_end_is_the_sum_of_its_stages(faulty_run: Finished, variant: str) -> None:
    tasks = table(faulty_run.directory, "tasks")
    mine = tasks[tasks["variant"] == variant]
    shortest = (mine["completed_ns"] - mine["started_ns"]).min() / 1e9
    assert shortest >= SLEEP_SECONDS - TIMER_SECONDS
    for source in ("promql", "traces"):
        found = values(faulty_run.directory, variant, source)
        stages = ("schedule_lag", "broker_wait", "prefetch_wait", "execution")
        total = sum(found[f"{stage}_mean"] for stage in stages)
        assert found["end_to_end_mean"] == pytest.approx(total, abs=1e-6)
        assert found["schedule_lag_count"] == COUNT


@pytest.mark.parametrize("variant", UNTOUCHED)
def test_tasks_were_due_as_scheduled(faulty_run: Finished, variant: str) -> None:
    tasks = table(faulty_run.directory, "tasks")
    due = tasks[tasks["variant"] == variant]["scheduled_ns"].sort_values()
    assert set(due.diff().dropna()) == {int(1e9 / RATE)}


@pytest.mark.parametrize("source", ["promql", "traces"])
def test_a_pause_of_the_worker_is_not_hidden(faulty_run: Finished, source: str) -> None:
    found = values(faulty_run.directory, "asynctasq-paused", source)
    assert found["end_to_end_p99"] >= 1.85
    assert found["end_to_end_p999"] >= 1.9
    assert found["schedule_lag_p99"] < 0.5  # the generator went on sending meanwhile
    assert found["execution_p50"] < 1
    assert found["tasks_completed"] == COUNT
    # The scrapes that the pause cost are the only doubt about it.
    assert set(failed_checks(faulty_run.directory, "asynctasq-paused")) <= {"no scrape gap"}


def test_a_killed_worker_makes_its_cell_invalid(faulty_run: Finished) -> None:
    failed = failed_checks(faulty_run.directory, "celery-killed")
    assert set(failed) == {"cell ran to its end"}
    assert "worker was killed by SIGKILL" in failed["cell ran to its end"]
    assert "worker was killed by SIGKILL" in faulty_run.stderr
    results = table(faulty_run.directory, "results")
    assert "celery-killed" not in set(results["variant"])


def test_a_worker_that_refuses_to_start_shows_its_last_words(faulty_run: Finished) -> None:
    failed = failed_checks(faulty_run.directory, "celery-refused")
    assert "swimming" in failed["cell ran to its end"]
    assert "swimming" in faulty_run.stderr
    log = "faults-celery-refused-1-worker.log"
    assert "swimming" in (faulty_run.directory / "logs" / log).read_text()


def test_the_pause_is_why_its_slowest_tasks_were_slow(faulty_run: Finished) -> None:
    tasks = table(faulty_run.directory, "tasks")
    mine = tasks[tasks["variant"] == "asynctasq-paused"].reset_index(drop=True)
    assert {record["cause"]["kind"] for record in slowest(mine, 10)} == {"worker paused or starved"}
