"""Celery: what is wrapped, and where each instant is taken.

| instant | taken in |
|---|---|
| sent, accepted | around `amqp.send_task_message`, which every publish goes through |
| received | around the sending of the `task_received` signal, in the consumer's process |
| started, completed | around the task's own `run`, in the pool's process or thread |
| acknowledged | after `Request.acknowledge`, in the consumer's process, where it comes late |

The consumer's process records what never reaches a pool: what was revoked or expired
(`task_revoked`), and what nobody can run (`task_unknown`, `task_rejected`, `on_decode_error`).
And in `Request.on_failure` a task whose process was lost, killed at its time limit or terminated;
what such a process wrote itself comes first (`children`).
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from functools import partial, update_wrapper
from itertools import count
from time import time_ns
from typing import TYPE_CHECKING, Any

from instrumentation.instrumentor import TaskQueueInstrumentor, extra

with extra("celery", "billiard"):
    from billiard.common import terminate_handler_fired
    from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
    from celery import _state, signals
    from celery.app import amqp, trace
    from celery.exceptions import Reject, Retry
    from celery.worker import consumer, request, state

from instrumentation.attempt import Attempt, describe
from instrumentation.carrier import UNREADABLE, pack
from instrumentation.propagation import (
    CARRIER,
    TRACEPARENT,
    current_task,
    scheduled_instant,
    sender_ids,
    suppressed,
)
from instrumentation.recorder import BATCH
from instrumentation.records import (
    ACK_PENDING,
    ACKED,
    EXPIRED,
    FAILURE,
    LOST,
    RETRY,
    REVOKED,
    SUCCESS,
    Error,
)
from instrumentation.records import SENT as SENT_KIND
from instrumentation.routing import Queues
from instrumentation.unknown import UNKNOWN, Names, plain
from instrumentation.wrap import Undo, wrap, wrap_all

if TYPE_CHECKING:
    from instrumentation.telemetry import Telemetry

_OUTCOMES = {"RETRY": RETRY, "IGNORED": SUCCESS}
_OURS = "_taskqueue_wrapped"
#: Celery takes a task that ends so for one whose worker was lost.
_EXITS = (SystemExit, KeyboardInterrupt)
_MOST_RETRIES = 2**31
_MOST_NANOSECONDS = 2**63
_RECEIVED = "taskqueue-received-ns"
_TIMED_OUT = "_taskqueue_timed_out"
_queue_of = Queues(default="celery")


def instrument(telemetry: "Telemetry") -> Undo:
    """Instrument producers and workers of this process; the result takes it all back."""
    reject = _rejecting(telemetry)
    receivers = _receivers(telemetry, reject)
    undo: list[Undo] = [_forget_built]
    take_back = wrap_all(undo, [
        (amqp.AMQP, "_create_task_sender", lambda make: _sending(make, telemetry)),
        (trace, "build_tracer", lambda build: _tracing(build, telemetry, undo)),
        (consumer.consumer, "build_tracer", lambda build: _tracing(build, telemetry, undo)),
        (request.Request, "acknowledge", lambda ack: _settling(ack, telemetry, time_ns)),
        (request.Request, "reject", lambda reject: _settling(reject, telemetry, lambda: 0)),
        (request.Request, "on_failure", lambda fail: _noting_lost(fail, telemetry)),
        (request.Request, "on_timeout", _within_what_timed_out),
        (request.Request, "_success_was_stored", _noting_stored_success),
        (signals.task_received, "send", lambda send: _noting_received(send, telemetry)),
        (consumer.Consumer, "on_decode_error", partial(_undecodable, reject)),
    ])  # fmt: skip
    for signal, receiver in receivers.items():
        signal.connect(receiver, weak=False)
        undo.append(partial(signal.disconnect, receiver))
    _forget_built()
    return take_back


def _receivers(
    telemetry: "Telemetry", reject: Callable[..., None]
) -> Mapping[Any, Callable[..., None]]:
    """Return what hears of the tasks that no pool ever sees, and of the worker's end, by signal."""

    def unknown(message: Any, name: Any, **_signal: Any) -> None:
        reject(message, ("NotRegistered", str(name), ""), name)

    def rejected(message: Any, exc: Any, **_signal: Any) -> None:
        reject(message, describe(exc) if exc else ("InvalidTaskError", "no task message", ""))

    def worker_ends(**_signal: Any) -> None:
        telemetry.close_first()

    return {
        signals.worker_shutdown: worker_ends,
        signals.task_revoked: _noting_revoked(telemetry),
        signals.task_unknown: unknown,
        signals.task_rejected: rejected,
    }


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
            if suppressed():
                return send(producer, name, message, **options)
            traceparent, parent = sender_ids(telemetry.sample_ratio, _group(message))
            queue = _queue_name(options, self)
            task_id = str(message.properties.get("correlation_id", ""))
            scheduled, sent, error = scheduled_instant(), time_ns(), None
            due = _due(message.headers, sent, self.app.timezone)
            wanted = scheduled + max(due - sent, 0) if scheduled else _first_wanted(task_id)
            # Celery lays these over the message's own headers, and a retry brings all headers of
            # the attempt before it along.
            headers = dict(options.get("headers") or ())
            headers.pop(_RECEIVED, None)
            headers[TRACEPARENT] = traceparent
            headers[CARRIER] = pack(traceparent, wanted, sent, due)
            options["headers"] = headers
            try:
                return send(producer, name, message, **options)
            except BaseException as failure:
                error = describe(failure)
                raise
            finally:
                telemetry.recorder.sent((
                    SENT_KIND, plain(name), queue, task_id, traceparent, parent,
                    scheduled, sent, time_ns(), error,
                ))  # fmt: skip

        return send_task_message

    return create


