"""Whose end is an attempt's end: Celery's tracer, called as a worker would call it."""

import time
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from typing import Any

import pytest
from celery import Celery, Task, signals
from celery.app import trace
from celery.exceptions import Reject

from instrumentation import celery, sent_rows
from instrumentation.attempt import Attempt
from instrumentation.records import RETRY, REVOKED, SUCCESS
from instrumentation.telemetry import Telemetry


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry("celery", {"OTEL_TRACES_SAMPLER": "always_off"})
    undo = celery.instrument(telemetry)
    yield telemetry
    undo()


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery(broker="memory://", backend="cache+memory://", set_as_current=False)
    yield app
    app.close()


def traced(telemetry: Telemetry, app: Celery, task: Any, **info: Any) -> Attempt:
    """Run a task as a worker does; return its attempt."""
    tracer = trace.build_tracer(task.name, task, app=app)
    request = {"id": "a", "delivery_info": {"routing_key": "celery", "exchange": "", **info}}
    with suppress(Reject):
        tracer("a", (), {}, request)
    _, ended, _, _ = telemetry.recorder.drain()
    return ended[-1]


def test_a_task_that_calls_its_run_twice_ends_with_the_second(
    telemetry: Telemetry, app: Celery
) -> None:
    ends = []

    class Again(Task):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            self.run(*args, **kwargs)
            return self.run(*args, **kwargs)

    @app.task(name="again", base=Again)
    def again() -> None:
        ends.append(time.time_ns())

    attempt = traced(telemetry, app, again)
    assert attempt.started <= ends[0] < ends[1] <= attempt.completed


def test_what_a_signal_calls_before_is_not_the_task(telemetry: Telemetry, app: Celery) -> None:
    began = []

    @app.task(name="helper")
    def helper() -> None:
        pass

    @app.task(name="main")
    def main() -> None:
        began.append(time.time_ns())

    def before(**_signal: Any) -> None:
        helper()
        began.append(time.time_ns())

    trace.build_tracer(helper.name, helper, app=app)
    signals.task_prerun.connect(before, sender=main)
    attempt = traced(telemetry, app, main)
    called, own = began
    assert called <= attempt.started <= own <= attempt.completed


def test_a_task_may_be_called_by_an_enum(telemetry: Telemetry, app: Celery) -> None:
    name = StrEnum("Names", {"PAY": "shop.pay"}).PAY  # type: ignore[attr-defined]

    @app.task(name=name)
    def pay() -> None:
        pass

    attempt = traced(telemetry, app, pay)
    assert (attempt.task, type(attempt.task)) == ("shop.pay", str)
    assert 0 < attempt.started <= attempt.completed
    pay.delay()
    recorder = telemetry.recorder
    rows, _ = sent_rows.read(recorder.drain().sent_rows, recorder.sent_kinds)
    (sent,) = rows.records()
    assert (sent[1], type(sent[1])) == ("shop.pay", str)


def test_what_a_handler_of_success_gives_back_is_a_retry(telemetry: Telemetry, app: Celery) -> None:
    class Refusing(Task):
        def on_success(self, *_args: Any) -> None:
            raise Reject("full", requeue=True)

    @app.task(name="refused", base=Refusing, acks_late=True)
    def refused() -> None:
        pass

    assert traced(telemetry, app, refused).outcome == RETRY


def test_a_duplicate_that_celery_skips_never_started(telemetry: Telemetry, app: Celery) -> None:
    app.conf.worker_deduplicate_successful_tasks = True
    runs = []

    @app.task(name="once", acks_late=True)
    def once() -> None:
        runs.append(1)

    trace.successful_requests.add("a")
    try:
        skipped = traced(telemetry, app, once, redelivered=True)
    finally:
        trace.successful_requests.discard("a")
    first = traced(telemetry, app, once)
    assert runs == [1]
    assert (first.outcome, first.started > 0) == (SUCCESS, True)
    assert (skipped.outcome, skipped.started) == (REVOKED, 0)
