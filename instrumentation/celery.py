"""Celery: what is wrapped, and where each instant is taken.

| instant | taken in |
|---|---|
| sent, accepted | around `amqp.send_task_message`, which every publish goes through |
| received | the `task_received` signal, in the consumer's process |
| started, completed | around the task's own `run`, in the pool's process or thread |
| acknowledged | after `Request.acknowledge`, in the consumer's process, where it comes late |

A task whose process was lost is recorded by the consumer's process, in `Request.on_failure`.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from time import time_ns
from typing import TYPE_CHECKING, Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import _state, signals
from celery.app import amqp, trace
from celery.exceptions import Retry
from celery.worker import consumer, request

from instrumentation.attempt import Attempt, describe
from instrumentation.carrier import UNREADABLE, pack
from instrumentation.propagation import (
    CARRIER,
    TRACEPARENT,
    current_task,
    scheduled_instant,
    sender_ids,
)
from instrumentation.records import ACK_PENDING, ACKED, FAILURE, RETRY, SUCCESS
from instrumentation.records import SENT as SENT_KIND
from instrumentation.wrap import Undo, undo_all, wrap

if TYPE_CHECKING:
    from instrumentation.telemetry import Telemetry

_OUTCOMES = {"RETRY": RETRY, "IGNORED": SUCCESS}
_OURS = "_taskqueue_wrapped"
_MOST_RETRIES = 2**31
_RECEIVED = "taskqueue-received-ns"


def instrument(telemetry: "Telemetry") -> Undo:
    """Instrument producers and workers of this process; the result takes it all back."""
    undo: list[Undo] = [_forget_built]
    undo += [
        wrap(amqp.AMQP, "_create_task_sender", lambda make: _sending(make, telemetry)),
        wrap(trace, "build_tracer", lambda build: _tracing(build, telemetry, undo)),
        wrap(consumer.consumer, "build_tracer", lambda build: _tracing(build, telemetry, undo)),
        wrap(request.Request, "acknowledge", lambda ack: _settling(ack, telemetry, time_ns)),
        wrap(request.Request, "reject", lambda reject: _settling(reject, telemetry, lambda: 0)),
        wrap(request.Request, "on_failure", lambda fail: _noting_lost(fail, telemetry)),
    ]
    signals.task_received.connect(_note_received, weak=False)
    undo.append(lambda: signals.task_received.disconnect(_note_received))
    _forget_built()
    return undo_all(undo)


def _forget_built() -> None:
    """Have apps build anew what they keep: senders from before, and tracers of ours."""
    for app in _state._get_active_apps():
        vars(vars(app).get("amqp", app)).pop("send_task_message", None)
        for task in app._tasks.values():
            if built := getattr(vars(task).get("__trace__"), _OURS, None):
                task.__trace__ = built


def _sending(make: Callable[..., Any], telemetry: "Telemetry") -> Callable[..., Any]:
    def create(self: amqp.AMQP) -> Callable[..., Any]:
        send = make(self)

        def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
            traceparent, parent = sender_ids(telemetry.sample_ratio)
            queue = _queue_name(options.get("queue"), options.get("routing_key"), self)
            task_id = str(message.properties.get("correlation_id", ""))
            scheduled, sent, error = scheduled_instant(), time_ns(), None
            due = _due(message.headers, sent)
            wanted = scheduled + max(due - sent, 0) if scheduled else _first_wanted(task_id)
            # Celery lays these over the message's own headers, and a retry brings all headers of
            # the attempt before it along.
            headers = dict(options.get("headers") or ())
            headers.pop(_RECEIVED, None)
            headers[TRACEPARENT] = traceparent
            headers[CARRIER] = pack(traceparent, wanted, sent, due)
            try:
                return send(producer, name, message, **{**options, "headers": headers})
            except BaseException as failure:
                error = describe(failure)
                raise
            finally:
                telemetry.recorder.append((
                    SENT_KIND, name, queue, task_id, traceparent, parent,
                    scheduled, sent, time_ns(), error,
                ))  # fmt: skip

        return send_task_message

    return create


def _due(headers: Mapping[str, Any], sent: int) -> int:
    """Return until when the sender wants the task to wait; 0 for not at all."""
    eta = headers.get("eta")
    if not eta:
        return 0
    with suppress(TypeError, ValueError, OverflowError):  # whatever an application passes as eta
        due = int(datetime.fromisoformat(eta).timestamp() * 1e9)
        return due if due > sent else 0
    return 0


def _queue_name(queue: Any, routing_key: str | None, app_amqp: amqp.AMQP) -> str:
    name = getattr(queue, "name", queue) or routing_key or app_amqp.default_queue.name
    return str(name)


def _first_wanted(task_id: str) -> int:
    """For a retry: when the task was first wanted, so that end-to-end spans all attempts."""
    attempt = current_task.get()
    if isinstance(attempt, Attempt) and attempt.task_id == task_id:
        return attempt.wanted()
    return 0


def _note_received(request: request.Request, **_signal: Any) -> None:
    # What stands in the request's dict travels to the pool, whatever kind of pool that is.
    request.request_dict[_RECEIVED] = time_ns()


def _tracing(
    build: Callable[..., Any], telemetry: "Telemetry", undo: list[Undo]
) -> Callable[..., Any]:
    def build_tracer(name: str, task: Any, *args: Any, **options: Any) -> Callable[..., Any]:
        if options.get("eager"):  # called on the spot: it was never sent
            return build(name, task, *args, **options)
        if not hasattr(task.run, _OURS):  # a child forked later inherits what its parent set
            undo.append(wrap(task, "run", _timing))
        traced = build(name, task, *args, **options)
        return _attempting(traced, name, task, telemetry)

    return build_tracer


def _timing(run: Callable[..., Any]) -> Callable[..., Any]:
    def timed_run(*args: Any, **kwargs: Any) -> Any:
        attempt = current_task.get()
        if not isinstance(attempt, Attempt) or attempt.started:  # called by another task
            return run(*args, **kwargs)
        attempt.start()
        try:
            return run(*args, **kwargs)
        finally:
            attempt.ended()

    setattr(timed_run, _OURS, run)
    return timed_run


def _attempting(
    traced: Callable[..., Any], name: str, task: Any, telemetry: "Telemetry"
) -> Callable[..., Any]:
    late = bool(task.acks_late)

    def trace_task(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:
        request = request or {}
        attempt = _attempt_of(name, uuid, request, telemetry)
        attempt.acked = ACK_PENDING if late else 0
        error = None
        attempt.enter()
        try:
            result = traced(uuid, args, kwargs, request)
            attempt.outcome, error = _outcome(result[1])
        except BaseException as failure:
            attempt.outcome, error = FAILURE, failure
            raise
        else:
            return result
        finally:
            attempt.complete(error)
            attempt.record()

    setattr(trace_task, _OURS, traced)
    return trace_task


def _attempt_of(
    name: str, task_id: str, request: Mapping[str, Any], telemetry: "Telemetry"
) -> Attempt:
    attempt = telemetry.recorder.attempt()
    attempt.task, attempt.task_id, attempt.queue = name, str(task_id), _routing_key(request)
    attempt.number = _number(request)
    # A sender with another instrumentation says less.
    carrier = request.get(CARRIER) or request.get(TRACEPARENT) or ""
    attempt.carrier = carrier if isinstance(carrier, str) else UNREADABLE
    received = request.get(_RECEIVED)
    attempt.received = received if type(received) is int else 0
    return attempt


def _outcome(info: Any) -> tuple[str, BaseException | None]:
    """Read Celery's verdict; None stands for success."""
    outcome = _OUTCOMES.get(info.state, FAILURE) if info else SUCCESS
    if outcome == SUCCESS:
        return SUCCESS, None
    error = info.retval
    if isinstance(error, Retry) and isinstance(error.exc, BaseException):
        error = error.exc  # what went wrong, rather than what is done about it
    return outcome, error if isinstance(error, BaseException) else None


