"""AsyncTasQ: what is wrapped, and where each instant is taken.

| instant | taken in |
|---|---|
| sent, accepted | around `Dispatcher.dispatch` |
| received | before `Worker._process_task`, once a message is fetched |
| started, completed | around the task's own code, in the event loop, its thread or its process |
| acknowledged | after the driver's `ack` or `mark_failed` |

A message that no task can be made of is requeued at once, for ever: every delivery is an attempt
that ends in a retry, recorded around the driver's `nack`.

Context and instants travel at the end of the serialized task, of which unknown keys are ignored.
"""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import lru_cache
from inspect import iscoroutinefunction
from itertools import count
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from instrumentation.instrumentor import TaskQueueInstrumentor, extra

with extra("asynctasq", "msgspec"):
    from asynctasq.config import Config
    from asynctasq.core.dispatcher import Dispatcher
    from asynctasq.core.worker import Worker
    from asynctasq.drivers.retry_utils import calculate_retry_delay
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
    from msgspec import msgpack

from instrumentation.attempt import Attempt, describe
from instrumentation.carrier import LENGTH, SAMPLED, UNREADABLE, ZERO, is_sampled, pack
from instrumentation.pool_child import begin_now
from instrumentation.pool_parent import ask_pool, submitting
from instrumentation.propagation import (
    CARRIER,
    current_task,
    scheduled_instant,
    sender_ids,
    suppressed,
    task_context,
)
from instrumentation.recorder import BATCH
from instrumentation.records import FAILURE, RETRY
from instrumentation.records import SENT as SENT_KIND
from instrumentation.unknown import UNKNOWN, Names, plain
from instrumentation.wrap import Instances, Undo, Wrapper, wrap, wrap_all

if TYPE_CHECKING:  # a pool child imports this module too, and has no use for the rest
    from instrumentation.telemetry import Telemetry

_MOST_ATTEMPTS = 2**31
#: How a carrier stands at the end of a message.
_KEY = msgpack.encode(CARRIER)
_BEFORE_CARRIER = _KEY + msgpack.encode(" " * LENGTH)[:-LENGTH]
_TAIL = len(_BEFORE_CARRIER) + LENGTH
#: What the messages serialized in this context carry.
_outgoing: ContextVar[str] = ContextVar("taskqueue_outgoing", default="")


def instrument(telemetry: "Telemetry") -> Undo:
    """Instrument producers and workers of this process; the result takes it all back."""
    note, enter = _receiving(telemetry)
    made = Instances()  # drivers and pools
    undo: list[Undo] = [made.undo]
    return wrap_all(undo, [
        (Dispatcher, "dispatch", lambda send: _sending(send, telemetry)),
        (MsgspecSerializer, "serialize", _serializing),
        (Worker, "__init__", lambda init: _stamping_acknowledgements(init, made)),
        (Worker, "_run", _naming_the_current_span),
        (Worker, "_process_task", note),
        (Worker, "_deserialize_task", enter),
        (TaskExecutor, "execute", _executing),
        (TaskExecutor, "should_retry", _deciding),
        (Worker, "_handle_task_failure", lambda handle: _resending(handle, telemetry)),
        (sync_task, "execute_in_thread", _in_thread),
        (FunctionTask, "_execute_sync_thread", _function_in_thread),
        (execution_helpers, "_sync_process_task_worker", lambda _: run_sync_process_task),
        (ProcessPoolManager, "_create_pool", lambda create: _creating_pool(create, made)),
    ])  # fmt: skip


def _sending(send: Callable[..., Any], telemetry: "Telemetry") -> Callable[..., Any]:
    async def dispatch(
        self: Dispatcher, task: BaseTask, queue: str | None = None, delay: int | None = None
    ) -> str:
        if suppressed():
            return await send(self, task, queue, delay)
        traceparent, parent = sender_ids(telemetry.sample_ratio)
        scheduled, error = scheduled_instant(), None
        sent = time_ns()
        wait = _nanoseconds(delay if delay is not None else getattr(task, "_delay_seconds", None))
        due = sent + wait if wait > 0 else 0
        wanted = scheduled + wait if scheduled else 0
        token = _outgoing.set(pack(traceparent, wanted, sent, due))
        try:
            return await send(self, task, queue, delay)
        except BaseException as failure:  # a dispatch that is cancelled sent nothing either
            error = describe(failure)
            raise
        finally:
            with suppress(ValueError):  # closed in another context, where nothing is to be undone
                _outgoing.reset(token)
            telemetry.recorder.sent((
                SENT_KIND, _name(task), plain(queue or task.config.get("queue") or "default"),
                str(task._task_id or ""), traceparent, parent, scheduled, sent, time_ns(), error,
            ))  # fmt: skip

    return dispatch


def _nanoseconds(seconds: float | None) -> int:
    """Convert; what is no duration is the framework's to refuse."""
    with suppress(OverflowError, TypeError, ValueError):
        return int(seconds * 1e9) if seconds else 0
    return 0


