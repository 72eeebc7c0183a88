"""Workers that know nothing of us, under `opentelemetry-instrument`: real Redis, real tasks."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from real_redis import RedisServer, running_redis
from senders import uninstrumented_sender
from workers import DEADLINE_SECONDS, Worker, eventually, running_worker

LAUNCHER = ("opentelemetry-instrument",)
BOTH = pytest.mark.parametrize("framework", ["celery", "asynctasq"])
#: What opentelemetry-distro sets up beside us: the application's own provider, printing spans.
DISTRO = {
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
}
PREFORK = ("--pool", "prefork", "--concurrency", "2")
TASKS = {"celery": ("ok", "fail"), "asynctasq": ("ok", "in_process")}
TWICE = "every task is traced twice"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def options(framework: str) -> tuple[str, ...]:
    return PREFORK if framework == "celery" else ()


def printed_spans(worker: Worker) -> list[dict[str, object]]:
    """Read what the SDK's console exporter wrote into the log, between other lines."""
    decoder, text, spans, at = json.JSONDecoder(), worker.log(), [], 0
    while (at := text.find('{\n    "name"', at)) >= 0:
        try:
            span, at = decoder.raw_decode(text, at)
        except ValueError:  # not printed to its end yet
            break
        spans.append(span)
    return spans


@BOTH
def test_every_task_is_counted_once_and_one_process_serves(
    framework: str, server: RedisServer, tmp_path: Path
) -> None:
    with running_worker(
        tmp_path, server.url, framework, *options(framework), environ=DISTRO, launcher=LAUNCHER
    ) as worker:
        sender = uninstrumented_sender(framework, server.url)
        ids = [sender.send(task) for task in TASKS[framework] for _ in range(3)]
        worker.attempts(ids, len(ids))
        scrape = worker.scrape()
        assert scrape.total("taskqueue_tasks_started_total") == len(ids)
        assert scrape.total("taskqueue_execution_seconds_count") == len(ids)
        # Neither pool children nor the other framework's instrumentor has a port.
        assert len(worker.targets) == 1
        assert worker.log().count(TWICE) == (framework == "celery"), worker.log()
        assert worker.stop() == 0
        assert not worker.targets


@BOTH
def test_spans_go_through_the_applications_provider(
    framework: str, server: RedisServer, tmp_path: Path
) -> None:
    environ = {
        **DISTRO,
        "TASKQUEUE_TRACES_DIR": "",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "celery",
    }
    with running_worker(
        tmp_path, server.url, framework, *options(framework), environ=environ, launcher=LAUNCHER
    ) as worker:
        task_id = uninstrumented_sender(framework, server.url).send("ok")

        def seen() -> list[dict[str, object]]:
            worker.scrape()
            spans = [span for span in printed_spans(worker) if span["name"] == "process ok"]
            return [s for s in spans if task_id in str(s["attributes"])]

        (span,) = eventually(seen, "the task's span")
        assert span["kind"] == "SpanKind.CONSUMER"
        assert 'a "test"' in str(span["resource"])
        assert worker.scrape().total("taskqueue_spans_dropped_total") == 0
        assert TWICE not in worker.log()


@BOTH
def test_each_can_be_disabled_by_its_own_name(
    framework: str, server: RedisServer, tmp_path: Path
) -> None:
    environ = DISTRO | {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": f"celery, taskqueue_{framework}"}
    task = {"celery": "gated", "asynctasq": "gated_thread"}[framework]
    with running_worker(
        tmp_path,
        server.url,
        framework,
        *options(framework),
        environ=environ,
        launcher=LAUNCHER,
        serves=False,
    ) as worker:
        client = redis.Redis.from_url(f"{server.url}/3", decode_responses=True)
        gate = f"disabled {framework}"
        client.set(f"{gate}:open", 1)
        uninstrumented_sender(framework, server.url).send(task, gate)
        eventually(lambda: client.get(f"{gate}:running") == "1", "the task ran")
        assert not worker.targets
        assert worker.process.poll() is None
        worker.process.terminate()
        worker.process.wait(DEADLINE_SECONDS)
        assert not list(worker.traces.iterdir())