def _group(message: Any) -> str:
    """Return the id of the group that a message, or the end of its chain, belongs to."""
    headers = message.headers
    if not headers:  # the older protocol
        return ""
    group = headers.get("group")
    if not group and (chain := message.body[2].get("chain")):
        group = chain[0].get("options", {}).get("group_id")
    return str(group) if group else ""


def _due(headers: Mapping[str, Any], sent: int, timezone: Any) -> int:
    """Return until when the sender wants the task to wait; 0 for not at all."""
    eta = headers.get("eta")
    if not eta:
        return 0
    with suppress(TypeError, ValueError, OverflowError):  # whatever an application passes as eta
        instant = datetime.fromisoformat(eta)
        aware = instant if instant.tzinfo else instant.replace(tzinfo=timezone)
        due = int(aware.timestamp() * 1e9)
        return due if due > sent else 0
    return 0


def _queue_name(options: Mapping[str, Any], app_amqp: amqp.AMQP) -> str:
    """Return the queue, as the worker will: exchange and routing key decide, where both are given.

    The router names the default queue even then.
    """
    exchange, key = options.get("exchange"), options.get("routing_key")
    if exchange and key:
        told = {"exchange": getattr(exchange, "name", exchange), "routing_key": key}
        return _queue_of({"delivery_info": told}, app_amqp.app)
    queue = options.get("queue")
    return plain(getattr(queue, "name", queue) or app_amqp.default_queue.name)


def _first_wanted(task_id: str) -> int:
    """For a retry: when the task was first wanted, so that end-to-end spans all attempts."""
    attempt = current_task.get()
    if isinstance(attempt, Attempt) and attempt.task_id == task_id:
        return attempt.wanted()
    return 0


def _noting_received(send: Callable[..., Any], telemetry: "Telemetry") -> Callable[..., Any]:
    """Note when a message was received: to find a receiver costs a signal more than all of this."""
    number = count(1)

    def send_received(sender: Any, **named: Any) -> Any:
        if received := named.get("request"):
            # What stands in the request's dict travels to the pool, whatever kind of pool that is.
            received.request_dict[_RECEIVED] = time_ns()
            if not next(number) % BATCH:
                telemetry.keep_up()
        return send(sender, **named)

    return send_received


def _tracing(
    build: Callable[..., Any], telemetry: "Telemetry", undo: list[Undo]
) -> Callable[..., Any]:
    def build_tracer(name: str, task: Any, *args: Any, **options: Any) -> Callable[..., Any]:
        if options.get("eager"):  # called on the spot: it was never sent
            return build(name, task, *args, **options)
        if not hasattr(task.run, _OURS):  # a child forked later inherits what its parent set
            undo.append(wrap(task, "run", lambda run: _timing(run, plain(name))))
        traced = build(name, task, *args, **options)
        return _attempting(traced, name, task, telemetry)

    return build_tracer


def _timing(run: Callable[..., Any], name: str) -> Callable[..., Any]:
    def timed_run(*args: Any, **kwargs: Any) -> Any:
        attempt = current_task.get()
        if not isinstance(attempt, Attempt) or attempt.task != name:  # called by another task
            return run(*args, **kwargs)
        attempt.start()
        try:
            return run(*args, **kwargs)
        finally:
            # A task may call its own `run` several times: the last to end is the outermost.
            if not attempt.recorded:
                attempt.completed = time_ns()

    update_wrapper(timed_run, run)
    setattr(timed_run, _OURS, run)
    return timed_run


