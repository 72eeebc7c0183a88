"""Celery under instrumentation: real Redis, real workers of every pool, counted twice."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from real_redis import RedisServer, running_redis
from sample_celery import PROBLEM
from senders import Sender, instrumented_sender, uninstrumented_sender
from workers import (
    CONSUMER,
    ERROR,
    INTERNAL,
    PRODUCER,
    Span,
    Worker,
    eventually,
    read_spans,
    running_worker,
)

from instrumentation.propagation import scheduled_at

PREFORK = ("--pool", "prefork", "--concurrency", "2")
# As many children as tasks: Celery itself may take five seconds to notice that one has ended.
ONE_CHILD_A_TASK = ("--pool", "prefork", "--concurrency", "10", "--max-tasks-per-child", "1")
STARTED = "taskqueue_tasks_started_total"
ENDED = "taskqueue_execution_seconds_count"
DROPPED = ("taskqueue_records_dropped_total", "taskqueue_spans_dropped_total")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def sender(server: RedisServer, tmp_path: Path) -> Iterator[Sender]:
    with instrumented_sender("celery", server.url, tmp_path / "sent") as sender:
        yield sender


@pytest.fixture(scope="module")
def prefork(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """Two children, acknowledging early: Celery's defaults."""
    directory = tmp_path_factory.mktemp("prefork")
    with running_worker(directory, server.url, "celery", *PREFORK) as worker:
        yield worker


def gate(server: RedisServer, name: str) -> "redis.Redis[Any]":
    client = redis.Redis.from_url(f"{server.url}/3", decode_responses=True)
    client.delete(name, f"{name}:open", f"{name}:running")
    return client


def sent_spans(sender: Sender, tmp_path: Path) -> list[Span]:
    sender.flush()
    return [span for span in read_spans(tmp_path / "sent") if span.kind == PRODUCER]


@pytest.mark.parametrize(
    ("options", "late"),
    [
        (ONE_CHILD_A_TASK, True),
        (("--pool", "threads", "--concurrency", "2"), True),
        (("--pool", "solo"), False),
        (("--pool", "gevent", "--concurrency", "10"), True),
    ],
)
def test_every_pool_records_every_task(
    options: tuple[str, ...], *, late: bool, redis_server: RedisServer, tmp_path: Path
) -> None:
    url, environ = redis_server.url, {"SAMPLE_LATE": "1"} if late else {}
    with (
        instrumented_sender("celery", url, tmp_path / "sent") as sender,
        running_worker(tmp_path, url, "celery", *options, environ=environ) as worker,
    ):
        ids = [sender.send("ok") for _ in range(10)]
        attempts = worker.attempts(ids, 10)
        # An early acknowledgement is no stage of ours: no histogram, no instant.
        assert Counter(span.task_id for span in attempts) == Counter(ids)
        assert {"taskqueue.acked_unix_nano" in span.facts for span in attempts} == {late}
        scrape = worker.scrape()
        assert scrape.total(STARTED) == scrape.total(ENDED, outcome="success") == 10
        assert scrape.total("taskqueue_end_to_end_seconds_count") == 10
        assert scrape.total("taskqueue_ack_seconds_count") == (10 if late else 0)
        assert [scrape.total(name) for name in DROPPED] == [0, 0]
        if options is ONE_CHILD_A_TASK:
            assert len({span.facts["process.pid"] for span in attempts}) == 10
        assert worker.stop() == 0
    assert not worker.targets, "a stopped worker is no target"


