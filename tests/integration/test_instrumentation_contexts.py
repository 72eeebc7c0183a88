"""No context leaks: whatever became of a task, the next one in that worker has no parent of it."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from asynctasq.serializers.msgspec_serializer import MsgspecSerializer
from real_redis import RedisServer, running_redis
from senders import instrumented_sender, uninstrumented_sender
from workers import CONSUMER, Span, Worker, eventually, read_spans, running_worker

POOLS: dict[str, tuple[str, ...]] = {
    # With the time limits that the pool enforces.
    "prefork": ("soft_limit", "hard_limit"),
    "threads": (),
    "solo": (),
    "gevent": ("hard_limit",),
}
ANYWHERE = ("ok", "fail", "flaky", "early", "turned_down", "inner", "no.such.task")
ASYNCTASQ = ("ok", "fail", "flaky", "early", "inner", "too_long", "in_thread", "too_long_thread",
             "in_process", "process_fails", "too_long_process", "in_async_process")  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


class Ward:
    """A worker that runs one task at a time, and what its tasks said of where they are."""

    def __init__(self, framework: str, server: RedisServer, worker: Worker) -> None:
        self.framework, self.url, self.worker = framework, server.url, worker
        self.said: redis.Redis[str] = redis.Redis.from_url(f"{server.url}/3", decode_responses=True)
        self.plain = uninstrumented_sender(framework, server.url)
        self.sent: list[str] = []

    def run_first(self, task: str, **options: object) -> str:
        """Send a task that belongs to a sampled trace."""
        with instrumented_sender(
            self.framework, self.url, self.worker.directory / "sent"
        ) as sender:
            sender.telemetry.sample_ratio = 1.0
            return sender.send(task, **options)

    def send_plain(self, task: str = "where") -> None:
        """Send a task without context, to run next."""
        self.sent.append(self.plain.send(task))

    def assert_untouched(self) -> None:
        """Each of these had its own span for the current one, without a parent."""
        spans = self.worker.attempts(self.sent, len(self.sent))
        for span in spans:
            assert self.said.get(f"where:{span.task_id}") == f"{span.trace_id}-{span.span_id}"
        others = [s for s in read_spans(self.worker.traces) if s.task_id not in self.sent]
        traces = {s.trace_id for s in spans}
        assert {span.parent_id for span in spans} == {""}
        assert len(traces) == len(spans)
        assert not traces & {s.trace_id for s in others}


@pytest.fixture(scope="module", params=list(POOLS))
def celery(
    request: pytest.FixtureRequest, server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Ward, str]]:
    directory, pool = tmp_path_factory.mktemp(request.param), request.param
    redis.Redis.from_url(server.url).flushall()
    options = ("--pool", pool, "--concurrency", "1")
    with running_worker(directory, server.url, "celery", *options) as worker:
        yield Ward("celery", server, worker), pool


def test_celery(celery: tuple[Ward, str]) -> None:
    ward, pool = celery
    app = uninstrumented_sender("celery", ward.url).app  # type: ignore[attr-defined]
    eventually(
        lambda: app.control.revoke("taken back", reply=True, timeout=0.5, limit=1), "it listens"
    )
    for task in (*ANYWHERE, *POOLS[pool]):
        ward.run_first(task)
        ward.send_plain()
    for options in ({"expires": 0.001}, {"task_id": "taken back"}):
        ward.run_first("where", **options)
        ward.send_plain()
    ward.assert_untouched()
    outcomes = {s.facts["taskqueue.outcome"] for s in _attempts(ward.worker)}
    assert outcomes == {"success", "failure", "retry", "expired", "revoked"}


def _attempts(worker: Worker) -> list[Span]:
    worker.scrape()
    return [s for s in read_spans(worker.traces) if s.kind == CONSUMER]


@pytest.fixture(scope="module")
def asynctasq(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    directory = tmp_path_factory.mktemp("asynctasq")
    redis.Redis.from_url(server.url).flushall()
    with running_worker(directory, server.url, "asynctasq", "--concurrency", "1") as worker:
        yield Ward("asynctasq", server, worker)


def test_asynctasq(asynctasq: Ward) -> None:
    for task in ASYNCTASQ:
        asynctasq.run_first(task)
        asynctasq.send_plain()
        asynctasq.send_plain("where_thread")
    asynctasq.assert_untouched()
    outcomes = [s.facts["taskqueue.outcome"] for s in _attempts(asynctasq.worker)]
    assert set(outcomes) == {"success", "failure", "retry"}


def test_asynctasq_after_a_message_that_is_no_task(asynctasq: Ward) -> None:
    message = {"class": "sample_asynctasq.gone", "params": {}, "metadata": {"task_id": "gone"}}
    with redis.Redis.from_url(asynctasq.url) as broker:
        broker.lpush("queue:shop", MsgspecSerializer().serialize(message))
        eventually(lambda: any(s.task_id == "gone" for s in _attempts(asynctasq.worker)), "it came")
        asynctasq.send_plain()
        asynctasq.assert_untouched()
        broker.delete("queue:shop", "queue:shop:processing")


def test_in_a_process_pool_too_the_tasks_span_is_the_current_one(asynctasq: Ward) -> None:
    """And no other's: a child has nothing left of the task before."""
    for _ in range(3):
        asynctasq.run_first("where_process")
        asynctasq.send_plain("where_process")
    asynctasq.assert_untouched()


def test_what_greenlets_do_at_the_same_time_they_do_apart(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    options = ("--pool", "gevent", "--concurrency", "10")
    with running_worker(tmp_path, redis_server.url, "celery", *options) as worker:
        ward = Ward("celery", redis_server, worker)
        for _ in range(200):
            ward.send_plain()
        ward.assert_untouched()
        spans = sorted(_attempts(worker), key=lambda s: s.start_ns)
        assert any(later.start_ns < one.end_ns for one, later in pairwise(spans))
