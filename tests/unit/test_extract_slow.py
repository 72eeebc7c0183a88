"""Every cause is named where it is the cause, with its numbers, and not just below its bound."""

import json
from typing import Any

import pytest
from frames import MS, attempt, calm, frame

from extract import causes, surroundings
from extract.causes import Cell
from extract.intervals import Intervals
from extract.slow import Slow, choose, explain, slowest


def asked(task_id: str, rows: list[dict[str, Any]], samples: Any = None) -> Slow:
    tasks = frame(rows)
    (slow,) = explain(tasks, choose(tasks, 1, task_id=task_id), samples)
    return slow


def burst(count: int, each: float = 50.0) -> list[dict[str, Any]]:
    """All sent at once, and executed one by one by a worker that takes one at a time."""
    return [
        attempt(f"b{n}", 0.001 * n, 1 + n * each, 2 + n * each, n * each + each)
        for n in range(count)
    ]


def test_behind_a_backlog() -> None:
    slow = asked("b19", burst(20))
    assert slow.cause.kind == "behind a backlog"
    assert slow.queue_depth == 19
    evidence = " ".join(slow.cause.evidence)
    assert "Waiting in the broker took 951 ms of 1 s (95%)." in evidence
    assert "19 tasks lay in its queue" in evidence
    assert "They received 19 others meanwhile" in evidence
    assert slow.second is None


def test_the_first_of_a_burst_is_behind_nothing() -> None:
    assert asked("b0", burst(20)).queue_depth == 0
    assert asked("b0", burst(20)).cause.kind == "nothing unusual"


def test_full_workers_are_a_backlog_even_of_an_empty_queue() -> None:
    rows = [*calm(20), attempt("long", 5000, 5001, 5002, 5900)]
    slow = asked("x", [*rows, attempt("x", 5010, 5901, 5902, 5912)])
    assert (slow.queue_depth, slow.cause.kind) == (0, "behind a backlog")
    assert "its workers executed 0.999 of 1 at once" in " ".join(slow.cause.evidence)
    at_ease = [*calm(20, every=20), *calm(2, first=900, every=0)]  # two at once, elsewhen
    slow = asked("y", [*at_ease, attempt("y", 101, 250, 252, 262)])
    assert (slow.queue_depth, slow.cause.kind) == (0, "not explained")


def test_other_queues_and_cells_are_no_backlog() -> None:
    others = [row | {"queue": "another"} for row in burst(20)]
    rows = [*others, attempt("x", 1, 900, 901, 950)]
    assert asked("x", rows).queue_depth == 0
    elsewhere = [row | {"repetition": 2} for row in burst(20)]
    assert asked("x", [*elsewhere, attempt("x", 1, 900, 901, 950)]).queue_depth == 0


