"""The life of one attempt to run a task, from received to acknowledged, whatever the framework."""

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Token
from time import time_ns
from typing import Any

from opentelemetry import context as otel_context

from instrumentation.carrier import (
    UNREADABLE,
    begin_trace,
    is_sampled,
    pack,
    parse_traceparent,
    read_instants,
)
from instrumentation.ids import NO_IDS, SpanIds, new_span_id
from instrumentation.live import LiveSpan
from instrumentation.propagation import CurrentTask, current_task, task_context
from instrumentation.records import DONE, FAILURE, REVOKED, STARTED, SUCCESS, Error, Record

_STACK_CHARACTERS = _MESSAGE_CHARACTERS = 4096
_pid = os.getpid()


def _note_pid() -> None:
    global _pid  # noqa: PLW0603 - asking the system each time would cost a task 0.1 µs
    _pid = os.getpid()


os.register_at_fork(after_in_child=_note_pid)


def describe(error: BaseException) -> Error:
    """Return an exception's type, its message and the end of its stack, whatever it does."""
    name = type(error).__qualname__
    try:
        message = str(error)[:_MESSAGE_CHARACTERS]
        stack = "".join(traceback.format_exception(error))
    except Exception as failure:  # noqa: BLE001 - an application's exception may fail to print
        return name, f"<not printable: {type(failure).__qualname__}>", ""
    return name, message, stack[-_STACK_CHARACTERS:]