def _attempting(
    traced: Callable[..., Any], name: str, task: Any, telemetry: "Telemetry"
) -> Callable[..., Any]:
    late = bool(task.acks_late)
    once = late and task.app.conf.worker_deduplicate_successful_tasks

    def trace_task(uuid: str, args: Any, kwargs: Any, request: Any = None) -> Any:
        request = request or {}
        attempt = _attempt_of(name, uuid, request, task.app, telemetry)
        attempt.acked = ACK_PENDING if late else 0
        error = None
        attempt.enter()
        try:
            result = traced(uuid, args, kwargs, request)
            attempt.outcome, error = _outcome(result[1])
            if once and attempt.outcome == SUCCESS and not attempt.started:
                attempt.outcome = REVOKED  # a duplicate, of which Celery knew the result
        except BaseException as failure:
            attempt.outcome, error = _stopped(failure, task, attempt), failure
            raise
        else:
            return result
        finally:
            attempt.complete(error)
            if attempt.outcome:
                attempt.record()

    setattr(trace_task, _OURS, traced)
    return trace_task


def _stopped(failure: BaseException, task: Any, attempt: Attempt) -> str:
    """Return the outcome of an attempt that was stopped from outside; "" if its parent knows it."""
    kind = type(failure)
    if isinstance(failure, Reject) and failure.requeue:  # by a handler of the task's success
        return RETRY
    if kind is SystemExit and terminate_handler_fired():
        return ""
    if issubclass(kind, _EXITS):
        return _outcome_of_lost_worker(task, attempt.number)
    # A greenlet is stopped by an exception: at its time limit, or when it is revoked.
    if kind.__name__ == "Timeout":
        return _outcome_of_timeout(task)
    revoked = kind.__name__ == "GreenletExit" and attempt.task_id in state.revoked
    return REVOKED if revoked else FAILURE


def _attempt_of(
    name: str, task_id: str, request: Mapping[str, Any], app: Any, telemetry: "Telemetry"
) -> Attempt:
    return _filled(telemetry.recorder.attempt(), name, task_id, request, app)


def _filled(
    attempt: Attempt, name: str, task_id: str, request: Mapping[str, Any], app: Any
) -> Attempt:
    attempt.task, attempt.task_id = plain(name), str(task_id)
    attempt.queue = _queue_of(request, app)
    attempt.number = _number(request)
    attempt.carrier = request.get(CARRIER) or _foreign(request)
    if not isinstance(attempt.carrier, str):
        attempt.carrier = UNREADABLE
    received: Any = request.get(_RECEIVED)
    if type(received) is int and 0 < received < _MOST_NANOSECONDS:
        attempt.received = received
    return attempt


def _foreign(request: Mapping[str, Any]) -> Any:
    """Return what a sender of another kind says: perhaps of a trace, and of when it is due."""
    traceparent = request.get(TRACEPARENT) or ""
    if due := _due(request, 0, UTC):
        return pack(str(traceparent), 0, 0, due)
    return traceparent


def _outcome(info: Any) -> tuple[str, BaseException | None]:
    """Read Celery's verdict; None stands for success."""
    outcome = _OUTCOMES.get(info.state, FAILURE) if info else SUCCESS
    if outcome == SUCCESS:
        return SUCCESS, None
    error = info.retval
    if isinstance(error, Reject) and error.requeue:
        return RETRY, error
    if isinstance(error, Retry) and isinstance(error.exc, BaseException):
        error = error.exc  # what went wrong, rather than what is done about it
    return outcome, error if isinstance(error, BaseException) else None


