"""One process's telemetry: its settings, its endpoint, its threads, its end."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.registry import Collector
from workers import Scrape, eventually, read_spans

from instrumentation import telemetry as module
from instrumentation.records import DONE, STARTED
from instrumentation.telemetry import Telemetry


@contextmanager
def serving(registry: CollectorRegistry | None = None, **environ: str) -> Iterator[Telemetry]:
    telemetry = Telemetry("celery", environ, registry)
    telemetry.serve()
    try:
        yield telemetry
    finally:
        telemetry.close()


def run_task(telemetry: Telemetry, task_id: str = "1") -> None:
    attempt = telemetry.recorder.attempt()
    attempt.task, attempt.queue, attempt.task_id = "t", "q", task_id
    attempt.enter()
    attempt.start()
    attempt.complete()
    attempt.record()


def test_it_serves_and_announces_and_takes_back(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Counter("shop_orders", "Orders.", registry=registry).inc()
    labels = json.dumps({"variant": "a", "repetition": 1})
    with serving(
        registry,
        TASKQUEUE_TARGETS_DIR=str(tmp_path),
        TASKQUEUE_TARGET_LABELS=labels,
        OTEL_SERVICE_NAME="my.shop",
    ) as telemetry:
        run_task(telemetry)
        (file,) = tmp_path.iterdir()
        assert file.name == f"my.shop-celery-{socket.gethostname()}-{os.getpid()}.json"
        (target,) = json.loads(file.read_text())
        assert target["labels"] == {"variant": "a", "repetition": "1"}
        answer = requests.get(f"http://{target['targets'][0]}/metrics", timeout=5)
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        scrape = Scrape(answer.text)
        assert scrape.total("taskqueue_tasks_started_total", task="t", queue="q") == 1
        assert scrape.total("shop_orders_total") == 1
    assert not list(tmp_path.iterdir())
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{target['targets'][0]}/metrics", timeout=5)


def test_its_last_records_are_written_once(tmp_path: Path) -> None:
    with serving(TASKQUEUE_TRACES_DIR=str(tmp_path)) as telemetry:
        run_task(telemetry)
    telemetry.close()
    assert [span.task_id for span in read_spans(tmp_path)] == ["1"]


def test_a_service_may_have_any_name(tmp_path: Path) -> None:
    folders = {"TASKQUEUE_TRACES_DIR": str(tmp_path), "TASKQUEUE_TARGETS_DIR": str(tmp_path)}
    with serving(OTEL_SERVICE_NAME="payments/api\\v1", **folders) as telemetry:
        run_task(telemetry)
        assert len(list(tmp_path.glob("payments_api_v1-celery-*.json"))) == 1
    assert [span.task_id for span in read_spans(tmp_path)] == ["1"]


def test_a_target_that_is_another_processs_by_now_stays(tmp_path: Path) -> None:
    with serving(TASKQUEUE_TARGETS_DIR=str(tmp_path)):
        (file,) = tmp_path.iterdir()
        file.write_text("another's")
    assert file.read_text() == "another's"


def test_it_ends_before_what_replaces_the_process_at_exit(tmp_path: Path) -> None:
    code = """
