"""Each piece of the telemetry is broken: tasks run on, the loss is counted, and said once."""

import sys
from pathlib import Path

import pytest
import redis
from asynctasq.serializers import MsgspecSerializer
from real_redis import RedisServer
from senders import uninstrumented_sender
from workers import CONSUMER, Worker, eventually, read_spans, running_worker

from compose.ports import free_port

OPTIONS = {"celery": ("--concurrency", "2"), "asynctasq": ()}
BOTH = pytest.mark.parametrize("framework", list(OPTIONS))
MANY = 400


def send(framework: str, server: RedisServer, count: int) -> None:
    sender = uninstrumented_sender(framework, server.url)
    for _ in range(count):
        sender.send("ok")


def poison(framework: str, server: RedisServer) -> None:
    """Send a task whose context is junk."""
    if framework == "celery":
        uninstrumented_sender(framework, server.url).send("ok", headers={"taskqueue": "junk"})
        return
    message = {
        "class": "sample_asynctasq.ok",
        "params": {},
        "metadata": {"task_id": "1", "current_attempt": 0, "queue": "shop", "max_attempts": 1,
                     "retry_delay": 0, "timeout": None},
        "taskqueue": "junk",
    }  # fmt: skip
    with redis.Redis.from_url(server.url) as client:
        client.lpush("queue:shop", MsgspecSerializer().serialize(message))


def all_ran(worker: Worker, server: RedisServer, framework: str) -> bool:
    """Ask Redis, which knows nothing of telemetry."""
    assert worker.process.poll() is None, worker.log()[-3000:]
    with redis.Redis.from_url(f"{server.url}/{1 if framework == 'celery' else 0}") as client:
        keys = (
            ("shop", "unacked")
            if framework == "celery"
            else ("queue:shop", "queue:shop:processing")
        )
        return not any(client.exists(key) for key in keys)


@BOTH
def test_an_endpoint_that_is_down(
    framework: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    options = OPTIONS[framework]
    with running_worker(tmp_path, redis_server.url, framework, *options, environ=environ) as worker:
        send(framework, redis_server, MANY)
        eventually(lambda: all_ran(worker, redis_server, framework), "all tasks ran")

        def told_of_all() -> bool:
            ended = worker.scrape().total("taskqueue_execution_seconds_count", outcome="success")
            return ended == MANY

        eventually(told_of_all, "all of them are told of")
        dropped = eventually(
            lambda: worker.scrape().total("taskqueue_spans_dropped_total"),
            "spans are counted as dropped",
        )
        assert dropped < MANY, "those that must survive are tried again"
        assert worker.stop() == 0
        assert worker.log().count("spans are being dropped") == 1
        assert worker.log().count("spans could not be sent before the end") == 1


@BOTH
def test_a_disk_that_is_full(framework: str, redis_server: RedisServer, tmp_path: Path) -> None:
    """`ulimit -f` fails every file at 48 kB, the spool in memory included."""
    launcher = ("bash", "-c", 'ulimit -f 48; exec "$@"', "bash", sys.executable, "-m",
                "instrumentation")  # fmt: skip
    options = OPTIONS[framework]
    with running_worker(
        tmp_path, redis_server.url, framework, *options, launcher=launcher
    ) as worker:
        send(framework, redis_server, MANY)
        eventually(lambda: all_ran(worker, redis_server, framework), "all tasks ran")

        def told_of_all() -> bool:
            scrape = worker.scrape()
            started = scrape.total("taskqueue_tasks_started_total")
            ended = scrape.total("taskqueue_execution_seconds_count", outcome="success")
            lost = scrape.total("taskqueue_records_dropped_total")
            # A child says that a task started, and how it ended: each arrives, or is counted.
            return started + ended + lost == 2 * MANY

        eventually(told_of_all, "what did not arrive is counted")
        eventually(
            lambda: worker.scrape().total("taskqueue_spans_dropped_total"), "spans are dropped too"
        )
        lost = worker.scrape().total("taskqueue_records_dropped_total")
        assert (lost > 0) == (framework == "celery")
        worker.stop()
        assert worker.log().count("spans are being dropped") == 1
        said = worker.log().count("records of pool children are being lost")
        assert said == (framework == "celery")


@BOTH
def test_a_clock_that_steps_back(framework: str, redis_server: RedisServer, tmp_path: Path) -> None:
    launcher = (sys.executable, "-m", "stepping_clock")
    options = OPTIONS[framework]
    with running_worker(
        tmp_path, redis_server.url, framework, *options, launcher=launcher
    ) as worker:
        send(framework, redis_server, 20)
        eventually(
            lambda: worker.scrape().total("taskqueue_execution_seconds_count") == 20,
            "every task is told of",
        )
        assert worker.scrape().total("taskqueue_clock_anomalies_total") > 0
        assert worker.stop() == 0
        assert len([s for s in read_spans(worker.traces) if s.kind == CONSUMER]) == 20


@BOTH
def test_context_that_cannot_be_read_is_said_once(
    framework: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    options = OPTIONS[framework]
    with running_worker(tmp_path, redis_server.url, framework, *options) as worker:
        for round_ in (1, 2, 3):
            poison(framework, redis_server)
            eventually(
                lambda n=round_: (  # type: ignore[misc]
                    worker.scrape().total("taskqueue_contexts_unreadable_total") == n
                ),
                "it is counted",
            )
        assert worker.scrape().total("taskqueue_execution_seconds_count", outcome="success") == 3
        assert worker.stop() == 0
        assert worker.log().count("a trace context that cannot be read") == 1
