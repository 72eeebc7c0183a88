"""The life of one attempt to run a task, from received to acknowledged, whatever the framework."""

import os
import traceback
from collections.abc import Mapping
from time import time_ns
from typing import Protocol

from instrumentation.live import LiveSpan
from instrumentation.propagation import (
    RECEIVED,
    SCHEDULED,
    SENT,
    TRACEPARENT,
    ContextToken,
    SpanIds,
    enter_task,
    instant,
    leave_task,
    new_span_id,
    orphan,
    parse_traceparent,
)
from instrumentation.records import DONE, FAILURE, STARTED, SUCCESS, Error, Record

_STACK_CHARACTERS = _MESSAGE_CHARACTERS = 4096


class Sink(Protocol):
    """Where records go: a recorder, or whatever a test puts in its place."""

    def append(self, record: Record, /) -> None:
        """Take one record; never raise, never block."""


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

    `enter` and `complete` enclose it in the process that answers for it. In between, `start` or
    `ran` says when the task's own code began, in whatever thread or process that was. `record`
    hands everything over.
    """

    __slots__ = ("_carrier", "_ids", "_live", "_parent", "_sink", "_token", "acked", "completed",
                 "error", "number", "outcome", "queue", "started", "task", "task_id")  # fmt: skip

    def __init__(  # noqa: PLR0913 - these are the facts of a message
        self,
        sink: Sink,
        *,
        task: str,
        queue: str,
        task_id: str,
        number: int,
        carrier: Mapping[str, object],
    ) -> None:
        self._sink = sink
        self.task = task
        self.queue = queue
        self.task_id = task_id
        self.number = number
        self._carrier = carrier
        parent = parse_traceparent(carrier.get(TRACEPARENT))
        # A message without context (its sender is not instrumented) starts a trace here, unsampled.
        self._parent = parent or orphan()
        self._ids = SpanIds(self._parent.trace_id, new_span_id(), self._parent.sampled)
        self._live: LiveSpan | None = None
        self._token: ContextToken | None = None
        self.started = self.completed = self.acked = 0
        self.outcome = ""
        self.error: Error | None = None

    def enter(self) -> None:
        """Make the attempt's span the current one, until `complete`."""
        if self._ids.sampled:
            self._live = LiveSpan.begin(self._ids, self.task)
        if self._live is None:
            self._token = enter_task(self._ids)

    def start(self) -> None:
        """The task's own code begins now."""
        self.ran(time_ns())

    def ran(self, started: int, completed: int = 0) -> None:
        """Note when the task's own code began and ended, as its thread or process saw it.

        What began only after the attempt was given up (it timed out) does not count again.
        """
        if self.started:
            return
        self.started, self.completed = started, completed
        self._sink.append((STARTED, self.task, self.queue, started))

    def ended(self) -> None:
        """The task's own code ends now; the first to say so knows best."""
        self.completed = self.completed or time_ns()

    def complete(self, error: BaseException | None = None) -> None:
        """The task's own code ended, with `error` or well; the outcome is decided by `record`."""
        self.ended()
        if not self.started:  # it failed or timed out before its code began
            self.ran(self.completed, self.completed)
        if error is not None:
            self.error = describe(error)
        if self._token is not None:
            leave_task(self._token)
        if self._live is not None:
            self._live.end(error, self.completed)

    @property
    def span_id(self) -> str:
        """The id of the attempt's CONSUMER span."""
        return self._ids.span_id

    def next_carrier(self) -> dict[str, object]:
        """What a retry's message carries: the first schedule, so that end-to-end covers it.

        Its PRODUCER span belongs to the same trace.
        """
        ids = self._ids._replace(span_id=new_span_id())
        first = instant(self._carrier, SCHEDULED) or instant(self._carrier, SENT)
        return {TRACEPARENT: ids.traceparent(), SCHEDULED: first, SENT: time_ns()}

    def record(self) -> None:
        """Hand the attempt over; without an explicit outcome, an error makes it a failure."""
        carrier = self._carrier
        self._sink.append((
            DONE, self.task, self.queue, self.task_id, self._parent.traceparent(),
            self._ids.span_id, self.number,
            self.outcome or (FAILURE if self.error else SUCCESS),
            instant(carrier, SCHEDULED), instant(carrier, SENT), instant(carrier, RECEIVED),
            self.started, self.completed, self.acked, os.getpid(), self.error,
        ))  # fmt: skip