import atexit, os, sys
from instrumentation.telemetry import Telemetry
from test_instrumentation_telemetry import run_task
telemetry = Telemetry("celery", {"TASKQUEUE_TRACES_DIR": sys.argv[1]})
telemetry.start()
atexit.register(os._exit, 7)  # as Celery does on SIGHUP, where it becomes a new worker
telemetry.close_first()
run_task(telemetry)
"""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environ, check=False)
    assert done.returncode == 7
    assert [span.task_id for span in read_spans(tmp_path)] == ["1"]


class Broken(Collector):
    def collect(self) -> Iterator[Metric]:
        raise LookupError("no such gauge")


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_a_registry_that_fails_is_told_of_once_and_takes_nothing_along(
    accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Broken())
    with serving(registry) as telemetry:
        run_task(telemetry)
        assert telemetry._server
        for _ in range(3):
            answer = requests.get(
                f"http://{telemetry._server.address}/metrics", headers={"Accept": accept}, timeout=5
            )
            assert 'taskqueue_tasks_started_total{task="t",queue="q"} 1' in answer.text
    (said,) = [r for r in caplog.records if "registry are not served" in r.getMessage()]
    assert said.exc_info


def test_a_scrape_that_fails_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as telemetry:
        monkeypatch.setattr(telemetry._collector, "exposition", lambda **_: 1 / 0)
        assert telemetry._server
        for _ in range(3):
            with pytest.raises(requests.ConnectionError):
                requests.get(f"http://{telemetry._server.address}/metrics", timeout=5)
    assert [r for r in caplog.records if "a scrape failed" in r.getMessage()] == caplog.records
    assert len(caplog.records) == 1


def test_it_listens_on_ipv6_too() -> None:
    with serving(OTEL_EXPORTER_PROMETHEUS_HOST="::1") as telemetry:
        assert telemetry._server
        assert telemetry._server.address.startswith("[::1]:")
        assert requests.get(f"http://{telemetry._server.address}/metrics", timeout=5).ok


def test_a_closed_folder_of_targets_may_be_gone(tmp_path: Path) -> None:
    with serving(TASKQUEUE_TARGETS_DIR=str(tmp_path / "t")):
        pass
    (tmp_path / "t").mkdir()
    with serving(TASKQUEUE_TARGETS_DIR=str(tmp_path / "t")):
        (file,) = (tmp_path / "t").iterdir()
        file.unlink()
        (tmp_path / "t").rmdir()


@pytest.mark.parametrize("port", ["busy", "99999999", "-1", "eighty"])
def test_a_port_that_cannot_be_had_is_said(port: str, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1]) if port == "busy" else port
        with serving(OTEL_EXPORTER_PROMETHEUS_PORT=number):
            pass
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("text", "ratio"), [("0.5", 0.5), ("1", 1.0), ("", 0.01), ("often", 0.01), (None, 0.01)]
)
def test_sample_ratio(text: str | None, ratio: float) -> None:
    environ = {} if text is None else {"OTEL_TRACES_SAMPLER_ARG": text}
    assert Telemetry("celery", environ).sample_ratio == ratio


@pytest.mark.parametrize("traces", [True, False])
def test_memory_stays_flat_when_nobody_scrapes(
    traces: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_DRAIN_AFTER_SECONDS", 0.01)
    environ = {"TASKQUEUE_TRACES_DIR": str(tmp_path)} if traces else {}
    with serving(**environ) as telemetry:
        for number in range(30_000):
            run_task(telemetry, str(number))
            if number % 1_000 == 0:
                eventually(lambda: len(telemetry.recorder) < 10_000, "a drain")
        eventually(lambda: len(telemetry.recorder) == 0, "the last drain")
        text = telemetry._exposition()
        assert Scrape(text).total("taskqueue_execution_seconds_count") == 30_000
        assert not telemetry._collector._unacknowledged
    if traces:
        (file,) = tmp_path.glob("*.jsonl")
        lines = file.read_text().splitlines()
        assert sum(line.count('"name":"process t"') for line in lines) == 30_000


def test_the_drain_outlives_a_defect(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_DRAIN_AFTER_SECONDS", 0.01)
    with serving() as telemetry:
        for lost in (1, 2):
            telemetry.recorder.append((DONE, "too short"))
            eventually(
                lambda n=lost: f"taskqueue_records_dropped_total {n}\n" in telemetry._exposition(),  # type: ignore[misc]
                "the loss is counted",
            )
        telemetry.recorder.append((STARTED, "t", "q", 1, 1, "id", 1))
        eventually(
            lambda: (
                'taskqueue_tasks_started_total{task="t",queue="q"} 1' in telemetry._exposition()
            ),
            "the next one is told of",
        )
    (record,) = [r for r in caplog.records if "telemetry was lost" in r.getMessage()]
    assert record.exc_info