class Attempt:
    """One attempt to run a task.

    It is there when the message is received, and learns the rest as it goes. `complete` ends it,
    and `record` hands it over to whoever it was made for. All instants are Unix nanoseconds, and 0
    until they are known.
    """

    __slots__ = (
        "_carrier", "_hand_over", "_live", "_token", "acked", "carrier_bytes", "completed",
        "counted", "error", "number", "outcome", "pid", "queue", "received", "recorded", "span_id",
        "started", "task", "task_id",
    )  # fmt: skip

    def __init__(self, hand_over: "Callable[[Attempt], None] | None" = None) -> None:
        self._hand_over = hand_over
        self.task = self.queue = self.task_id = self.outcome = self.span_id = self._carrier = ""
        #: The carrier as it stands in the message: it is read when somebody asks for it.
        self.carrier_bytes = b""
        self.number = 1
        self.received = self.started = self.completed = self.acked = 0
        self.pid = _pid
        self.error: Error | None = None
        #: `counted`: whether its start is counted already.
        self.recorded = self.counted = False
        self._live: LiveSpan | None = None
        self._token: tuple[Token[CurrentTask | None], Token[otel_context.Context]] | None = None

    @property
    def carrier(self) -> str:
        """What its message carries."""
        if unread := self.carrier_bytes:
            self._carrier, self.carrier_bytes = str(unread, "latin-1"), b""
        return self._carrier

    @carrier.setter
    def carrier(self, carrier: str) -> None:
        self._carrier, self.carrier_bytes = carrier, b""

    def ids(self) -> SpanIds:
        """Return the ids of its CONSUMER span, which are made when somebody asks for them.

        Who first asks when it is over is told its parent's: its span has others by then. Or, where
        it has none, the zeros that stand for no span.
        """
        header, *instants = self.carrier.split(";")
        parent = parse_traceparent(header)
        if parent is None:
            parent = begin_trace(header)
            if parent.trace_id not in header:  # what was wrong with it shall still be counted
                if self.recorded:
                    return NO_IDS
                wrong = [UNREADABLE] if header else []
                self.carrier = ";".join([parent.traceparent(), *instants, *wrong])
        if not self.span_id:
            if not self.recorded:
                self.span_id = new_span_id()
            if self.recorded:  # or was meanwhile, by another thread: perhaps without it
                return parent
        return parent._replace(span_id=self.span_id)

    def enter(self) -> None:
        """Make the attempt's span the current one, until `complete`."""
        self._token = current_task.set(self), otel_context.attach(task_context())
        if is_sampled(self.carrier):
            self.enter_live()

    def enter_live(self) -> None:
        """Open a live span: the sender's sampling decision was to have one."""
        self._live = LiveSpan.begin(self.ids(), self.task)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make its span the current one for what is done about it when it is over."""
        token = current_task.set(self)
        context = otel_context.attach(task_context())
        try:
            yield
        finally:
            otel_context.detach(context)
            current_task.reset(token)

    def start(self) -> None:
        """The task's own code begins now.

        What begins only after the attempt was given up (it timed out) does not count again.
        """
        if not self.started:
            self.started = time_ns()

    def ran(self, started: int, completed: int) -> None:
        """Note when the task's own code began and ended, as another process saw it."""
        if not self.started:
            self.started, self.completed = started, completed

    def ended(self) -> None:
        """The task's own code ends now; the first to say so knows best."""
        if not self.completed:
            self.completed = time_ns()

    def complete(self, error: BaseException | None = None) -> None:
        """The task's own code ended, with `error` or well; the outcome is decided by `record`."""
        if not self.completed:
            self.completed = time_ns()
        if not self.started and self.outcome != REVOKED:  # it failed before its code began
            self.ran(self.completed, self.completed)
        if error is not None:
            self.error = describe(error)
        if self._live is not None:
            self._live.end(error, self.completed)
            self._live = None
        if self._token is not None:
            current_task.reset(self._token[0])
            otel_context.detach(self._token[1])
            self._token = None  # it keeps all of the application's context alive

    def next_carrier(self, due: int) -> str:
        """Return what a retry's message carries.

        It carries the first schedule, so that end-to-end covers all attempts, and its PRODUCER
        span belongs to the same trace.
        """
        ids = self.ids()._replace(span_id=new_span_id())
        return pack(ids.traceparent(), self.wanted(), time_ns(), due)

    def wanted(self) -> int:
        """Return when the task was first wanted: as scheduled, else when it was due, or sent."""
        (((scheduled,), (sent,), (due,)), _) = read_instants([self.carrier])
        return int(scheduled or max(sent, due))

    def record(self) -> None:
        """Hand the attempt over, once; without an explicit outcome, an error makes it a failure."""
        if self.recorded:
            return
        if not self.outcome:
            self.outcome = FAILURE if self.error else SUCCESS
        self.recorded = True
        if self._hand_over:
            self._hand_over(self)

    def count_start(self) -> Record:
        """Return a record of the start, which is counted by that."""
        self.counted = True
        return (STARTED, self.task, self.queue, self.started, self.pid, self.task_id, self.number)

    def told(self, kind: int = DONE) -> Record:
        """Return what another process is to know of it, as a DONE or LOST record."""
        return (
            kind, self.task, self.queue, self.outcome, self.task_id, self.number, self.carrier,
            self.span_id, self.pid, self.received, self.started, self.completed, self.acked,
            self.error, self.counted,
        )  # fmt: skip

    @classmethod
    def heard(cls, record: Any) -> "Attempt":
        """Return the attempt that a record of another process tells of."""
        self = cls()
        (
            _, self.task, self.queue, self.outcome, self.task_id, self.number, self.carrier,
            self.span_id, self.pid, self.received, self.started, self.completed, self.acked,
            self.error, self.counted,
        ) = record  # fmt: skip
        return self


class SpooledAttempt(Attempt):
    """An attempt in a pool child, which may be killed at any moment: it says what it knows."""

    __slots__ = ("_append",)

    def __init__(self, append: Callable[[Record], None]) -> None:
        super().__init__(lambda attempt: append(attempt.told()))
        self._append = append

    def start(self) -> None:
        """The task's own code begins now, and the parent may know it already."""
        super().start()
        self._spool_start()

    def ran(self, started: int, completed: int) -> None:
        """Note when the task's own code began and ended, as another process saw it."""
        super().ran(started, completed)
        self._spool_start()

    def _spool_start(self) -> None:
        if not self.counted:
            self._append(self.count_start())
