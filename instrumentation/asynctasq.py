"""AsyncTasQ: what is wrapped, and where each instant is taken.

| instant | taken in |
|---|---|
| sent, accepted | around `Dispatcher.dispatch` |
| received | when `Worker._fetch_task` has a task |
| started, completed | around the task's own code, in the event loop, its thread or its process |
| acknowledged | after the driver's `ack` or `mark_failed` |

Context and instants travel in the `metadata` of the serialized task, which ignores unknown keys.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from inspect import iscoroutinefunction
from time import time_ns
from typing import TYPE_CHECKING, Any

from instrumentation.instrumentor import TaskQueueInstrumentor, extra

with extra("asynctasq"):
    from asynctasq.core.dispatcher import Dispatcher
    from asynctasq.core.worker import Worker
    from asynctasq.serializers.msgspec_serializer import MsgspecSerializer
    from asynctasq.tasks import (
        AsyncProcessTask,
        BaseTask,
        FunctionTask,
        SyncProcessTask,
        SyncTask,
    )
    from asynctasq.tasks.infrastructure.process_pool_manager import ProcessPoolManager
    from asynctasq.tasks.services.executor import TaskExecutor
    from asynctasq.tasks.services.serializer import TaskSerializer
    from asynctasq.tasks.types import sync_task
    from asynctasq.tasks.utils import execution_helpers

from instrumentation.attempt import Attempt, describe
from instrumentation.pool import begin_now, timed_call, unwrap
from instrumentation.propagation import (
    RECEIVED,
    SCHEDULED,
    SENT,
    TRACEPARENT,
    instant,
    pack,
    scheduled_instant,
    sender_ids,
    suppressed,
    unpack,
)
from instrumentation.records import FAILURE, RETRY
from instrumentation.records import SENT as SENT_KIND
from instrumentation.wrap import Undo, undo_all, wrap

if TYPE_CHECKING:  # a pool child imports this module too, and has no use for the rest
    from instrumentation.telemetry import Telemetry

_METADATA_KEY = "taskqueue"
#: What the messages serialized in this context carry, and what the one read in it carried.
_outgoing: ContextVar[str] = ContextVar("taskqueue_outgoing", default="")
_carrier: ContextVar[dict[str, object] | None] = ContextVar("taskqueue_carrier", default=None)
_received: ContextVar[int] = ContextVar("taskqueue_received", default=0)
_attempt: ContextVar[Attempt | None] = ContextVar("taskqueue_attempt", default=None)
_queue: ContextVar[str] = ContextVar("taskqueue_queue", default="")


def instrument(telemetry: "Telemetry") -> Undo:
    """Instrument producers and workers of this process; the result takes it all back."""
    undo: list[Undo] = []
    undo += [
        wrap(Dispatcher, "dispatch", lambda send: _sending(send, telemetry)),
        wrap(MsgspecSerializer, "serialize", _serializing),
        wrap(MsgspecSerializer, "deserialize", _deserializing),
        wrap(Worker, "__init__", lambda init: _stamping_acknowledgements(init, undo)),
        wrap(Worker, "_fetch_task", _receiving),
        wrap(Worker, "_process_task", _processing),
        wrap(TaskExecutor, "execute", lambda execute: _executing(execute, telemetry)),
        wrap(TaskExecutor, "should_retry", _deciding),
        wrap(Worker, "_handle_task_failure", lambda handle: _resending(handle, telemetry)),
        wrap(sync_task, "execute_in_thread", _in_thread),
        wrap(FunctionTask, "_execute_sync_thread", _function_in_thread),
        wrap(execution_helpers, "_sync_process_task_worker", lambda _: run_sync_process_task),
        wrap(ProcessPoolManager, "_create_pool", lambda create: _creating_pool(create, undo)),
    ]
    return undo_all(undo)


def _sending(send: Callable[..., Any], telemetry: "Telemetry") -> Callable[..., Any]:
    async def dispatch(
        self: Dispatcher, task: BaseTask, queue: str | None = None, delay: int | None = None
    ) -> str:
        if suppressed():
            return await send(self, task, queue, delay)
        traceparent, parent = sender_ids(telemetry.sample_ratio)
        scheduled, error = scheduled_instant(), None
        sent = time_ns()
        token = _outgoing.set(pack(traceparent, scheduled, sent))
        try:
            return await send(self, task, queue, delay)
        except BaseException as failure:  # a dispatch that is cancelled sent nothing either
            error = describe(failure)
            raise
        finally:
            _outgoing.reset(token)
            telemetry.recorder.append((
                SENT_KIND, _name(task), queue or task.config.get("queue") or "default",
                task._task_id or "", traceparent, parent, scheduled, sent, time_ns(), error,
            ))  # fmt: skip

    return dispatch


def _name(task: BaseTask) -> str:
    return task.func.__name__ if isinstance(task, FunctionTask) else type(task).__name__


def _serializing(serialize: Callable[..., bytes]) -> Callable[..., bytes]:
    def with_carrier(self: MsgspecSerializer, obj: dict[str, Any]) -> bytes:
        packed = _outgoing.get()
        if packed and "metadata" in obj:
            obj["metadata"][_METADATA_KEY] = packed
        return serialize(self, obj)

    return with_carrier


def _deserializing(deserialize: Callable[..., Any]) -> Callable[..., Any]:
    async def with_carrier(self: MsgspecSerializer, data: bytes) -> dict[str, Any]:
        message: dict[str, Any] = await deserialize(self, data)
        with suppress(AttributeError, KeyError, TypeError):  # whose message that is, who knows
            _carrier.set(unpack(message["metadata"].get(_METADATA_KEY)))
        return message

    return with_carrier


def _receiving(fetch: Callable[..., Any]) -> Callable[..., Any]:
    async def fetch_task(self: Worker) -> tuple[bytes, str] | None:
        fetched: tuple[bytes, str] | None = await fetch(self)
        if fetched is not None:
            # The asyncio task that processes it is created next, with a copy of this context.
            _received.set(time_ns())
        return fetched

    return fetch_task


def _processing(process: Callable[..., Any]) -> Callable[..., Any]:
    async def process_task(self: Worker, task_data: bytes, queue_name: str) -> None:
        _queue.set(queue_name)
        try:
            await process(self, task_data, queue_name)
        finally:
            attempt = _attempt.get()
            if attempt is not None:
                attempt.record()

    return process_task


def _executing(execute: Callable[..., Any], telemetry: "Telemetry") -> Callable[..., Any]:
    async def execute_attempt(
        self: TaskExecutor, task: BaseTask, *timeout: Any, **named_timeout: Any
    ) -> None:
        # A sender without instrumentation still says when it dispatched, if only in microseconds.
        carrier = _carrier.get() or {SENT: _dispatched(task)}
        carrier[RECEIVED] = _received.get()
        attempt = Attempt(
            telemetry.recorder,
            task=_name(task),
            queue=_queue.get(),
            task_id=str(task._task_id or ""),
            number=task._current_attempt,
            carrier=carrier,
        )
        _attempt.set(attempt)
        attempt.enter()
        if _runs_in_loop(task):
            attempt.start()
        error: BaseException | None = None
        try:
            await execute(self, task, *timeout, **named_timeout)
        except BaseException as failure:
            error = failure
            raise
        finally:
            attempt.complete(error)

    return execute_attempt


def _dispatched(task: BaseTask) -> int:
    try:
        return int(task._dispatched_at.timestamp() * 1e9) if task._dispatched_at else 0
    except (OverflowError, ValueError):  # the message may say the year 1
        return 0


def _runs_in_loop(task: BaseTask) -> bool:
    """Tell what begins at once from what waits for a thread or a process first."""
    if isinstance(task, FunctionTask):
        return iscoroutinefunction(task.func) and not task._use_process
    return not isinstance(task, (SyncTask, SyncProcessTask, AsyncProcessTask))


def _deciding(should_retry: Callable[..., bool]) -> Callable[..., bool]:
    def decide(self: TaskExecutor, task: BaseTask, exception: Exception) -> bool:
        retry = should_retry(self, task, exception)
        attempt = _attempt.get()
        if attempt is not None:
            attempt.outcome = RETRY if retry else FAILURE
            if retry:  # it is serialized next, in this context
                carrier = attempt.next_carrier()
                _carrier.set(carrier)
                _outgoing.set(
                    pack(
                        str(carrier[TRACEPARENT]),
                        instant(carrier, SCHEDULED),
                        instant(carrier, SENT),
                    )
                )
        return retry

    return decide


def _resending(handle: Callable[..., Any], telemetry: "Telemetry") -> Callable[..., Any]:
    """A retry is sent by the worker itself, not by a dispatcher: it counts as sent all the same."""

    async def handle_failure(self: Worker, task: BaseTask, *rest: Any) -> None:
        error = None
        try:
            await handle(self, task, *rest)
        except BaseException as failure:
            error = describe(failure)
            raise
        finally:
            attempt, carrier = _attempt.get(), _carrier.get()
            if attempt is not None and attempt.outcome == RETRY and carrier is not None:
                # No schedule wanted this sending: its lag would be the retry's delay.
                telemetry.recorder.append((
                    SENT_KIND, attempt.task, str(task.config.get("queue", "default")),
                    attempt.task_id, str(carrier[TRACEPARENT]), attempt.span_id, 0,
                    instant(carrier, SENT), time_ns(), error,
                ))  # fmt: skip

    return handle_failure


def _stamping_acknowledgements(init: Callable[..., None], undo: list[Undo]) -> Callable[..., None]:
    def init_worker(self: Worker, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        driver = self.queue_driver
        names = (name for name in ("ack", "mark_failed") if hasattr(driver, name))
        undo.extend(wrap(driver, name, _stamped) for name in names)

    return init_worker


def _stamped(call: Callable[..., Any]) -> Callable[..., Any]:
    async def acknowledge(*args: Any, **kwargs: Any) -> None:
        await call(*args, **kwargs)
        attempt = _attempt.get()
        if attempt is not None:
            attempt.acked = time_ns()

    return acknowledge


def _in_thread(execute_in_thread: Callable[..., Any]) -> Callable[..., Any]:
    async def execute(sync_callable: Callable[[], Any]) -> Any:
        return await execute_in_thread(_started_in_thread(sync_callable))

    return execute


def _function_in_thread(execute: Callable[..., Any]) -> Callable[..., Any]:
    async def execute_function(self: FunctionTask, func: Callable[[], Any], loop: Any) -> Any:
        return await execute(self, _started_in_thread(func), loop)

    return execute_function


def _started_in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    attempt, context = _attempt.get(), copy_context()
    if attempt is None:
        return call

    def run() -> Any:
        attempt.start()
        try:
            return context.run(call)
        finally:
            attempt.ended()

    return run


def _creating_pool(create: Callable[..., Executor], undo: list[Undo]) -> Callable[..., Executor]:
    def create_pool(self: ProcessPoolManager, *args: Any, **kwargs: Any) -> Executor:
        pool = create(self, *args, **kwargs)
        undo.append(wrap(pool, "submit", lambda submit: partial(_submit, submit)))
        return pool

    return create_pool


def _submit(submit: Callable[..., Future[Any]], /, *call: Any, **kwargs: Any) -> Future[Any]:
    """Run the call in the pool, and note when its own code began and ended over there.

    What a running task submits on its own account is none of ours.
    """
    attempt = _attempt.get()
    if attempt is None or attempt.started:
        return submit(*call, **kwargs)
    future = submit(timed_call, *call, **kwargs)
    future.add_done_callback(lambda done: unwrap(done, attempt.ran))
    return future


def run_sync_process_task(serialized_task: bytes) -> Any:
    """Stand in for the framework's function of a pool child, to see where preparation ends."""
    task: Any = asyncio.run(TaskSerializer().deserialize(serialized_task))
    begin_now()
    return task.execute()


class AsyncTasQInstrumentor(TaskQueueInstrumentor):
    """Instruments the AsyncTasQ producers and workers of this process."""

    system = "asynctasq"
    requirement = "asynctasq >= 1.7"

    def _wrap(self, telemetry: "Telemetry") -> Undo:
        return instrument(telemetry)

    def _when_a_worker_starts(self, call: Callable[[], None]) -> Undo:
        def announcing(start: Callable[..., Any]) -> Callable[..., Any]:
            async def start_worker(self: Worker, *args: Any, **kwargs: Any) -> None:
                call()
                await start(self, *args, **kwargs)

            return start_worker

        return wrap(Worker, "start", announcing)


Instrumentor = AsyncTasQInstrumentor
