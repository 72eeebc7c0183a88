"""Which trace a message continues, and which task runs in this context.

The current trace is an ordinary OpenTelemetry context, so a task dispatched inside a traced HTTP
request continues that trace, and an HTTP call made inside a task continues the task's.
"""

import os
import re
from contextvars import ContextVar
from hashlib import blake2b
from typing import Protocol

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from instrumentation.ids import SpanIds, new_roots, new_span_id

#: The names under which context travels: ours, and the W3C's for everybody else.
CARRIER = "taskqueue"
TRACEPARENT = "traceparent"

_SUPPRESSION_KEYS = (otel_context._SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation")  # noqa: SLF001
_TRACE_ID = re.compile("(?!0{32})[0-9a-f]{32}")
_BATCH = 256
_ready: dict[float, list[str]] = {}
os.register_at_fork(after_in_child=_ready.clear)
_scheduled: ContextVar[int] = ContextVar("taskqueue_scheduled", default=0)


def suppressed() -> bool:
    """Tell whether the application wants nothing instrumented (`suppress_instrumentation`)."""
    current = otel_context.get_current()
    return bool(current) and any(map(current.get, _SUPPRESSION_KEYS))


def group_root(group: str, sample_ratio: float) -> str:
    """Start the trace of a group: every member finds the same ids, without asking the others.

    A UUID is the trace id itself. Its last 7 bytes are random, and decide about sampling.
    """
    digits = group.replace("-", "").lower()
    if not _TRACE_ID.fullmatch(digits):  # the application chose the id
        digits = blake2b(group.encode("utf-8", "replace"), digest_size=16).hexdigest()
    sampled = int(digits[-14:], 16) < sample_ratio * 2**56
    return SpanIds(digits, new_span_id(), sampled).traceparent()


def sender_ids(sample_ratio: float, group: str = "") -> tuple[str, str]:
    """Return the traceparent of a new PRODUCER span, and its parent's span id ("" for a root).

    Members of a group that is sent outside of any span share a trace.
    """
    # Most sends happen outside of any span, and looking for one costs more than all the rest.
    if (
        otel_context.get_current()
        and (current := trace.get_current_span().get_span_context()).is_valid
    ):
        ids = SpanIds(f"{current.trace_id:032x}", new_span_id(), current.trace_flags.sampled)
        return ids.traceparent(), f"{current.span_id:016x}"
    if group:
        return group_root(group, sample_ratio), ""
    try:
        return _ready[sample_ratio].pop(), ""
    except (KeyError, IndexError):  # made in batches: at a third of the cost
        roots = new_roots(sample_ratio, _BATCH)
        root = roots.pop()
        _ready[sample_ratio] = roots
        return root, ""


class scheduled_at:  # noqa: N801 - used as a function is, but costs a third of a generator
    """Say when the arrival schedule wanted the tasks sent that are sent inside this block."""

    __slots__ = ("_instant", "_token")

    def __init__(self, instant_ns: int) -> None:
        self._instant = int(instant_ns)  # a numpy integer could not be serialized

    def __enter__(self) -> None:
        self._token = _scheduled.set(self._instant)

    def __exit__(self, *_error: object) -> None:
        _scheduled.reset(self._token)


def set_scheduled(instant_ns: int) -> None:
    """Like `scheduled_at`, for all that this context sends from now on: for tight loops."""
    _scheduled.set(instant_ns)


def scheduled_instant() -> int:
    """Return the instant that `scheduled_at` or `set_scheduled` set, or 0."""
    return _scheduled.get()


class CurrentTask(Protocol):
    """What runs in this context, where it is a task."""

    def ids(self) -> SpanIds:
        """Return the ids of its CONSUMER span."""


#: The attempt that runs in this context. It is an OpenTelemetry span where `TASK_SPAN` is current.
current_task: ContextVar[CurrentTask | None] = ContextVar("taskqueue_current_task", default=None)


class _TaskSpan(NonRecordingSpan):
    """Stands for whichever unsampled task is running in this context.

    Building a SpanContext for every task would cost more than all the rest of the hot path;
    this one shared span builds it only when somebody asks.
    """

    def __init__(self) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)

    def get_span_context(self) -> SpanContext:
        task = current_task.get()
        if task is None:
            return trace.INVALID_SPAN_CONTEXT
        ids = task.ids()
        flags = TraceFlags(TraceFlags.SAMPLED if ids.sampled else 0)
        return SpanContext(
            int(ids.trace_id, 16), int(ids.span_id, 16), is_remote=False, trace_flags=flags
        )


_TASK_SPAN = _TaskSpan()


_TASK_ALONE = trace.set_span_in_context(_TASK_SPAN, otel_context.Context())


def task_context() -> otel_context.Context:
    """Return the present context, in which the current span is that of the current task."""
    return trace.set_span_in_context(_TASK_SPAN) if otel_context.get_current() else _TASK_ALONE