@lru_cache(maxsize=1024)
def _known(kind: type[BaseTask]) -> tuple[str, bool] | None:
    """Return the name of a class's tasks, and whether they run in the event loop.

    None where each function has its own. To ask an abstract class is slow: once is enough.
    """
    if issubclass(kind, FunctionTask):
        return None
    return kind.__name__, not issubclass(kind, (SyncTask, SyncProcessTask, AsyncProcessTask))


def _function(task: Any) -> tuple[str, bool]:
    return plain(task.func.__name__), iscoroutinefunction(task.func) and not task._use_process


def _name(task: BaseTask) -> str:
    name, _ = _known(type(task)) or _function(task)
    return name


def _serializing(serialize: Callable[..., bytes]) -> Callable[..., bytes]:
    def with_carrier(self: MsgspecSerializer, obj: dict[str, Any]) -> bytes:
        packed = _outgoing.get()
        if packed and "metadata" in obj:
            obj[CARRIER] = packed  # the last that is written, so that it is easily found
        return serialize(self, obj)

    return with_carrier


def _naming_the_current_span(run: Callable[..., Any]) -> Callable[..., Any]:
    """Have the span of the current task be the current span, for all that this loop starts."""

    async def run_worker(self: Worker) -> None:
        token = otel_context.attach(task_context())
        try:
            await run(self)
        finally:
            otel_context.detach(token)

    return run_worker


def _receiving(telemetry: "Telemetry") -> tuple[Wrapper, Wrapper]:
    """Note when a message was received, and let the asyncio task that processes it know.

    The loop that fetches calls `_process_task` and makes an asyncio task of the result, which calls
    `_deserialize_task` first of all. Neither wrapper is a coroutine: one more would be resumed as
    often as the task itself.
    """
    arriving: dict[int, Attempt] = {}
    recorder, number = telemetry.recorder, count(1)

    def note(process: Callable[..., Any]) -> Callable[..., Any]:
        def process_task(self: Worker, message: bytes, queue: str) -> Any:
            arriving[id(message)] = attempt = recorder.attempt()
            attempt.received = time_ns()
            attempt.queue = queue if type(queue) is str else plain(queue)  # mostly a call less
            if not next(number) % BATCH:
                telemetry.keep_up()
            return process(self, message, queue)

        return process_task

    def enter(deserialize: Callable[..., Any]) -> Callable[..., Any]:
        def deserialize_task(self: Worker, message: bytes) -> Any:
            if attempt := arriving.pop(id(message), None):
                if message[-_TAIL:-LENGTH] == _BEFORE_CARRIER:
                    attempt.carrier_bytes = message[-LENGTH:]  # cheaper than to see it decoded
                else:
                    attempt.carrier = _carrier_of(message)
                current_task.set(attempt)
            return deserialize(self, message)

        return deserialize_task

    return note, enter


def _carrier_of(message: bytes) -> str:
    """Return the carrier of a message that does not end with it."""
    if _KEY not in message:
        return ""
    with suppress(Exception):  # whose message that is, who knows
        carrier = msgpack.decode(message).get(CARRIER, "")
        return carrier if type(carrier) is str else UNREADABLE
    return ""


def _executing(execute: Callable[..., Any]) -> Callable[..., Any]:
    async def execute_attempt(
        self: TaskExecutor,
        task: BaseTask,
        timeout: float | None = None,  # noqa: ASYNC109 - theirs
    ) -> None:
        attempt = current_task.get()
        if not isinstance(attempt, Attempt) or attempt.task:  # not by a worker, or within a task
            await execute(self, task, timeout)
            return
        attempt.task, in_loop = _known(type(task)) or _function(task)
        attempt.task_id = str(task._task_id)
        attempt.number = _number(task._current_attempt)
        carried = attempt.carrier_bytes
        if not carried or carried[SAMPLED] != ZERO:  # rarely
            if not attempt.carrier:  # a plain sender still says when, if only in microseconds
                attempt.carrier = pack("", 0, _dispatched(task))
            elif is_sampled(attempt.carrier):
                attempt.enter_live()
        if in_loop:
            attempt.started = time_ns()
        try:
            await execute(self, task, timeout)
        except BaseException as failure:
            ask_pool(attempt)
            attempt.complete(failure)
            if not isinstance(failure, Exception):  # cancelled: the worker will not come back to it
                attempt.record()
            raise
        attempt.complete()

    return execute_attempt


def _number(attempt: Any) -> int:
    """Return which attempt it is: a message may say anything."""
    return attempt if type(attempt) is int and 0 < attempt <= _MOST_ATTEMPTS else 1


def _dispatched(task: BaseTask) -> int:
    try:
        return int(task._dispatched_at.timestamp() * 1e9) if task._dispatched_at else 0
    except (OverflowError, ValueError):  # the message may say the year 1
        return 0


def _deciding(should_retry: Callable[..., bool]) -> Callable[..., bool]:
    def decide(self: TaskExecutor, task: BaseTask, exception: Exception) -> bool:
        retry = should_retry(self, task, exception)
        attempt = current_task.get()
        if isinstance(attempt, Attempt):
            attempt.outcome = RETRY if retry else FAILURE
            if retry:  # it is serialized next, in this context
                _outgoing.set(attempt.next_carrier(_due(task)))
        return retry

    return decide


