"""Whatever happens to the telemetry, tasks run; and a worker that ends leaves nothing unsaid."""

import socket
from pathlib import Path

import pytest
import redis
import requests
from real_redis import RedisServer
from senders import uninstrumented_sender
from workers import CONSUMER, Scrape, eventually, read_spans, running_worker

from compose.ports import free_port

TASKS = {"celery": "gated", "asynctasq": "gated_thread"}
SOLO = {"celery": ("--pool", "solo"), "asynctasq": ()}
BOTH = pytest.mark.parametrize("framework", list(TASKS))


def send_all(framework: str, server: RedisServer, count: int) -> "redis.Redis[str]":
    client = redis.Redis.from_url(f"{server.url}/3", decode_responses=True)
    client.set("gate:open", 1)
    sender = uninstrumented_sender(framework, server.url)
    for _ in range(count):
        sender.send(TASKS[framework], "gate")
    return client


@BOTH
def test_spans_that_cannot_be_written_are_counted(
    framework: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    not_a_folder = tmp_path / "file"
    not_a_folder.touch()
    environ = {"TASKQUEUE_TRACES_DIR": str(not_a_folder)}
    with running_worker(
        tmp_path, redis_server.url, framework, *SOLO[framework], environ=environ
    ) as worker:
        for round_ in (1, 2):
            send_all(framework, redis_server, 3)
            eventually(
                lambda n=round_: (  # type: ignore[misc]
                    worker.scrape().total("taskqueue_spans_dropped_total") == 3 * n
                ),
                "three more spans were dropped",
            )
        ended = worker.scrape().total("taskqueue_execution_seconds_count", outcome="success")
        assert ended == 6
        assert len(worker.targets) == 1
        assert worker.stop() == 0
        assert not worker.targets
        assert worker.log().count("spans are being dropped") == 1


@BOTH
def test_a_worker_nobody_can_scrape_works_and_leaves_every_span(
    framework: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = {
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(taken.getsockname()[1]),
            "OTEL_TRACES_SAMPLER_ARG": "often",
        }
        with running_worker(
            tmp_path,
            redis_server.url,
            framework,
            *SOLO[framework],
            environ=environ,
            serves=False,
        ) as worker:
            client = send_all(framework, redis_server, 5)
            eventually(lambda: client.get("gate:running") == "5", "all tasks ran")
            assert worker.stop() == 0
            assert worker.log().count("task metrics are not served") == 1
    spans = [span for span in read_spans(worker.traces) if span.kind == CONSUMER]
    assert len({span.task_id for span in spans}) == len(spans) == 5


@BOTH
def test_a_worker_that_nobody_is_told_of_works_and_can_be_scraped(
    framework: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    environ = {
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port()),
        "TASKQUEUE_TARGETS_DIR": str(tmp_path / "file"),
        "TASKQUEUE_TARGET_LABELS": "{not json",
    }
    with running_worker(
        tmp_path, redis_server.url, framework, *SOLO[framework], environ=environ, serves=False
    ) as worker:
        client = send_all(framework, redis_server, 5)
        eventually(lambda: client.get("gate:running") == "5", "all tasks ran")
        url = f"http://127.0.0.1:{environ['OTEL_EXPORTER_PROMETHEUS_PORT']}/metrics"

        def ended() -> float:
            scrape = Scrape(requests.get(url, timeout=5).text)
            return scrape.total("taskqueue_execution_seconds_count")

        eventually(lambda: ended() == 5, "all are told of")
        assert worker.stop() == 0
        log = worker.log()
        assert log.count("Prometheus is not told of") == 1
        assert log.count("TASKQUEUE_TARGET_LABELS is ignored") == 1