def _number(request: Mapping[str, Any]) -> int:
    retries = request.get("retries")
    return retries + 1 if type(retries) is int and 0 <= retries < _MOST_RETRIES else 1


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
    """Record the attempt whose process did not return: perhaps nobody else can."""

    def on_failure(
        self: request.Request,
        exc_info: Any,
        send_failed_event: bool = True,  # noqa: FBT001, FBT002 - theirs
        return_ok: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        if return_ok:  # its process returned, and told all there is
            fail(self, exc_info, send_failed_event, return_ok)
            return
        attempt = _filled(Attempt(), self.task.name, self.id, self.request_dict, self.task.app)
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        attempt.completed, attempt.error = time_ns(), describe(error)
        attempt.outcome = _outcome_of_lost(self, error)
        try:
            with attempt.current():  # a retry, or an errback, may be sent
                fail(self, exc_info, send_failed_event, return_ok)
        finally:
            attempt.pid = self.worker_pid or 0
            if isinstance(error, TimeLimitExceeded):
                attempt.ids()  # as they will be asked for
                vars(self)[_TIMED_OUT] = attempt
            telemetry.recorder.append(attempt.told(LOST))

    return on_failure


def _within_what_timed_out(handle: Callable[..., Any]) -> Callable[..., Any]:
    """Have errbacks belong to the attempt that exceeded its hard limit: they are sent last."""

    def on_timeout(self: request.Request, soft: bool, timeout: float) -> None:  # noqa: FBT001
        attempt = vars(self).pop(_TIMED_OUT, None)
        with attempt.current() if attempt else nullcontext():
            handle(self, soft, timeout)

    return on_timeout


def _noting_stored_success(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Agree with Celery where it finds that a lost process had stored its task's success."""

    def success_was_stored(self: request.Request) -> Any:
        stored, attempt = ask(self), current_task.get()
        if stored and isinstance(attempt, Attempt):
            attempt.outcome, attempt.error = SUCCESS, None
        return stored

    return success_was_stored


def _outcome_of_lost(lost: request.Request, error: BaseException) -> str:
    """Foresee what Celery is going to do about it."""
    task = lost.task
    if lost._already_cancelled:  # the connection is lost, or the worker ends
        return RETRY if task.acks_late else FAILURE
    if isinstance(error, Terminated):
        return REVOKED
    if isinstance(error, (WorkerLostError, *_EXITS)):
        return _outcome_of_lost_worker(task, _number(lost.request_dict))
    return _outcome_of_timeout(task) if isinstance(error, TimeLimitExceeded) else FAILURE


def _outcome_of_lost_worker(task: Any, attempt: int) -> str:
    most = task.max_retries
    resent = getattr(task, "retry_on_worker_lost", False) and (most is None or attempt <= most)
    return RETRY if resent or (task.acks_late and task.reject_on_worker_lost) else FAILURE


def _outcome_of_timeout(task: Any) -> str:
    return RETRY if task.acks_late and not task.acks_on_timeout else FAILURE


def _noting_revoked(telemetry: "Telemetry") -> Callable[..., None]:
    """Record what was taken back, or came too late, before it could run."""

    def note_revoked(sender: Any, request: Any, **signal: Any) -> None:
        if signal.get("terminated"):  # while it ran: its process, or its end, will tell
            return
        attempt = _attempt_of(sender.name, request.id, vars(request), sender.app, telemetry)
        attempt.completed = time_ns()
        attempt.received = attempt.received or attempt.completed
        attempt.outcome = EXPIRED if signal.get("expired") else REVOKED
        attempt.record()

    return note_revoked


def _rejecting(telemetry: "Telemetry") -> Callable[..., None]:
    """Record a message that no task can be made of: it was sent, and shall not go missing."""
    task_names, queue_names = Names(), Names()

    def reject(message: Any, error: Error, name: Any = None) -> None:
        headers = message.headers if isinstance(message.headers, dict) else {}
        told = {**headers, "delivery_info": message.delivery_info}
        task_id = headers.get("id") or message.properties.get("correlation_id") or UNKNOWN
        task = task_names(name or headers.get("task"))
        attempt = _attempt_of(task, task_id, told, None, telemetry)
        attempt.queue = queue_names(attempt.queue)
        attempt.received = attempt.completed = time_ns()
        attempt.outcome, attempt.error = FAILURE, error
        attempt.record()

    return reject


def _undecodable(reject: Callable[..., None], give_up: Callable[..., Any]) -> Callable[..., Any]:
    def on_decode_error(self: consumer.Consumer, message: Any, exc: Exception) -> None:
        give_up(self, message, exc)
        reject(message, describe(exc))

    return on_decode_error


class CeleryInstrumentor(TaskQueueInstrumentor):
    """Instruments the Celery producers and workers of this process."""

    system = "celery"
    requirement = "celery >= 5.7"
    rival = ("opentelemetry.instrumentation.celery", "CeleryInstrumentor", "celery")

    def _wrap(self, telemetry: "Telemetry") -> Undo:
        return instrument(telemetry)

    def _when_a_worker_starts(self, call: Callable[[], None]) -> Undo:
        def worker_starts(**_signal: Any) -> None:
            call()

        signals.worker_init.connect(worker_starts, weak=False)
        return lambda: signals.worker_init.disconnect(worker_starts)


Instrumentor = CeleryInstrumentor
