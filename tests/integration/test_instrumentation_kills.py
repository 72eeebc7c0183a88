"""Hundreds of pool children are killed under load, and no attempt's record is lost or doubled."""

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import redis
from real_redis import RedisServer
from senders import Sender, instrumented_sender
from workers import CONSUMER, Worker, eventually, read_spans, running_worker

KILLS = 200
STARTED, ENDED = "taskqueue_tasks_started_total", "taskqueue_execution_seconds_count"
LONGEST_TASK_SECONDS = 0.012
BATCH = 100
OPTIONS = ("--pool", "prefork", "--concurrency", "4")
#: Celery stores each result, so that it can be asked afterwards what it made of each task.
ENVIRON = {"SAMPLE_LATE": "1", "SAMPLE_RESULTS": "1"}
OUTCOMES = {"SUCCESS": "success", "FAILURE": "failure"}


def test_each_attempt_is_recorded_once_as_it_ended(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    url, book = redis_server.url, tmp_path / "book"
    with (
        instrumented_sender("celery", url, tmp_path / "sent") as sender,
        running_worker(tmp_path, url, "celery", *OPTIONS, environ=ENVIRON) as worker,
    ):
        ids = kill_under_load(sender, worker, book)
        states = eventually(lambda: final_states(url, ids), "Celery is done with every task")
        eventually(lambda: total(worker, STARTED) == total(worker, ENDED), "all is settled")
        scrape = worker.scrape()
        assert worker.stop() == 0
    spans = [span for span in read_spans(worker.traces) if span.kind == CONSUMER]
    lines = [line.split() for line in book.read_text().splitlines()]

    # Every attempt that began has its record, once; what else there is was killed before it began.
    began = Counter((int(pid), task_id) for word, pid, task_id in lines if word == "in")
    recorded = Counter((span.facts["process.pid"], span.task_id) for span in spans)
    assert began <= recorded
    by_attempt = {(span.facts["process.pid"], span.task_id): span for span in spans}
    assert all(count == 1 for count in recorded.values())
    surplus = recorded - began
    assert {by_attempt[key].facts["taskqueue.outcome"] for key in surplus} <= {"failure", "retry"}

    # Of each task the last attempt ended as Celery says that the task did.
    last = {span.task_id: span for span in sorted(spans, key=lambda span: span.start_ns)}
    assert {task_id: span.facts["taskqueue.outcome"] for task_id, span in last.items()} == {
        task_id: OUTCOMES[state] for task_id, state in states.items()
    }
    # A success is one that ran to its end, or found that an attempt before it had: one that was
    # killed with its success stored, and not yet acknowledged.
    ended = {(int(pid), task_id) for word, pid, task_id in lines if word == "out"}
    well = {key for key, span in by_attempt.items() if span.facts["taskqueue.outcome"] == "success"}
    assert {task_id for _, task_id in well - ended} <= {task_id for _, task_id in ended}

    outcomes = Counter(span.facts["taskqueue.outcome"] for span in spans)
    assert outcomes["failure"] > KILLS / 10, "the kills did hit tasks"
    for outcome, count in outcomes.items():
        assert scrape.total(ENDED, outcome=outcome) == count
    assert scrape.total(STARTED) == len(spans)
    # A record is cut where the kill comes between two pages of it: seldom, and counted.
    assert scrape.total("taskqueue_records_dropped_total") <= 2


def total(worker: Worker, name: str) -> float:
    return worker.scrape().total(name)


def kill_under_load(sender: Sender, worker: Worker, book: Path) -> list[str]:
    """Kill one child after the other while it runs a task, or shortly after it ran one."""
    ids: list[str] = []
    killed: set[int] = set()

    def at_work() -> int:
        """Return the child that wrote last, if it is one that still lives."""
        assert worker.process.poll() is None, worker.log()[-4000:]
        last = book.read_text().split("\n")[-2:-1] if book.exists() else []
        pid = int(last[0].split()[1]) if last else 0
        return 0 if pid in killed else pid

    with redis.Redis.from_url(f"{sender.url}/1") as broker:
        while len(killed) < KILLS:
            if broker.llen("shop") < BATCH:
                ids += [sender.send("signs", str(book), ignore_result=False) for _ in range(BATCH)]
            pid = eventually(at_work, "a child at work")
            time.sleep(random.uniform(0, LONGEST_TASK_SECONDS))  # noqa: S311 - any moment
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    return ids


def final_states(url: str, ids: list[str]) -> dict[str, str] | None:
    """Return what Celery made of each task, once it has for all."""
    with redis.Redis.from_url(f"{url}/2") as results:
        stored = results.mget([f"celery-task-meta-{task_id}" for task_id in ids])
    states = {i: json.loads(meta)["status"] for i, meta in zip(ids, stored, strict=True) if meta}
    return states if len(states) == len(ids) and set(states.values()) <= OUTCOMES.keys() else None