def _due(task: BaseTask) -> int:
    """Return when the retry of a task is due, as the worker will reckon it."""
    defaults = Config.get().task_defaults
    wait = calculate_retry_delay(
        "fixed" if defaults.retry_strategy == "fixed" else "exponential",
        defaults.retry_delay,
        task.current_attempt,
    )
    return time_ns() + int(wait * 1e9) if wait > 0 else 0


def _resending(handle: Callable[..., Any], telemetry: "Telemetry") -> Callable[..., Any]:
    """A retry is sent by the worker itself, not by a dispatcher: it counts as sent all the same."""

    async def handle_failure(self: Worker, task: BaseTask, *rest: Any) -> None:
        error = None
        if isinstance(attempt := current_task.get(), Attempt) and not attempt.task:
            _never_ran(attempt, task)
        try:
            await handle(self, task, *rest)
        except BaseException as failure:
            error = describe(failure)
            raise
        finally:
            attempt, carrier = current_task.get(), _outgoing.get()
            if isinstance(attempt, Attempt):
                attempt.record()
                if attempt.outcome == RETRY and carrier:
                    # No schedule wanted this sending: its lag would be the retry's delay.
                    traceparent, _, sent, _ = carrier.split(";")
                    telemetry.recorder.sent((
                        SENT_KIND, attempt.task, plain(task.config.get("queue", "default")),
                        attempt.task_id, traceparent, attempt.span_id, 0,
                        int(sent), time_ns(), error,
                    ))  # fmt: skip

    return handle_failure


def _never_ran(attempt: Attempt, task: BaseTask) -> None:
    """Say what it is of an attempt that failed before its task was executed."""
    attempt.task, attempt.task_id = _name(task), str(task._task_id or UNKNOWN)
    attempt.number = _number(task._current_attempt)
    attempt.completed, attempt.outcome = time_ns(), FAILURE
    if error := sys.exception():
        attempt.error = describe(error)


def _stamping_acknowledgements(init: Callable[..., None], made: Instances) -> Callable[..., None]:
    def init_worker(self: Worker, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        driver = self.queue_driver
        for name in ("ack", "mark_failed"):
            if hasattr(driver, name):
                made.wrap(driver, name, _stamped)
        made.wrap(driver, "nack", _giving_back)

    return init_worker


def _stamped(call: Callable[..., Any]) -> Callable[..., Any]:
    """Note when the message was settled, which is the last that is known of an attempt."""

    async def settle(queue_name: str, receipt_handle: bytes) -> None:
        attempt = current_task.get()
        if not isinstance(attempt, Attempt):
            await call(queue_name, receipt_handle)
            return
        try:
            await call(queue_name, receipt_handle)
            attempt.acked = time_ns()
        finally:
            attempt.record()

    return settle


def _giving_back(nack: Callable[..., Any]) -> Callable[..., Any]:
    """Record the delivery of a message that never became a task."""
    known = Names()

    async def give_back(queue_name: str, receipt_handle: bytes) -> None:
        attempt = current_task.get()
        if isinstance(attempt, Attempt) and not attempt.task:
            attempt.completed = time_ns()
            name, attempt.task_id, attempt.number = await _read_what_it_is(receipt_handle)
            attempt.task = known(name)
            if error := sys.exception():  # without its stack: it comes again and again
                attempt.error = (*describe(error)[:2], "")
            attempt.outcome = RETRY
            attempt.record()
        await nack(queue_name, receipt_handle)

    return give_back


async def _read_what_it_is(data: bytes) -> tuple[str, str, int]:
    """Return the name, id and number of attempts of a message, as far as it tells them."""
    with suppress(Exception):
        message = await MsgspecSerializer().deserialize(data)
        metadata = message["metadata"]
        name = metadata.get("func_name") or message["class"].rpartition(".")[2]
        number = metadata.get("current_attempt")
        after = number + 1 if type(number) is int else 1
        return name, str(metadata.get("task_id") or UNKNOWN), _number(after)
    return UNKNOWN, UNKNOWN, 1


def _in_thread(execute_in_thread: Callable[..., Any]) -> Callable[..., Any]:
    async def execute(sync_callable: Callable[[], Any]) -> Any:
        return await execute_in_thread(_started_in_thread(sync_callable))

    return execute


def _function_in_thread(execute: Callable[..., Any]) -> Callable[..., Any]:
    async def execute_function(self: FunctionTask, func: Callable[[], Any], loop: Any) -> Any:
        return await execute(self, _started_in_thread(func), loop)

    return execute_function


def _started_in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    attempt, context = current_task.get(), copy_context()
    if not isinstance(attempt, Attempt) or attempt.started:  # or another task's, run within it
        return call

    def run() -> Any:
        attempt.start()
        try:
            return context.run(call)
        finally:
            attempt.ended()

    return run


def _creating_pool(create: Callable[..., Executor], made: Instances) -> Callable[..., Executor]:
    def create_pool(self: ProcessPoolManager, *args: Any, **kwargs: Any) -> Executor:
        pool = create(self, *args, **kwargs)
        made.wrap(pool, "submit", submitting)
        return pool

    return create_pool


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
