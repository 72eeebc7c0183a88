"""The instrumentors: on, off and on again, what they are given, and which process serves."""

import asyncio
import json
import multiprocessing
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from asynctasq.core.dispatcher import Dispatcher
from asynctasq.core.worker import Worker
from asynctasq.drivers.redis_driver import RedisDriver
from asynctasq.tasks import FunctionTask
from asynctasq.tasks.services.executor import TaskExecutor
from celery import Celery, signals
from celery.worker import request
from opentelemetry.instrumentation.celery import CeleryInstrumentor as StockInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, Counter
from test_instrumentation_undo import ASYNCTASQ, CELERY, contents
from workers import Scrape, eventually, read_spans

from instrumentation import telemetry as telemetry_module
from instrumentation.asynctasq import AsyncTasQInstrumentor
from instrumentation.celery import CeleryInstrumentor
from instrumentation.instrumentor import TaskQueueInstrumentor
from instrumentation.telemetry import Telemetry

BOTH = pytest.mark.parametrize("kind", [CeleryInstrumentor, AsyncTasQInstrumentor])
SENT = "taskqueue_tasks_sent_total"
type Kind = type[TaskQueueInstrumentor]


class Nowhere(RedisDriver):
    """A broker that takes everything, and keeps what it took."""

    taken: list[bytes]

    def __init__(self) -> None:
        super().__init__()
        self.taken = []

    async def enqueue(self, queue: str, task: bytes, *_rest: Any, **_named: Any) -> None:  # noqa: ARG002
        self.taken.append(task)


def nothing() -> None:
    """Be a task."""


def send_celery() -> dict[str, Any]:
    """Send one task to a broker in memory; return the headers of its message."""
    app = Celery(broker="memory://", set_as_current=False)
    with app.connection() as connection, connection.SimpleQueue("shop") as queue:
        app.send_task("plain", queue="shop", connection=connection)
        message = queue.get(timeout=5)
        message.ack()
    app.close()
    return dict(message.headers)


def send_asynctasq() -> bytes:
    """Send one task; return its message."""
    driver = Nowhere()
    asyncio.run(Dispatcher(driver).dispatch(FunctionTask(nothing)))
    return driver.taken[0]


SEND: dict[Kind, Callable[[], Any]] = {
    CeleryInstrumentor: send_celery,
    AsyncTasQInstrumentor: send_asynctasq,
}


def start_worker(kind: Kind) -> None:
    """Do what a worker does first."""
    if kind is CeleryInstrumentor:
        signals.worker_init.send(sender=None)
    else:
        with pytest.raises(AttributeError):  # it comes no further, for it is no worker
            asyncio.run(Worker.start(None))  # type: ignore[arg-type]
        asyncio.set_event_loop_policy(None)  # it came so far


def targets(directory: Path) -> list[str]:
    files = directory.glob("*.json")
    return [json.loads(file.read_text())[0]["targets"][0] for file in files]


def scrape(address: str) -> Scrape:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        return Scrape(answer.read().decode())


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("TASKQUEUE_TARGETS_DIR", str(tmp_path))
    monkeypatch.setattr(telemetry_module, "_DRAIN_AFTER_SECONDS", 0.01)
    yield
    for kind in SEND:
        if kind().is_instrumented_by_opentelemetry:
            kind().uninstrument()


def test_the_entry_points_lead_to_them() -> None:
    found = {e.name: e.load() for e in entry_points(group="opentelemetry_instrumentor")}
    ours = {name: kind for name, kind in found.items() if name.startswith("taskqueue_")}
    assert ours == {f"taskqueue_{kind.system}": kind for kind in SEND}


@BOTH
def test_uninstrumenting_restores_the_framework_exactly(kind: Kind) -> None:
    owners = CELERY if kind is CeleryInstrumentor else ASYNCTASQ
    before = contents(owners)
    receivers = [list(s.receivers or ()) for s in (signals.task_revoked, signals.worker_init)]
    for _ in range(2):
        kind().instrument()
        assert contents(owners) != before
        kind().uninstrument()
        after = contents(owners)
        for owner in owners:
            assert after[owner].keys() == before[owner].keys()
            assert all(after[owner][name] is before[owner][name] for name in before[owner])
    assert receivers == [
        list(s.receivers or ()) for s in (signals.task_revoked, signals.worker_init)
    ]


@BOTH
def test_a_version_that_is_not_known_is_left_alone(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kind, "requirement", f"{kind.system} >= 99")
    kind().instrument(skip_dep_check=True)  # as opentelemetry-instrument does
    assert not kind().is_instrumented_by_opentelemetry
    (record,) = caplog.records
    assert f"{kind.system} >= 99" in record.getMessage()


