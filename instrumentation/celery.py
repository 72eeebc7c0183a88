"""Celery: what is wrapped, and where each instant is taken.

| instant | taken in |
|---|---|
| sent, accepted | around `amqp.send_task_message`, which every publish goes through |
| received | the `task_received` signal, in the consumer's process |
| started, completed | around the task's own `run`, in the pool's process or thread |
| acknowledged | after `Request.acknowledge`, in the consumer's process, where it comes late |
"""

import threading
from collections.abc import Callable
from time import time_ns
from typing import TYPE_CHECKING, Any

from celery import signals
from celery._state import get_current_task
from celery.app import amqp, trace
from celery.worker import consumer, request

from instrumentation.attempt import Attempt, describe
from instrumentation.propagation import (
    RECEIVED,
    SCHEDULED,
    SENT,
    TRACEPARENT,
    instant,
    scheduled_instant,
    sender_ids,
)
from instrumentation.records import ACK_PENDING, ACKED, FAILURE, RETRY, SUCCESS
from instrumentation.records import SENT as SENT_KIND
from instrumentation.wrap import Undo, undo_all, wrap

if TYPE_CHECKING:
    from instrumentation.telemetry import Telemetry

_OUTCOMES = {"RETRY": RETRY, "IGNORED": SUCCESS}
_running = threading.local()


def instrument(telemetry: "Telemetry") -> Undo:
    """Instrument producers and workers of this process; the result takes it all back."""
    undo: list[Undo] = []
    undo += [
        wrap(amqp.AMQP, "_create_task_sender", lambda make: _sending(make, telemetry)),
        wrap(trace, "build_tracer", lambda build: _tracing(build, telemetry, undo)),
        wrap(consumer.consumer, "build_tracer", lambda build: _tracing(build, telemetry, undo)),
        wrap(request.Request, "acknowledge", lambda ack: _acknowledging(ack, telemetry)),
    ]
    signals.task_received.connect(_note_received, weak=False)
    undo.append(lambda: signals.task_received.disconnect(_note_received))
    return undo_all(undo)


def _sending(make: Callable[..., Any], telemetry: "Telemetry") -> Callable[..., Any]:
    def create(self: amqp.AMQP) -> Callable[..., Any]:
        send = make(self)

        def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
            headers = message.headers
            ids, parent = sender_ids(telemetry.sample_ratio)
            queue = _queue_name(options.get("queue"), options.get("routing_key"), self)
            scheduled = scheduled_instant() or _first_sent(headers["id"])
            sent = time_ns()
            headers.update({TRACEPARENT: ids.traceparent(), SCHEDULED: scheduled, SENT: sent})
            error = None
            try:
                return send(producer, name, message, **options)
            except Exception as failure:
                error = describe(failure)
                raise
            finally:
                telemetry.recorder.append((
                    SENT_KIND, name, queue, headers["id"], ids.traceparent(), parent,
                    scheduled, sent, time_ns(), error,
                ))  # fmt: skip

        return send_task_message

    return create


def _queue_name(queue: Any, routing_key: str | None, app_amqp: amqp.AMQP) -> str:
    name = getattr(queue, "name", queue) or routing_key or app_amqp.default_queue.name
    return str(name)


def _first_sent(task_id: str) -> int:
    """For a retry: when the task was first wanted, so that end-to-end spans all attempts."""
    task = get_current_task()
    if task is None or task.request.id != task_id:
        return 0
    carrier = task.request.__dict__
    return instant(carrier, SCHEDULED) or instant(carrier, SENT)


def _note_received(request: request.Request, **_signal: Any) -> None:
    # What stands in the request's dict travels to the pool, whatever kind of pool that is.
    request.request_dict[RECEIVED] = time_ns()


def _tracing(
    build: Callable[..., Any], telemetry: "Telemetry", undo: list[Undo]
) -> Callable[..., Any]:
    def build_tracer(name: str, task: Any, *args: Any, **options: Any) -> Callable[..., Any]:
        if "run" not in vars(task):  # a child forked later inherits what its parent set
            undo.append(wrap(task, "run", _timing))
        traced = build(name, task, *args, **options)
        return _attempting(traced, name, task, telemetry)

    return build_tracer


def _timing(run: Callable[..., Any]) -> Callable[..., Any]:
    def timed_run(*args: Any, **kwargs: Any) -> Any:
        attempt: Attempt | None = getattr(_running, "attempt", None)
        if attempt is None or attempt.started:  # called directly, perhaps by another task
            return run(*args, **kwargs)
        attempt.start()
        try:
            return run(*args, **kwargs)
        except BaseException as error:
            attempt.error = describe(error)
            raise
        finally:
            attempt.completed = time_ns()

    return timed_run


def _attempting(
    traced: Callable[..., Any], name: str, task: Any, telemetry: "Telemetry"
) -> Callable[..., Any]:
    late = bool(task.acks_late)

    def trace_task(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:
        request = request or {}
        attempt = Attempt(
            telemetry.recorder,
            task=name,
            queue=_routing_key(request),
            task_id=uuid,
            number=request.get("retries", 0) + 1,
            carrier=request,
        )
        attempt.acked = ACK_PENDING if late else 0
        previous = getattr(_running, "attempt", None)
        _running.attempt = attempt
        attempt.enter()
        try:
            result = traced(uuid, args, kwargs, request)
            info = result[1]
            attempt.outcome = _OUTCOMES.get(info.state, FAILURE) if info else SUCCESS
            return result
        finally:
            _running.attempt = previous
            attempt.complete()
            attempt.record()

    return trace_task


def _routing_key(request: Any) -> str:
    delivery = request.get("delivery_info") or {}
    return delivery.get("routing_key") or "celery"


def _acknowledging(acknowledge: Callable[..., Any], telemetry: "Telemetry") -> Callable[..., Any]:
    def acknowledge_and_note(self: request.Request) -> None:
        acknowledge(self)
        if self.task.acks_late:
            attempt = self.request_dict.get("retries", 0) + 1
            telemetry.recorder.append((ACKED, self.id, attempt, time_ns()))

    return acknowledge_and_note
