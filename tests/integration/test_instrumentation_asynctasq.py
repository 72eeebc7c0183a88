"""AsyncTasQ under instrumentation: real Redis, a real worker, every kind of task, counted twice."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from asynctasq.serializers.msgspec_serializer import MsgspecSerializer
from real_redis import RedisServer, running_redis
from sample_asynctasq import (
    PROBLEM,
    async_function,
    async_function_fails,
    sync_function,
    sync_function_fails,
)
from senders import AsyncTasqSender, instrumented_sender, uninstrumented_sender
from workers import (
    CONSUMER,
    ERROR,
    INTERNAL,
    PRODUCER,
    Scrape,
    Span,
    Worker,
    environment,
    eventually,
    read_spans,
    running_worker,
)

from instrumentation.propagation import scheduled_at

KINDS = ("ok", "in_thread", "in_process", "in_async_process")
OUTCOMES = ("success", "failure", "retry")
STARTED = "taskqueue_tasks_started_total"
ENDED = "taskqueue_execution_seconds_count"
DROPPED = ("taskqueue_records_dropped_total", "taskqueue_spans_dropped_total")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def sender(server: RedisServer, tmp_path: Path) -> Iterator[AsyncTasqSender]:
    with instrumented_sender("asynctasq", server.url, tmp_path / "sent") as sender:
        assert isinstance(sender, AsyncTasqSender)
        yield sender


@pytest.fixture(scope="module")
def worker(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with running_worker(tmp_path_factory.mktemp("worker"), server.url, "asynctasq") as worker:
        yield worker


def sent_spans(sender: AsyncTasqSender, tmp_path: Path) -> list[Span]:
    sender.flush()
    return [span for span in read_spans(tmp_path / "sent") if span.kind == PRODUCER]


def trace_of(sender: AsyncTasqSender, worker: Worker, tmp_path: Path, task_id: str) -> list[Span]:
    worker.scrape()
    (root,) = [span for span in sent_spans(sender, tmp_path) if span.task_id == task_id]
    spans = [*read_spans(worker.traces), *read_spans(tmp_path / "sent")]
    return sorted((s for s in spans if s.trace_id == root.trace_id), key=lambda s: s.start_ns)


def test_every_kind_of_task_is_recorded(
    sender: AsyncTasqSender, worker: Worker, tmp_path: Path
) -> None:
    before = worker.scrape()
    ids = [sender.send(kind) for kind in KINDS for _ in range(5)]
    for function in (async_function, sync_function):
        ids += [asyncio.run(sender.dispatch(function())) for _ in range(5)]
    attempts = worker.attempts(ids, 30)
    after = worker.scrape()
    assert Counter(span.task_id for span in attempts) == Counter(ids)
    for task in (*KINDS, "async_function", "sync_function"):
        for series in (STARTED, ENDED, "taskqueue_ack_seconds_count"):
            assert after.total(series, task=task) - before.total(series, task=task) == 5, task
    assert [after.total(name) for name in DROPPED] == [0, 0]
    sent = {span.task_id: span for span in sent_spans(sender, tmp_path)}
    for span in attempts:
        assert sent[span.task_id].span_id == span.parent_id
        assert sent[span.task_id].start_ns == span.at("sent") <= span.at("received")
        assert span.at("received") <= span.start_ns <= span.end_ns <= span.at("acked")


@pytest.mark.parametrize(
    ("task", "slots"),
    [("gated_thread", min(32, (os.cpu_count() or 1) + 4)), ("gated_process", os.cpu_count() or 1)],
)
def test_waiting_for_a_thread_or_process_is_not_execution(
    task: str, slots: int, sender: AsyncTasqSender, server: RedisServer, worker: Worker
) -> None:
    """More tasks than slots: those that wait begin only when others have ended."""
    if slots >= 10:
        pytest.skip("the worker takes ten tasks at a time, which here have a slot each")
    client = redis.Redis.from_url(f"{server.url}/3", decode_responses=True)
    ids = [sender.send(task, task) for _ in range(slots + 2)]
    with redis.Redis.from_url(server.url) as broker:
        eventually(lambda: broker.llen("queue:shop:processing") == slots + 2, "all are received")
    eventually(lambda: client.get(f"{task}:running") == str(slots), "every slot is taken")
    client.set(f"{task}:open", 1)
    attempts = worker.attempts(ids, slots + 2)
    first_end = min(span.end_ns for span in attempts)
    waited = attempts[slots:]
    assert all(span.at("received") < first_end <= span.start_ns for span in waited)
    assert all(span.start_ns < first_end for span in attempts[:slots])


def test_what_times_out_before_it_begins_is_counted_once(
    sender: AsyncTasqSender, server: RedisServer, worker: Worker
) -> None:
    before = worker.scrape()
    slots = min(32, (os.cpu_count() or 1) + 4)
    ids = [sender.send("times_out", "late") for _ in range(min(10, slots + 1))]
    attempts = worker.attempts(ids, len(ids))
    redis.Redis.from_url(f"{server.url}/3").set("late:open", 1)
    (after_all,) = worker.attempts([sender.send("in_thread")], 1)
    assert {span.error["exception.type"] for span in attempts} == {"TimeoutError"}
    assert after_all.facts["taskqueue.outcome"] == "success"
    scrape = worker.scrape()
    assert scrape.total(STARTED) - before.total(STARTED) == len(ids) + 1
    assert scrape.total(ENDED) - before.total(ENDED) == len(ids) + 1


def test_failure_and_retry(sender: AsyncTasqSender, worker: Worker, tmp_path: Path) -> None:
    before = worker.scrape()
    failed, far, retried = (sender.send(t) for t in ("fail", "process_fails", "flaky"))
    failures = worker.attempts([failed, far], 2)
    first, second = worker.attempts([retried], 2)
    after = worker.scrape()

    for failure in failures:
        assert failure.status == ERROR
        assert failure.facts["taskqueue.outcome"] == "failure"
        assert failure.error["exception.type"] == "LookupError"
        assert failure.error["exception.message"] == PROBLEM.replace("\ud800", "?")
        assert "sample_asynctasq.py" in failure.error["exception.stacktrace"]
        assert failure.start_ns < failure.end_ns <= failure.at("acked")
    assert [s.facts["taskqueue.outcome"] for s in (first, second)] == ["retry", "success"]
    assert [s.facts["taskqueue.attempt"] for s in (first, second)] == [1, 2]
    assert first.error["exception.message"] == "not yet"
    assert not second.error

    def more(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    resent = more("taskqueue_tasks_sent_total")
    assert resent == 1
    assert more(STARTED) == 3 + resent == sum(more(ENDED, outcome=o) for o in OUTCOMES)
    assert more("taskqueue_end_to_end_seconds_count", outcome="retry") == 0
    assert more("taskqueue_end_to_end_seconds_count") == 3
    assert more("taskqueue_schedule_lag_seconds_count") == 0, "no schedule wanted a retry"
    (resending,) = [
        s for s in read_spans(worker.traces) if s.kind == PRODUCER and s.task_id == retried
    ]
    (sending,) = [s for s in sent_spans(sender, tmp_path) if s.task_id == retried]
    assert second.at("sent") == resending.start_ns > first.start_ns
    assert second.at("scheduled") == sending.start_ns
    assert (resending.parent_id, second.parent_id) == (first.span_id, resending.span_id)
    assert {s.trace_id for s in (sending, first, resending, second)} == {sending.trace_id}


@pytest.mark.parametrize("task", ["flaky_thread", "flaky_process", "flaky_async_process"])
def test_a_retry_of_every_kind_is_two_attempts(
    task: str, sender: AsyncTasqSender, worker: Worker
) -> None:
    first, second = worker.attempts([sender.send(task)], 2)
    assert [s.facts["taskqueue.outcome"] for s in (first, second)] == ["retry", "success"]
    assert first.error["exception.message"] == "not yet"
    assert first.at("received") < first.start_ns < first.end_ns < second.start_ns
    assert first.trace_id == second.trace_id


def test_functions_that_fail(sender: AsyncTasqSender, worker: Worker) -> None:
    functions = (async_function_fails, sync_function_fails)
    ids = [asyncio.run(sender.dispatch(function())) for function in functions]
    for failure in worker.attempts(ids, 2):
        assert failure.facts["taskqueue.outcome"] == "failure"
        assert failure.error["exception.message"] == PROBLEM.replace("\ud800", "?")


@pytest.mark.parametrize(
    ("warm", "task"),
    [
        ("in_thread", "too_long_thread"),
        ("in_process", "too_long_process"),
        ("in_async_process", "too_long_async_process"),
    ],
)
def test_what_exceeds_its_time_was_executing_meanwhile(
    warm: str, task: str, sender: AsyncTasqSender, worker: Worker
) -> None:
    """And not waiting: its thread or process had said that it began."""
    worker.attempts([sender.send(warm)], 1)  # a process takes a second to start
    before = worker.scrape()
    (span,) = worker.attempts([sender.send(task)], 1)
    after = worker.scrape()
    assert span.error["exception.type"] == "TimeoutError"
    assert 0.7e9 < span.end_ns - span.start_ns < 2e9
    execution, prefetch_wait = (
        after.total(f"taskqueue_{stage}_seconds_sum", task=task)
        - before.total(f"taskqueue_{stage}_seconds_sum", task=task)
        for stage in ("execution", "prefetch_wait")
    )
    assert execution > 0.7
    assert prefetch_wait < 0.5


def test_a_process_that_is_killed_had_begun(redis_server: RedisServer, tmp_path: Path) -> None:
    url = redis_server.url
    with running_worker(tmp_path, url, "asynctasq") as worker:  # its pool is broken then
        task_id = uninstrumented_sender("asynctasq", url).send("dies_in_process")
        (span,) = worker.attempts([task_id], 1)
    assert span.error["exception.type"] == "BrokenProcessPool"
    assert span.end_ns - span.start_ns > 0.25e9


def test_latency_counts_from_the_schedule(
    sender: AsyncTasqSender, worker: Worker, tmp_path: Path
) -> None:
    latency = "taskqueue_end_to_end_seconds_sum"
    wanted_ns = 1_700_000_000_000_000_000
    before = worker.scrape().total(latency)
    with scheduled_at(wanted_ns):
        wanted = sender.send("ok")
    (span,) = worker.attempts([wanted], 1)
    gained = worker.scrape().total(latency) - before
    assert span.at("scheduled") == wanted_ns
    assert gained == pytest.approx((span.end_ns - wanted_ns) / 1e9)
    (sending,) = sent_spans(sender, tmp_path)
    assert sending.at("scheduled") == wanted_ns
    assert 'taskqueue_schedule_lag_seconds_count{task="ok",queue="shop"} 1' in sender.flush()


def test_a_sender_without_instrumentation(server: RedisServer, worker: Worker) -> None:
    before = worker.scrape()
    sent_after = datetime.now(UTC).timestamp() * 1e9 - 1000  # microseconds, truncated
    ids = [uninstrumented_sender("asynctasq", server.url).send("ok") for _ in range(2)]
    spans = worker.attempts(ids, 2)
    after = worker.scrape()
    for name in ("broker_wait", "end_to_end", "prefetch_wait"):
        series = f"taskqueue_{name}_seconds_count"
        assert after.total(series) - before.total(series) == 2, name
    assert all(sent_after < span.at("sent") <= span.at("received") for span in spans)
    assert {span.parent_id for span in spans} == {""}
    assert len({span.trace_id for span in spans}) == 2


def poisoned(task_id: str, carrier: Any, **metadata: Any) -> bytes:
    return MsgspecSerializer().serialize(
        {
            "class": "sample_asynctasq.ok",
            "params": {},
            "metadata": {
                "task_id": task_id,
                "current_attempt": 0,
                "dispatched_at": None,
                "queue": "shop",
                "max_attempts": 1,
                "retry_delay": 0,
                "timeout": None,
                **metadata,
            },
            "taskqueue": carrier,
        }
    )


def test_poisoned_messages_do_not_reach_the_task(server: RedisServer, worker: Worker) -> None:
    anomalies = "taskqueue_clock_anomalies_total"
    before = worker.scrape().total(anomalies, stage="broker_wait")
    future = f";0;{9 * 10**18 - 1};0"
    poison: list[Any] = [
        *("text", 7, ["list"], {}, {1: 2}, ";;", "a;b;c", ";1;2;3;4", f";{'9' * 5000};1"),
        f"00-{'z' * 32}-1-01;-5;{2**64};0",
        f"00-{'0' * 32}-{'0' * 16}-01;0;0;0",
        future,
    ]
    ids = [f'poison {n} "\\\n🚀' for n in range(len(poison))]
    messages = [poisoned(*pair) for pair in zip(ids, poison, strict=True)]
    messages.append(poisoned("year one", None, dispatched_at="0001-01-01T00:00:00"))
    messages.append(poisoned("half", None, current_attempt=0.5))
    with redis.Redis.from_url(server.url) as broker:
        broker.lpush("queue:q\"'\\й", *messages)
    spans = worker.attempts([*ids, "year one", "half"], len(messages))
    assert {span.facts["taskqueue.outcome"] for span in spans} == {"success"}
    assert {span.parent_id for span in spans} == {""}
    assert {span.facts["messaging.destination.name"] for span in spans} == {"q\"'\\й"}
    scrape = worker.scrape()
    assert scrape.total(anomalies, stage="broker_wait") - before == 1
    # All but the future one, whose context is well-formed; and the None of the other two.
    assert scrape.total("taskqueue_contexts_unreadable_total") == len(poison) + 1
    assert scrape.total(STARTED, queue="q\"'\\й") == len(messages)


def test_a_task_that_fails_before_it_runs_is_a_failure_that_did_not_start(
    server: RedisServer, worker: Worker
) -> None:
    before = worker.scrape()
    with redis.Redis.from_url(server.url) as broker:
        broker.lpush("queue:shop", poisoned("no number", None, current_attempt="x"))
        (span,) = worker.attempts(["no number"], 1)
        broker.delete("queue:shop:processing")  # where the worker leaves it
    after = worker.scrape()
    assert (span.name, span.facts["taskqueue.outcome"]) == ("process ok", "failure")
    assert span.error["exception.type"] == "TypeError"
    assert after.total(STARTED) == before.total(STARTED)


def test_a_message_that_is_no_task_is_a_retry_each_time(
    server: RedisServer, worker: Worker
) -> None:
    """The worker gives it back at once, for ever: until somebody takes it away."""
    before = worker.scrape()
    message = MsgspecSerializer().serialize(
        {"class": "sample_asynctasq.gone", "params": {}, "metadata": {"task_id": "nothing"}}
    )
    good = []
    with redis.Redis.from_url(server.url) as broker:
        broker.lpush("queue:shop", message, b"no message at all")
        eventually(lambda: len(_deliveries(worker)) > 3, "they come again and again")

        def gone() -> bool:
            seen = len(_deliveries(worker))
            good.append(uninstrumented_sender("asynctasq", server.url).send("ok"))
            worker.attempts(good, len(good))
            broker.delete("queue:shop", "queue:shop:processing")
            return len(_deliveries(worker)) == seen

        eventually(gone, "they are out of the queue")
    after = worker.scrape()
    deliveries = _deliveries(worker)
    assert {s.name: s.error["exception.type"] for s in deliveries} == {
        "process gone": "AttributeError",
        "process unknown": "DecodeError",
    }
    assert {s.facts["taskqueue.outcome"] for s in deliveries} == {"retry"}
    assert all(s.at("received") <= s.start_ns == s.end_ns for s in deliveries)
    assert after.total(STARTED) - before.total(STARTED) == len(good), "they never ran"


def _deliveries(worker: Worker) -> list[Span]:
    worker.scrape()
    return [s for s in read_spans(worker.traces) if s.task_id in {"nothing", "unknown"}]


def test_one_trace_and_no_trace_left_behind(
    sender: AsyncTasqSender, worker: Worker, tmp_path: Path
) -> None:
    first = sender.send("parent")
    eventually(lambda: len(trace_of(sender, worker, tmp_path, first)) == 4, "the whole trace")
    spans = trace_of(sender, worker, tmp_path, first)
    names = [span.name for span in spans]
    assert names == ["send shop", "process parent", "send shop", "process ok"]
    assert [s.parent_id for s in spans] == ["", *(s.span_id for s in spans[:-1])]
    ids = [sender.send(task) for task in ("fail", "flaky", "in_thread", "in_process", "ok", "ok")]
    worker.attempts(ids, 7)
    assert len({s.trace_id for s in sent_spans(sender, tmp_path) if s.task_id in ids}) == 6
    spans = [s for s in read_spans(worker.traces) if s.kind in {CONSUMER, PRODUCER}]
    assert len({s.span_id for s in spans}) == len(spans)


@pytest.mark.parametrize("task", ["inner", "in_thread"])
def test_sampled_tasks_run_inside_a_live_span(
    task: str, sender: AsyncTasqSender, worker: Worker, tmp_path: Path
) -> None:
    sender.telemetry.sample_ratio = 1.0
    task_id = sender.send(task)
    (process,) = worker.attempts([task_id], 1)
    waits = {"broker wait", "prefetch wait", "acknowledge"}
    names = waits | {"send shop", f"process {task}", f"run {task}", "call"}
    # Live spans are written after the task spans.
    eventually(lambda: len(trace_of(sender, worker, tmp_path, task_id)) >= len(names), "all spans")
    spans = {s.name: s for s in trace_of(sender, worker, tmp_path, task_id)}
    assert spans.keys() == names
    assert spans[f"run {task}"].parent_id == process.span_id
    assert spans["call"].parent_id == spans[f"run {task}"].span_id
    assert {spans[wait].parent_id for wait in waits} == {process.span_id}
    assert {spans[wait].kind for wait in waits} == {INTERNAL}
    sender.telemetry.sample_ratio = 0.0
    task_id = sender.send(task)
    worker.attempts([task_id], 1)
    names = {s.name for s in trace_of(sender, worker, tmp_path, task_id)}
    # The call's own span asks for a parent, finds the task's, and is not sampled either.
    assert names == {"send shop", f"process {task}"}


FORKS = """
import asyncio, os, sys
from asynctasq.core.worker import Worker
from asynctasq.drivers.redis_driver import RedisDriver
from instrumentation import asynctasq
from instrumentation.telemetry import Telemetry
telemetry = Telemetry("asynctasq")
asynctasq.instrument(telemetry)
child = os.fork()
if not child:
    worker = Worker(RedisDriver(sys.argv[1]), ["forked"], concurrency=2, max_tasks=6)
    asyncio.run(worker.start())
    telemetry.keep_up()
    os._exit(0)
os.waitpid(child, 0)
print(telemetry._exposition())
"""


def test_a_worker_in_a_forked_child_is_told_of_by_the_parent(
    server: RedisServer, tmp_path: Path
) -> None:
    for _ in range(6):
        uninstrumented_sender("asynctasq", server.url).send("ok", queue="forked")
    done = subprocess.run(
        [sys.executable, "-c", FORKS, server.url], env=environment(tmp_path, server.url),
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    scrape = Scrape(done.stdout[done.stdout.index("# HELP") :])
    assert scrape.total(ENDED, task="ok") == scrape.total(STARTED, task="ok") == 6
    assert [scrape.total(name) for name in DROPPED] == [0, 0]