@BOTH
def test_a_framework_that_lost_something_is_left_whole_and_nothing_goes_on(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = CELERY if kind is CeleryInstrumentor else ASYNCTASQ
    lost = request.Request if kind is CeleryInstrumentor else TaskExecutor
    monkeypatch.delattr(lost, "on_failure" if kind is CeleryInstrumentor else "should_retry")
    before, threads = contents(owners), set(threading.enumerate())
    with pytest.raises(AttributeError):
        kind().instrument()
    assert contents(owners) == before
    eventually(lambda: set(threading.enumerate()) <= threads, "its threads ended")
    kind().uninstrument()


@BOTH
def test_a_worker_serves_when_it_starts_and_no_more_when_it_is_uninstrumented(
    kind: Kind, tmp_path: Path
) -> None:
    registry = CollectorRegistry()
    Counter("shop_orders", "Orders.", registry=registry).inc()
    for _ in range(2):
        kind().instrument(registry=registry)
        assert not targets(tmp_path)
        start_worker(kind)
        (address,) = targets(tmp_path)
        assert scrape(address).total("shop_orders_total") == 1
        kind().uninstrument()
        assert not targets(tmp_path)
        with pytest.raises(OSError, match="refused"):
            scrape(address)


@BOTH
def test_another_process_serves_once_it_has_sent_a_task(kind: Kind, tmp_path: Path) -> None:
    kind().instrument()
    SEND[kind]()
    (address,) = eventually(lambda: targets(tmp_path), "the port")
    assert scrape(address).total(SENT) == 1


@BOTH
def test_spans_go_through_the_given_provider(kind: Kind) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    kind().instrument(tracer_provider=provider)
    SEND[kind]()
    kind().uninstrument()
    (span,) = exporter.get_finished_spans()
    assert span.name.startswith("send ")
    assert (span.attributes or {})["messaging.system"] == kind.system


@BOTH
def test_a_telemetry_of_ones_own_stays_open(kind: Kind) -> None:
    telemetry = Telemetry(kind.system, {})
    kind().instrument(telemetry=telemetry)
    SEND[kind]()
    kind().uninstrument()
    assert Scrape(telemetry._exposition()).total(SENT) == 1
    SEND[kind]()
    assert Scrape(telemetry._exposition()).total(SENT) == 1
    telemetry.close()


@BOTH
def test_what_is_suppressed_is_sent_untouched(kind: Kind) -> None:
    telemetry = Telemetry(kind.system, {})
    kind().instrument(telemetry=telemetry)
    with suppress_instrumentation():
        untouched = SEND[kind]()
    assert len(telemetry.recorder) == 0
    assert "taskqueue" not in str(untouched)
    assert "traceparent" not in str(untouched)
    assert "taskqueue" in str(SEND[kind]())
    telemetry.close()


def test_another_celery_instrumentor_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    def warned() -> list[str]:
        messages = [record.getMessage() for record in caplog.records]
        return [text for text in messages if "traced twice" in text]

    stock = StockInstrumentor()
    CeleryInstrumentor().instrument()
    stock.instrument()
    try:
        assert not warned(), "nothing has been traced yet"
        for _ in range(2):
            start_worker(CeleryInstrumentor)
    finally:
        stock.uninstrument()
    (text,) = warned()
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=celery or =taskqueue_celery" in text
    CeleryInstrumentor().uninstrument()
    CeleryInstrumentor().instrument()
    start_worker(CeleryInstrumentor)
    assert len(warned()) == 1


SPAWNED = """
import multiprocessing, os
from celery import Celery
from instrumentation.celery import CeleryInstrumentor

CeleryInstrumentor().instrument()  # in the parent, and again wherever this is imported

def idle():
    pass

def publish():
    Celery(broker="memory://", set_as_current=False).send_task("plain", queue="shop")

if __name__ == "__main__":
    for start in ("spawn", "forkserver", "fork"):
        for work in (idle, publish):
            child = multiprocessing.get_context(start).Process(target=work)
            child.start()
            child.join()
            assert child.exitcode == 0
"""


def test_children_serve_nothing_and_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SPAWNED)
    (tmp_path / "traces").mkdir()
    (tmp_path / "targets").mkdir()
    port = "1"  # which nobody may open: trying would be logged
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process", tmp_path / "app.py"],
        env={
            "PATH": "",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TASKQUEUE_TRACES_DIR": str(tmp_path / "traces"),
            "TASKQUEUE_TARGETS_DIR": str(tmp_path / "targets"),
            "OTEL_EXPORTER_PROMETHEUS_PORT": port,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [span.name for span in read_spans(tmp_path / "traces")] == ["send shop"] * 3


def test_a_forked_child_leaves_everything_to_its_parent(tmp_path: Path) -> None:
    def child() -> None:
        start_worker(CeleryInstrumentor)
        CeleryInstrumentor().uninstrument()

    telemetry = Telemetry("celery")
    CeleryInstrumentor().instrument(telemetry=telemetry)
    process = multiprocessing.get_context("fork").Process(target=child)
    with telemetry._lock:  # as it may be at any time: in the child nobody will ever release it
        process.start()
    process.join(20)
    assert process.exitcode == 0
    assert not targets(tmp_path)
    start_worker(CeleryInstrumentor)
    assert len(targets(tmp_path)) == 1
    telemetry.close()