def prefetched(long: float, others: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """A long task at 5 s, and one received behind it by the same process."""
    return [
        *calm(20),
        attempt("long", 5000, 5001, 5002, 5002 + long),
        attempt("x", 5010, 5011, 5003 + long, 5013 + long),
        *(others or []),
    ]


def test_stuck_behind_a_prefetched_long_task() -> None:
    slow = asked("x", prefetched(800))
    assert slow.cause.kind == "stuck behind a prefetched long task"
    assert "job long (800 ms)" in " ".join(slow.cause.evidence)
    assert slow.executing.count == 1
    assert slow.executing.longest[0].task_id == "long"


def test_what_is_not_long_is_a_backlog_in_hand() -> None:
    rows = [*calm(20), *(attempt(f"h{n}", 5000, 5001, 5002 + 15 * n, 5012 + 15 * n)
                         for n in range(20))]  # fmt: skip
    slow = asked("h19", rows)
    assert slow.cause.kind == "behind a backlog"
    assert "in its worker's hands" in slow.cause.evidence[0]
    assert slow.held.count == 19


def test_a_long_task_in_one_of_many_slots_holds_nobody() -> None:
    """An event loop executes ten at once: one of them may be long."""
    busy = [attempt(f"s{n}", 4900, 4901, 4999, 5804 + 100 * n) for n in range(9)]
    assert asked("x", prefetched(800, busy)).cause.kind == "stuck behind a prefetched long task"
    quick = [attempt(f"s{n}-{i}", 4900, 4901, 5003 + i * 20, 5022 + i * 20)
             for n in range(9) for i in range(40)]  # fmt: skip
    assert asked("x", prefetched(800, quick)).cause.kind == "behind a backlog"


def test_slow_itself() -> None:
    rows = [*calm(20), attempt("x", 5000, 5001, 5002, 5402)]
    slow = asked("x", rows)
    assert slow.cause.kind == "slow itself"
    assert "40 times the median of 21 of the same task, 10 ms" in " ".join(slow.cause.evidence)


@pytest.mark.parametrize(("execution", "kind"), [(30.0, "slow itself"), (29.9, "not explained")])
def test_three_times_the_median_is_long(execution: float, kind: str) -> None:
    assert asked("x", [*calm(20), attempt("x", 5000, 5001, 5002, 5002 + execution)]).cause.kind \
        == kind  # fmt: skip


def test_a_rare_task_is_compared_with_its_whole_cell() -> None:
    rows = [*calm(20), attempt("x", 5000, 5001, 5002, 5402, task="report")]
    slow = asked("x", rows)
    assert slow.cause.kind == "slow itself"
    assert "the median of all 21 in its cell" in " ".join(slow.cause.evidence)


def test_a_task_that_always_takes_long_is_usual() -> None:
    reports = calm(6, first=5000, every=1000, execution=400, task="report")
    slow = asked(reports[3]["task_id"], [*calm(20), *reports])
    assert slow.cause.kind == "nothing unusual"
    assert "as is usual here" in " ".join(slow.cause.evidence)


def test_too_few_to_compare_with() -> None:
    slow = asked("x", [attempt("x", 0, 1, 2, 400)])
    assert slow.cause.kind == "slow itself"
    assert "too few others" in " ".join(slow.cause.evidence)


def paused(length: float, slots: int = 2) -> list[dict[str, Any]]:
    """Nothing happens from 5 s on for `length`; meanwhile tasks go on being sent."""
    both = [attempt(f"pair{n}", 10 * n, 10 * n + 1, 3, 23) for n in range(slots)]
    end = 5000 + length
    return [
        *both, *calm(20, first=3000),
        attempt("last", 4980, 4981, 4982, 5000),
        *(attempt(f"p{n}", 5005 + n, end + n, end + n + 1, end + n + 3) for n in range(4)),
    ]  # fmt: skip


def test_a_worker_that_stood_still_before_waiting_tasks() -> None:
    slow = asked("p0", paused(1000))
    assert slow.cause.kind == "worker paused or starved"
    evidence = " ".join(slow.cause.evidence)
    assert "stood still for 995 ms of its broker wait" in evidence
    assert "executing 0 of 2 at once, with 0 in hand and 4 in its queue" in evidence


def test_what_a_pause_explains_no_backlog_does() -> None:
    rows = [*paused(1000), *(attempt(f"q{n}", 5100 + n, 6010 + n * 30, 6011 + n * 30, 6040 + n * 30)
                             for n in range(20))]  # fmt: skip
    slow = asked("q19", rows)
    assert slow.second is not None
    assert (slow.cause.kind, slow.second.kind) == ("worker paused or starved", "behind a backlog")
    wait = slow.life.of("broker_wait").ns
    assert slow.cause.explains_ns + slow.second.explains_ns == wait


def test_a_worker_stands_still_only_from_when_it_has_something_to_do() -> None:
    pair = [attempt(f"pair{n}", 10, 11, 3, 23) for n in range(2)]
    rows = [*pair, *calm(20), attempt("x", 5000, 5001, 5002, 7002)]
    slow = asked("x", [*rows, attempt("y", 6502, 7003, 7004, 7010)])
    assert slow.second is not None
    assert (slow.cause.kind, slow.second.kind) == ("slow itself", "worker paused or starved")
    assert slow.second.explains_ns == 500 * MS
    assert slow.cause.explains_ns == pytest.approx(1490 * MS, rel=0.01)


def test_a_short_silence_is_no_pause() -> None:
    assert asked("p0", paused(204)).cause.kind == "not explained"
    assert asked("p0", paused(206)).cause.kind == "worker paused or starved"


def test_a_worker_with_nothing_to_do_did_not_stand_still() -> None:
    rows = [*paused(1000)[:-4], attempt("x", 5900, 6001, 6001.5, 6002)]
    assert asked("x", rows).cause.kind != "worker paused or starved"


def test_frozen_while_executing() -> None:
    """Stopped with all its children: every execution lasts until it goes on."""
    frozen = [attempt(f"f{n}", 8000, 8001, 8002 + 50 * n, 9002 + n) for n in range(2)]
    slow = asked("f0", [*calm(20), *frozen])
    assert slow.cause.kind == "worker paused or starved"
    assert "2 tasks executed far longer than they do" in " ".join(slow.cause.evidence)


def test_long_tasks_side_by_side_are_no_pause_where_others_take_as_long() -> None:
    longs = [attempt(f"f{n}", 8000 + n, 8001 + n, 8002 + n, 9002 + n) for n in range(2)]
    slow = asked("f0", [*calm(20), *longs, attempt("another", 9500, 9501, 9502, 10500)])
    assert slow.cause.kind == "slow itself"
    slow = asked("f0", [*calm(20), *longs])
    assert slow.second is not None
    assert slow.second.kind == "slow itself"


def test_one_long_execution_alone_is_no_pause() -> None:
    rows = [*calm(20), *calm(20, first=11.0), attempt("x", 8000, 8001, 8002, 9002)]
    assert asked("x", rows).cause.kind == "slow itself"


class Sampled:
    def __init__(self, cores: float) -> None:
        self.cores = cores

    def worker_cpu_cores(self, _cell: Cell, start_ns: int, end_ns: int) -> float:
        assert start_ns < end_ns
        return self.cores

    def queue_depth(self, cell: Cell, queue: str, _at_ns: int) -> float:
        assert (cell, queue) == (Cell("s", "f", "v", 1), "q")
        return 17.0


@pytest.mark.parametrize(
    ("cores", "said"),
    [(0.1, "0.10 cores meanwhile: they were stopped"), (0.5, "0.50 cores meanwhile."),
     (0.9, "0.90 cores meanwhile: they were busy")],
)  # fmt: skip
def test_worker_cpu_is_evidence_where_it_was_sampled(cores: float, said: str) -> None:
    slow = asked("p0", paused(1000), Sampled(cores))
    assert said in " ".join(slow.cause.evidence)
    assert slow.worker_cpu_cores == cores
    assert "sampled a depth of 17" in " ".join(asked("b19", burst(20), Sampled(1)).cause.evidence)


def test_slow_to_acknowledge() -> None:
    rows = [row | {"acked_ns": row["completed_ns"] + MS} for row in calm(20)]
    slow = asked("x", [*rows, attempt("x", 5000, 5001, 5002, 5012, acked=5312)])
    assert slow.cause.kind == "slow to acknowledge"
    assert "The median of its cell is 1 ms" in " ".join(slow.cause.evidence)


@pytest.mark.parametrize("received", [5001.0, 5501.0])
def test_waited_on_purpose(received: float) -> None:
    """Received before it was due, or only then."""
    rows = [*calm(20), attempt("x", 5000, received, 5502, 5512, due=5500,
                                scheduled=5500)]  # fmt: skip
    slow = asked("x", rows)
    assert slow.cause.kind == "waited on purpose"
    assert "a delay of 500 ms" in slow.cause.evidence[0]
    assert sum(s.ns for s in slow.life.segments) == slow.life.ns == 512 * MS
    assert slow.life.backwards == ()


@pytest.mark.parametrize(("lag", "kind"), [(10.0, "generator late"), (9.9, "not explained")])
def test_generator_late(lag: float, kind: str) -> None:
    rows = [*calm(20, execution=1), attempt("x", 5000, 5001, 5002, 5003, scheduled=5000 - lag)]
    assert asked("x", rows).cause.kind == kind


def test_a_retry_is_slow_because_of_what_was_before() -> None:
    rows = [*calm(20), attempt("x", 5000, 5001, 5002, 5012, outcome="retry"),
            attempt("x", 5712, 5713, 5714, 5724, scheduled=5000, attempt=2)]  # fmt: skip
    tasks = frame(rows)
    first, second = explain(tasks, choose(tasks, 1, task_id="x"))
    assert (first.facts["attempt"], second.facts["attempt"]) == (1, 2)
    assert second.cause.kind == "retried"
    assert next(s.stage for s in second.life.segments) == "earlier_attempts"


def test_a_redelivery_is_told_from_a_backlog() -> None:
    rows = [*calm(20), attempt("x", 5000, 5001, 5002, 5012),
            attempt("x", 5000, 8000, 8001, 8011)]  # fmt: skip
    tasks = frame(rows)
    _, second = explain(tasks, choose(tasks, 1, task_id="x"))
    assert second.cause.kind == "delivered again"
    # The message lay in the queue once, until it was first received.
    late = [*rows, attempt("y", 6000, 6001, 6002, 6012)]
    assert asked("y", late).queue_depth == 0


def test_two_causes_are_both_named() -> None:
    rows = [*burst(20), attempt("x", 10, 1001, 1002, 1702)]
    slow = asked("x", rows)
    assert slow.cause.kind == "behind a backlog"
    assert slow.second is not None
    assert slow.second.kind == "slow itself"
    assert slow.cause.explains_ns > slow.second.explains_ns


def test_missing_instants_are_no_stages() -> None:
    slow = asked("x", [*calm(20), attempt("x", None, None, 5002, 5102)])
    assert [s.stage for s in slow.life.segments] == ["execution"]
    assert slow.queue_depth is None
    slow = asked("x", [*calm(20), attempt("x", 5000, None, 5500, 5510)])
    assert [s.stage for s in slow.life.segments] == ["wait", "execution"]
    assert slow.cause.kind == "worker paused or starved"


def test_clocks_that_disagree_are_named() -> None:
    slow = asked("x", [*calm(20), attempt("x", 5003, 5001, 5004, 5104)])
    assert slow.life.backwards == ("broker_wait",)
    assert slow.record()["clocks_disagree"] == ["broker_wait"]


def test_nothing_took_any_time() -> None:
    slow = asked("x", [*calm(20), attempt("x", None, None, 5000, 5000)])
    assert slow.life.ns == 0
    assert json.dumps(slow.record(), allow_nan=False)


def test_the_slowest_come_first_and_failed_ones_alone_on_request() -> None:
    rows = [*calm(5), attempt("bad", 900, 901, 902, 950, outcome="failure"),
            attempt("worst", 1000, 1001, 1002, 2000)]  # fmt: skip
    tasks = frame(rows)
    assert [tasks["task_id"][i] for i in choose(tasks, 2)] == ["worst", "bad"]
    assert [tasks["task_id"][i] for i in choose(tasks, 9, failed=True)] == ["bad"]
    assert choose(tasks, 9, task_id="none") == []
    assert choose(tasks.iloc[:0], 9) == []
    assert explain(tasks.iloc[:0], []) == []


def test_records_are_plain_json() -> None:
    found = slowest(frame(burst(20)), 3)
    assert [r["task_id"] for r in json.loads(json.dumps(found, allow_nan=False))] == [
        "b19", "b18", "b17"]  # fmt: skip
    (record, *_) = found
    assert sum(stage["share"] for stage in record["stages"]) == pytest.approx(1)
    assert record["stages"][0]["start_ms"] == 0
    assert record["end_to_end_ms"] == pytest.approx(record["total_ms"])


def test_each_index_is_built_once_however_many_are_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What costs time in a large run is sorting its attempts."""
    built: list[int] = []

    class Counted(Intervals):
        def __init__(self, *columns: Any) -> None:
            built.append(len(columns[0]))
            super().__init__(*columns)

    monkeypatch.setattr(surroundings, "Intervals", Counted)
    rows = [row | {"worker": f"host:1/{n % 3}"} for n, row in enumerate(burst(300))]
    explain(frame(rows), choose(frame(rows), 50))
    # Its queue, what the instance held and executed, and what each of three processes executed.
    assert sorted(built) == [100, 100, 100, 300, 300, 300]


def test_every_cause_has_a_remedy() -> None:
    assert all(remedy.endswith(".") for remedy in causes.REMEDIES.values())