def _number(request: Mapping[str, Any]) -> int:
    retries = request.get("retries")
    return retries + 1 if type(retries) is int and 0 <= retries < _MOST_RETRIES else 1


def _routing_key(request: Mapping[str, Any]) -> str:
    with suppress(AttributeError):  # whoever sent it
        return str((request.get("delivery_info") or {}).get("routing_key") or "celery")
    return "celery"


def _settling(
    settle: Callable[..., Any], telemetry: "Telemetry", clock: Callable[[], int]
) -> Callable[..., Any]:
    """Say when a message was acknowledged, or with 0 that it never will be."""

    def settle_and_note(self: request.Request, *args: Any, **kwargs: Any) -> None:
        settled_before = self.acknowledged
        settle(self, *args, **kwargs)
        if self.task.acks_late and not settled_before:
            telemetry.recorder.append((ACKED, str(self.id), _number(self.request_dict), clock()))

    return settle_and_note


def _noting_lost(fail: Callable[..., Any], telemetry: "Telemetry") -> Callable[..., Any]:
    """Record the attempt whose process was killed: nobody else can."""

    def on_failure(self: request.Request, exc_info: Any, *args: Any, **kwargs: Any) -> None:
        fail(self, exc_info, *args, **kwargs)
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, (TimeLimitExceeded, WorkerLostError)):
            attempt = _attempt_of(self.task.name, self.id, self.request_dict, telemetry)
            # Its process said that it started, but told only the pool's acceptance to this one.
            attempt.started, attempt.completed = int((self.time_start or 0) * 1e9), time_ns()
            attempt.counted = True
            again = self.task.acks_late and self.task.reject_on_worker_lost
            attempt.outcome, attempt.error = RETRY if again else FAILURE, describe(error)
            attempt.record()

    return on_failure
