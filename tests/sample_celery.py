"""Celery tasks for tests of the instrumentation, named and doing as those of sample_asynctasq."""

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from celery.exceptions import Reject
from opentelemetry import trace

URL = os.environ.get("SAMPLE_REDIS_URL", "redis://127.0.0.1:1")
QUEUE = "shop"
PROBLEM = 'kaputt: "x"\n\tЖщк 🚀 \ud800'

RESULTS = "SAMPLE_RESULTS" in os.environ

app = Celery("sample", broker=f"{URL}/1", set_as_current=False)
app.conf.update(
    task_default_queue=QUEUE,
    result_backend=f"{URL}/2" if RESULTS else None,
    task_ignore_result=not RESULTS,
    task_acks_late="SAMPLE_LATE" in os.environ,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


def pass_gate(gate: str) -> None:
    """Say that the task runs, and wait until the test lets it end."""
    with redis.Redis.from_url(f"{URL}/3") as client:
        client.incr(f"{gate}:running")
        while not client.exists(f"{gate}:open"):
            time.sleep(0.005)


@app.task(name="ok")
def ok() -> None:
    """Do nothing, well."""


@app.task(name="fail")
def fail() -> None:
    raise LookupError(PROBLEM)


@app.task(name="flaky", bind=True, max_retries=1)
def flaky(self: Any) -> None:
    if self.request.retries == 0:
        raise self.retry(exc=LookupError("not yet"), countdown=0)


@app.task(name="flaky_auto", autoretry_for=(LookupError,), max_retries=1, default_retry_delay=0)
def flaky_auto(gate: str) -> None:
    with redis.Redis.from_url(f"{URL}/3") as client:
        first = client.incr(gate) == 1
    time.sleep(0.02)
    if first:
        raise LookupError("not yet")


@app.task(name="where", bind=True)
def where(self: Any, *_results: Any) -> None:
    """Tell which span is the current one."""
    ids = trace.get_current_span().get_span_context()
    with redis.Redis.from_url(f"{URL}/3") as client:
        client.set(f"where:{self.request.id}", f"{ids.trace_id:032x}-{ids.span_id:016x}")


@app.task(name="early")
def early(*_results: Any) -> str:
    if trace.get_current_span() is not None:
        return "early"
    raise AssertionError


@app.task(name="signs", bind=True)
def signs(self: Any, book: str) -> None:
    """Sign in, work for a moment, and sign out: the last that it does is one write."""
    file = os.open(book, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"in {os.getpid()} {self.request.id}\n".encode())
    time.sleep(random.uniform(0, 0.01))  # noqa: S311
    os.write(file, f"out {os.getpid()} {self.request.id}\n".encode())


@app.task(name="later", bind=True, max_retries=1)
def later(self: Any) -> None:
    if self.request.retries == 0:
        raise self.retry(exc=LookupError("not yet"), countdown=1)


@app.task(name="soft_limit", soft_time_limit=1)
def soft_limit() -> None:
    time.sleep(30)


@app.task(name="hard_limit", time_limit=1)
def hard_limit() -> None:
    time.sleep(30)


@app.task(name="too_long", soft_time_limit=1)
def too_long() -> None:
    time.sleep(30)


@app.task(name="in_thread")
def in_thread() -> None:
    """Do in a child of the pool what AsyncTasQ's task of this name does in a thread."""
    inner.run()


@app.task(name="in_process")
def in_process() -> int:
    return os.getpid()


@app.task(name="process_fails")
def process_fails() -> None:
    raise LookupError(PROBLEM)


@app.task(name="turned_down")
def turned_down() -> None:
    raise Reject("not me", requeue=False)


@app.task(name="parent")
def parent() -> None:
    ok.delay()


@app.task(name="inner")
def inner() -> None:
    with trace.get_tracer("sample").start_as_current_span("call"):
        pass


@app.task(name="gated")
def gated(gate: str) -> None:
    pass_gate(gate)


@app.task(name="calls_in_place")
def calls_in_place() -> None:
    ok.apply()
    ok()


@app.task(name="pid_of_child")
def pid_of_child(gate: str) -> None:
    with redis.Redis.from_url(f"{URL}/3") as client:
        client.rpush(gate, os.getpid(), *_open_files())


def _open_files() -> list[str]:
    links = Path("/proc/self/fd").iterdir()
    return [str(link.readlink()) for link in links if link.is_symlink()]


@app.task(name="killed")
def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="exits")
def exits() -> None:
    sys.exit(3)


@app.task(name="exits_once", reject_on_worker_lost=True)
def exits_once(gate: str) -> None:
    with redis.Redis.from_url(f"{URL}/3") as client:
        if client.incr(gate) == 1:
            sys.exit(3)
