"""Celery tasks that never run, or are stopped: each is recorded once, and says how it ended."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from real_redis import RedisServer, running_redis
from senders import CelerySender, instrumented_sender
from workers import (
    CONSUMER,
    DEADLINE_SECONDS,
    ERROR,
    Scrape,
    Span,
    Worker,
    eventually,
    read_spans,
    running_worker,
)

STARTED = "taskqueue_tasks_started_total"
ENDED = "taskqueue_execution_seconds_count"
END_TO_END = "taskqueue_end_to_end_seconds_count"
ACK = {"early": {}, "late": {"SAMPLE_LATE": "1"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module", params=list(ACK))
def worker(
    request: pytest.FixtureRequest, server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """One child, which takes one more task than it runs."""
    options = ("--pool", "prefork", "--concurrency", "1", "--prefetch-multiplier", "2")
    directory = tmp_path_factory.mktemp(request.param)
    with running_worker(
        directory, server.url, "celery", *options, environ=ACK[request.param]
    ) as worker:
        yield worker


@pytest.fixture
def sender(server: RedisServer, tmp_path: Path) -> Iterator[CelerySender]:
    with instrumented_sender("celery", server.url, tmp_path / "sent") as sender:
        assert isinstance(sender, CelerySender)
        yield sender


class Gate:
    """Holds a task that runs `pass_gate` until it is opened."""

    def __init__(self, server: RedisServer, name: str) -> None:
        self.name = name
        self.client: redis.Redis[str] = redis.Redis.from_url(
            f"{server.url}/3", decode_responses=True
        )
        self.client.delete(name, f"{name}:open", f"{name}:running")

    def wait_running(self) -> None:
        eventually(lambda: self.client.get(f"{self.name}:running") == "1", "the gated task runs")

    def open(self) -> None:
        self.client.set(f"{self.name}:open", 1)


@pytest.fixture
def gate(server: RedisServer) -> Gate:
    return Gate(server, "gate")


def revoke(app: Celery, task_id: str, **options: Any) -> None:
    """Revoke, and wait until the worker says that it knows."""
    eventually(
        lambda: app.control.revoke(task_id, reply=True, timeout=2, limit=1, **options),
        "the worker answers",
    )


def gained(before: Scrape, after: Scrape, name: str, **labels: str) -> float:
    return after.total(name, **labels) - before.total(name, **labels)


def assert_once(worker: Worker, *task_ids: str) -> None:
    worker.scrape()
    worker.scrape()
    spans = [s.task_id for s in read_spans(worker.traces) if s.kind == CONSUMER]
    assert [spans.count(task_id) for task_id in task_ids] == [1] * len(task_ids)


def test_what_is_revoked_or_expires_before_it_starts(
    sender: CelerySender, worker: Worker, gate: Gate
) -> None:
    before = worker.scrape()
    running = sender.send("gated", gate.name)
    gate.wait_running()
    waiting = sender.send("where")
    eventually(lambda: redis.Redis.from_url(f"{sender.url}/1").llen("shop") == 0, "it is received")
    late = sender.send("where", expires=0)
    revoke(sender.app, waiting)
    revoke(sender.app, known := "known before it is sent")
    sender.send("where", task_id=known)
    gate.open()
    good = sender.send("ok")
    spans = {s.task_id: s for s in worker.attempts([running, waiting, late, known, good], 5)}
    after = worker.scrape()

    for task_id, outcome in ((waiting, "revoked"), (known, "revoked"), (late, "expired")):
        span = spans[task_id]
        assert span.facts["taskqueue.outcome"] == outcome
        assert span.start_ns == span.end_ns, "it never ran"
        assert span.at("sent") <= span.at("received") <= span.end_ns
        assert not span.error
        assert span.parent_id, "it is part of its sender's trace"
        assert not gate.client.exists(f"where:{task_id}")
    assert spans[waiting].at("received") < spans[running].end_ns
    for outcome, count in {"revoked": 2, "expired": 1}.items():
        assert gained(before, after, END_TO_END, task="where", outcome=outcome) == count
        assert gained(before, after, ENDED, task="where", outcome=outcome) == 0
    assert gained(before, after, STARTED, task="where") == 0
    assert gained(before, after, STARTED) == gained(before, after, ENDED) == 2
    assert_once(worker, *spans)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_what_is_terminated_while_it_runs_is_recorded_once(
    name: str, sender: CelerySender, worker: Worker, gate: Gate
) -> None:
    before = worker.scrape()
    running = sender.send("gated", gate.name)
    gate.wait_running()
    revoke(sender.app, running, terminate=True, signal=name)
    good = sender.send("ok")
    spans = {s.task_id: s for s in worker.attempts([running, good], 2)}
    after = worker.scrape()
    stopped = spans[running]
    assert stopped.facts["taskqueue.outcome"] == "revoked"
    assert stopped.error["exception.type"] == "Terminated"
    assert stopped.facts["process.pid"] not in {
        worker.process.pid,
        spans[good].facts["process.pid"],
    }
    assert stopped.at("received") <= stopped.start_ns < stopped.end_ns
    assert gained(before, after, STARTED, task="gated") == 1
    assert gained(before, after, ENDED, task="gated", outcome="revoked") == 1
    assert gained(before, after, END_TO_END, task="gated") == 1
    assert_once(worker, running, good)


def test_a_greenlet_that_is_terminated_was_revoked(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    gate, options = Gate(redis_server, "gate"), ("--pool", "gevent", "--concurrency", "10")
    with (
        instrumented_sender("celery", redis_server.url, tmp_path / "sent") as sender,
        running_worker(tmp_path, redis_server.url, "celery", *options) as worker,
    ):
        assert isinstance(sender, CelerySender)
        running = sender.send("gated", gate.name)
        gate.wait_running()
        revoke(sender.app, running, terminate=True)
        good = sender.send("ok")
        spans = {s.task_id: s for s in worker.attempts([running, good], 2)}
        assert spans[running].facts["taskqueue.outcome"] == "revoked"
        assert spans[running].start_ns < spans[running].end_ns
        assert worker.scrape().total(ENDED, outcome="revoked") == 1
        assert_once(worker, running, good)


def _active(broker_url: str) -> bool:
    """Whether the worker's main process has heard from its child that a task began."""
    with Celery(broker=broker_url, set_as_current=False) as app:
        replies = app.control.inspect(timeout=1).active() or {}
    return any(replies.values())