def test_one_child_a_task_with_failures_and_retries(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    url, options = redis_server.url, (*ONE_CHILD_A_TASK, "--concurrency", "4")
    with (
        instrumented_sender("celery", url, tmp_path / "sent") as sender,
        running_worker(tmp_path, url, "celery", *options) as worker,
    ):
        ids = {task: [sender.send(task) for _ in range(2)] for task in ("ok", "fail", "flaky")}
        spans = worker.attempts([i for some in ids.values() for i in some], 8)
        scrape = worker.scrape()
    outcomes = Counter((s.facts["taskqueue.task"], s.facts["taskqueue.outcome"]) for s in spans)
    assert set(outcomes.values()) == {2}
    assert {outcome for _, outcome in outcomes} == {"success", "failure", "retry"}
    assert len({span.facts["process.pid"] for span in spans}) == 8
    assert scrape.total(STARTED) == scrape.total(ENDED) == 8
    assert scrape.total("taskqueue_tasks_sent_total") == 2, "the children sent the retries"
    assert [scrape.total(name) for name in DROPPED] == [0, 0]


def test_records_survive_the_death_of_their_child(
    sender: Sender, server: RedisServer, prefork: Worker
) -> None:
    client = gate(server, "pids")
    before = prefork.scrape()
    ids = []
    for number in range(2):
        ids.append(sender.send("pid_of_child", "pids"))
        eventually(lambda n=number: client.llen("pids") > n, "the task ran")  # type: ignore[misc]
        pid = int(next(p for p in client.lrange("pids", 0, -1) if p.isdigit()))
        client.delete("pids")
        client.rpush("pids", *["-"] * (number + 1))
        eventually(lambda n=number: _ended(prefork, before) > n, "the task is recorded")  # type: ignore[misc]
        os.kill(pid, signal.SIGKILL)
    attempts = prefork.attempts(ids, 2)
    assert Counter(s.facts["taskqueue.outcome"] for s in attempts) == {"success": 2}
    assert len({s.facts["process.pid"] for s in attempts}) > 1


def _ended(worker: Worker, before: Any) -> float:
    return float(worker.scrape().total(ENDED) - before.total(ENDED))


def test_a_task_whose_child_is_killed_is_a_failure(sender: Sender, prefork: Worker) -> None:
    before = prefork.scrape()
    ids = [sender.send("killed"), sender.send("exits"), sender.send("ok")]
    spans = {span.name: span for span in prefork.attempts(ids, 3)}
    after = prefork.scrape()
    assert after.total(STARTED) - before.total(STARTED) == 3
    assert after.total(ENDED) - before.total(ENDED) == 3
    assert spans["process killed"].error["exception.type"] == "WorkerLostError"
    assert spans["process exits"].error["exception.type"] == "SystemExit"
    assert spans["process ok"].facts["taskqueue.outcome"] == "success"
    assert all(span.start_ns <= span.end_ns for span in spans.values())


def test_waiting_for_the_pool_is_not_execution(redis_server: RedisServer, tmp_path: Path) -> None:
    client = gate(redis_server, "busy")
    options, url = ("--pool", "prefork", "--concurrency", "1"), redis_server.url
    with (
        instrumented_sender("celery", url, tmp_path / "sent") as sender,
        running_worker(tmp_path, url, "celery", *options) as worker,
        redis.Redis.from_url(f"{url}/1") as broker,
    ):
        ids = [sender.send("gated", "busy") for _ in range(3)]
        eventually(lambda: client.get("busy:running") == "1", "one task runs")
        eventually(lambda: broker.llen("shop") == 0, "the others were taken from the broker")
        client.set("busy:open", 1)
        first, second, third = worker.attempts(ids, 3)
    assert max(span.at("received") for span in (second, third)) < first.end_ns
    assert first.end_ns <= second.start_ns
    assert second.end_ns <= third.start_ns


def test_failure_and_retry(sender: Sender, prefork: Worker, tmp_path: Path) -> None:
    before = prefork.scrape()
    failed, retried, auto = (
        sender.send("fail"),
        sender.send("flaky"),
        sender.send("flaky_auto", f"auto-{os.urandom(4).hex()}"),
    )
    (failure,) = prefork.attempts([failed], 1)
    first, second = prefork.attempts([retried], 2)
    slow, slow_again = prefork.attempts([auto], 2)
    after = prefork.scrape()

    assert failure.status == ERROR
    assert failure.facts["taskqueue.outcome"] == "failure"
    assert failure.error["exception.type"] == "LookupError"
    assert failure.error["exception.message"] == PROBLEM.replace("\ud800", "?")
    assert "sample_celery.py" in failure.error["exception.stacktrace"]

    assert [s.facts["taskqueue.outcome"] for s in (first, second)] == ["retry", "success"]
    assert [s.facts["taskqueue.attempt"] for s in (first, second)] == [1, 2]
    assert first.error["exception.message"] == "not yet", "what went wrong, not `Retry`"
    assert not second.error
    # Wrapped by Celery itself before us, and timed all the same.
    assert all(span.end_ns - span.start_ns > 20_000_000 for span in (slow, slow_again))

    def more(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    resent = more("taskqueue_tasks_sent_total")
    assert resent == 2
    assert more(STARTED) == 3 + resent == sum(more(ENDED, outcome=o) for o in OUTCOMES)
    assert more("taskqueue_end_to_end_seconds_count", outcome="retry") == 0
    assert more("taskqueue_end_to_end_seconds_count") == 3
    assert more("taskqueue_schedule_lag_seconds_count") == 0, "no schedule wanted a retry"
    # The second attempt was sent anew, from within the first, and wanted since the first sending.
    (resending,) = [
        span
        for span in read_spans(prefork.traces)
        if span.kind == PRODUCER and span.task_id == retried
    ]
    (sending,) = [s for s in sent_spans(sender, tmp_path) if s.task_id == retried]
    assert second.at("sent") == resending.start_ns > first.start_ns
    assert second.at("scheduled") == sending.start_ns
    assert (resending.parent_id, second.parent_id) == (first.span_id, resending.span_id)
    assert {s.trace_id for s in (sending, first, resending, second)} == {sending.trace_id}


OUTCOMES = ("success", "failure", "retry")


def test_instants_are_in_order_and_latency_counts_from_the_schedule(
    sender: Sender, prefork: Worker, tmp_path: Path
) -> None:
    before = prefork.scrape()
    with scheduled_at(1_700_000_000_000_000_000):
        wanted = sender.send("ok")
    plain = sender.send("ok")
    spans = {s.task_id: s for s in prefork.attempts([wanted, plain], 2)}
    latency = "taskqueue_end_to_end_seconds_sum"
    gained = prefork.scrape().total(latency) - before.total(latency)
    sent = {s.task_id: s for s in sent_spans(sender, tmp_path)}
    for task_id, span in spans.items():
        assert sent[task_id].start_ns == span.at("sent") <= span.at("received") <= span.start_ns
        assert span.start_ns <= span.end_ns
    assert spans[wanted].at("scheduled") == 1_700_000_000_000_000_000
    assert "taskqueue.scheduled_unix_nano" not in spans[plain].facts
    assert gained > (spans[wanted].end_ns - 1_700_000_000_000_000_000) / 1e9 - 1
    assert 'taskqueue_schedule_lag_seconds_count{task="ok",queue="shop"} 1' in sender.flush()


def test_a_sender_without_instrumentation(server: RedisServer, prefork: Worker) -> None:
    before = prefork.scrape()
    ids = [uninstrumented_sender("celery", server.url).send("ok") for _ in range(2)]
    spans = prefork.attempts(ids, 2)
    after = prefork.scrape()
    for name, more in {"broker_wait": 0, "end_to_end": 0, "prefetch_wait": 2}.items():
        series = f"taskqueue_{name}_seconds_count"
        assert after.total(series) - before.total(series) == more, name
    assert {span.parent_id for span in spans} == {""}
    assert len({span.trace_id for span in spans}) == 2


def test_poisoned_headers_do_not_reach_the_task(server: RedisServer, prefork: Worker) -> None:
    poison: list[dict[str, Any]] = [
        {"traceparent": "00-" + "z" * 32 + "-1-01", "taskqueue-received-ns": "soon"},
        {"traceparent": 7, "taskqueue-received-ns": {}},
        {"traceparent": ["a"], "taskqueue": {}},
        {"traceparent": f"00-{'0' * 32}-{'0' * 16}-01"},
        {"taskqueue": f";{10**30};-5;soon"},
    ]
    sender = uninstrumented_sender("celery", server.url)
    ids = [sender.send("ok", headers=headers) for headers in poison]
    future = sender.send("ok", headers={"taskqueue": f";0;{9 * 10**18 - 1};0"})
    before = prefork.scrape().total("taskqueue_clock_anomalies_total", stage="broker_wait")
    ids.append(sender.send("ok", task_id='an id: "\\\n🚀 é', retries=-3))
    spans = prefork.attempts([*ids, future], 7)
    assert {span.facts["taskqueue.outcome"] for span in spans} == {"success"}
    assert {span.parent_id for span in spans} == {""}
    eventually(
        lambda: prefork.scrape().total("taskqueue_clock_anomalies_total", stage="broker_wait"),
        "a task received before it was sent",
    )
    assert before <= 1
    assert prefork.scrape().total("taskqueue_contexts_unreadable_total") == len(poison)


def test_one_trace_and_no_trace_left_behind(
    sender: Sender, prefork: Worker, tmp_path: Path
) -> None:
    first = sender.send("parent")
    eventually(lambda: len(_trace(sender, prefork, tmp_path, first)) == 4, "the whole trace")
    send, process, send_ok, process_ok = _trace(sender, prefork, tmp_path, first)
    assert [s.name for s in (send, process, send_ok, process_ok)] == [
        "send shop", "process parent", "send shop", "process ok",
    ]  # fmt: skip
    assert not send.parent_id
    assert process.parent_id == send.span_id
    assert send_ok.parent_id == process.span_id
    assert process_ok.parent_id == send_ok.span_id
    ids = [sender.send(task) for task in ("fail", "flaky", "exits", "ok", "ok", "ok")]
    spans = [*prefork.attempts(ids, 7), *sent_spans(sender, tmp_path)]
    assert len({s.trace_id for s in spans if s.task_id in ids}) == 6


def _trace(sender: Sender, worker: Worker, tmp_path: Path, task_id: str) -> list[Span]:
    worker.scrape()
    (root,) = [s for s in sent_spans(sender, tmp_path) if s.task_id == task_id]
    spans = [*read_spans(worker.traces), *read_spans(tmp_path / "sent")]
    return sorted((s for s in spans if s.trace_id == root.trace_id), key=lambda s: s.start_ns)


def test_sampled_tasks_run_inside_a_live_span(
    sender: Sender, prefork: Worker, tmp_path: Path
) -> None:
    for ratio, live in ((1.0, 2), (0.0, 0)):
        sender.telemetry.sample_ratio = ratio
        task_id = sender.send("inner")
        (process,) = prefork.attempts([task_id], 1)
        spans = {s.name: s for s in _trace(sender, prefork, tmp_path, task_id) if s.kind != 4}
        waits = {"broker wait", "prefetch wait"}
        assert len(spans.keys() - waits - {"process inner"}) == live
        if live:
            assert spans["run inner"].parent_id == process.span_id
            assert spans["call"].parent_id == spans["run inner"].span_id
            assert {spans[wait].parent_id for wait in waits} == {process.span_id}
            assert {spans[wait].kind for wait in waits} == {INTERNAL}


def test_tasks_called_in_place_are_part_of_their_caller(sender: Sender, prefork: Worker) -> None:
    before = prefork.scrape()
    prefork.attempts([sender.send("calls_in_place")], 1)
    assert prefork.scrape().total(STARTED) - before.total(STARTED) == 1


def test_pool_children_hold_no_listening_socket_and_make_their_own_ids(
    sender: Sender, server: RedisServer, prefork: Worker
) -> None:
    client = gate(server, "sockets")
    prefork.attempts([sender.send("pid_of_child", "sockets")], 1)
    seen = client.lrange("sockets", 0, -1)
    port = int(prefork.address.rpartition(":")[2])
    listening = _listening_inode(prefork.process.pid, port)
    assert f"socket:[{listening}]" not in seen
    spans = [s for s in read_spans(prefork.traces) if s.kind in {CONSUMER, PRODUCER}]
    assert len({s.span_id for s in spans}) == len(spans)


def _listening_inode(pid: int, port: int) -> str:
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    (inode,) = [row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"]
    return inode