@pytest.mark.parametrize(("ack", "outcome"), [("late", "retry"), ("early", "failure")])
def test_what_a_cold_shutdown_stops_runs_again_only_if_it_is_not_acknowledged(
    ack: str, outcome: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    gate, url, options = Gate(redis_server, "gate"), redis_server.url, ("--concurrency", "1")
    with (
        instrumented_sender("celery", url, tmp_path / "sent") as sender,
        running_worker(tmp_path, url, "celery", *options, environ=ACK[ack]) as worker,
    ):
        running = sender.send("gated", gate.name)
        gate.wait_running()
        eventually(lambda: _active(f"{url}/1"), "the worker knows that it runs")
        worker.process.send_signal(signal.SIGQUIT)
        worker.process.wait(DEADLINE_SECONDS)
        (stopped,) = [s for s in read_spans(worker.traces) if s.kind == CONSUMER]
    assert stopped.task_id == running
    assert stopped.facts["taskqueue.outcome"] == outcome
    with redis.Redis.from_url(f"{url}/1") as broker:
        assert broker.llen("shop") == (1 if outcome == "retry" else 0)


def test_time_limits(sender: CelerySender, worker: Worker) -> None:
    before = worker.scrape()
    soft, hard, good = (sender.send(task) for task in ("soft_limit", "hard_limit", "ok"))
    spans = {s.task_id: s for s in worker.attempts([soft, hard, good], 3)}
    after = worker.scrape()
    for task_id, error in ((soft, "SoftTimeLimitExceeded"), (hard, "TimeLimitExceeded")):
        span = spans[task_id]
        assert (span.facts["taskqueue.outcome"], span.status) == ("failure", ERROR)
        assert span.error["exception.type"] == error
        assert 0.9e9 < span.end_ns - span.start_ns < 20e9
    assert spans[hard].start_ns < spans[good].start_ns
    assert gained(before, after, STARTED) == gained(before, after, ENDED) == 3
    assert_once(worker, soft, hard, good)


def test_errbacks_belong_to_what_exceeded_its_time(sender: CelerySender, worker: Worker) -> None:
    errback = sender.app.signature("pid_of_child", queue="shop")
    (stopped,) = worker.attempts([sender.send("hard_limit", link_error=errback)], 1)

    def ran() -> list[Span]:
        worker.attempts([sender.send("ok")], 1)  # whatever came before has run by then
        return [s for s in read_spans(worker.traces) if s.name == "process pid_of_child"]

    found = eventually(ran, "it ran")  # twice, with Celery 5.7
    senders = {s.span_id: s for s in read_spans(worker.traces)}
    assert {span.trace_id for span in found} == {stopped.trace_id}
    assert {senders[span.parent_id].parent_id for span in found} == {stopped.span_id}


def test_what_nobody_can_run_does_not_go_missing(sender: CelerySender, worker: Worker) -> None:
    before = worker.scrape()
    unknown = sender.send("no.such.task")
    rejected = sender.send("turned_down")
    broken = "not to be decoded"
    with redis.Redis.from_url(f"{sender.url}/1") as broker:
        sender.send("ok", task_id=broken, queue="aside")
        message = json.loads(broker.rpop("aside"))
        message["body"] = "bm90IEpTT04="
        message["properties"]["delivery_info"]["routing_key"] = "shop"
        broker.lpush("shop", json.dumps(message))
    good = sender.send("ok")
    spans = {s.task_id: s for s in worker.attempts([unknown, rejected, broken, good], 4)}
    after = worker.scrape()
    for task_id, task, error in (
        (unknown, "no.such.task", "NotRegistered"),
        (rejected, "turned_down", "Reject"),
        (broken, "ok", "DecodeError"),
    ):
        span = spans[task_id]
        assert (span.name, span.facts["taskqueue.outcome"]) == (f"process {task}", "failure")
        assert span.error["exception.type"] == error
        assert span.facts["messaging.destination.name"] == "shop"
        assert span.parent_id
        assert span.at("sent") <= span.at("received") <= span.end_ns
        assert gained(before, after, END_TO_END, task=task, outcome="failure") == 1
    assert gained(before, after, STARTED) == 2, "the rejected one ran, and the good one"
    assert_once(worker, *spans)


def test_names_that_strangers_choose_are_few(server: RedisServer, worker: Worker) -> None:
    with Celery(broker=f"{server.url}/1", set_as_current=False) as app:
        ids = [app.send_task(f"stranger {n}", queue="shop").id for n in range(130)]
    worker.attempts(ids, 130)
    names = {s.labels.get("task", "") for s in worker.scrape().samples}
    assert "unknown" in names
    assert len([name for name in names if name.startswith("stranger")]) <= 100


def test_a_task_that_exits_runs_again_where_celery_takes_its_worker_for_lost(
    sender: CelerySender, worker: Worker
) -> None:
    late = "late" in worker.directory.name
    task_id = sender.send("exits_once", f"exits, {worker.directory.name}")
    found = worker.attempts([task_id], 2 if late else 1)
    outcomes = [span.facts["taskqueue.outcome"] for span in found]
    assert outcomes == (["retry", "success"] if late else ["failure"])
