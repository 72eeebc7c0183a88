"""What a message carries: W3C trace context, and the instants that only its sender knows.

The current trace is an ordinary OpenTelemetry context, so a task dispatched inside a traced HTTP
request continues that trace, and an HTTP call made inside a task continues the task's.
"""

import os
import random
import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

TRACEPARENT = "traceparent"
SCHEDULED = "taskqueue-scheduled-ns"
SENT = "taskqueue-sent-ns"
RECEIVED = "taskqueue-received-ns"

_SUPPRESSION_KEYS = (otel_context._SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation")  # noqa: SLF001
_SAMPLED = 0x01
# Version, trace id, parent id, flags. W3C calls version ff and ids of zero invalid.
_HEADER = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)
#: The span id in the traceparent of a message that named no sender.
NO_SPAN = "0" * 16
_LARGEST_INSTANT_NS = 2**63 - 1
_PACKED_PARTS = 3
# Ids, not secrets. A generator of our own leaves the application's sequence alone, and is seeded
# afresh in forked children, who would otherwise all make the same ids.
_random = random.Random()  # noqa: S311
_random_bits = _random.getrandbits
_ready: dict[float, list[str]] = {}
_BATCH = 256
os.register_at_fork(after_in_child=_random.seed)
os.register_at_fork(after_in_child=_ready.clear)
_scheduled: ContextVar[int] = ContextVar("taskqueue_scheduled", default=0)


class SpanIds(NamedTuple):
    """A span's identity as text: 32 and 16 hexadecimal digits, and the sampled flag."""

    trace_id: str
    span_id: str
    sampled: bool

    def traceparent(self) -> str:
        """Write the W3C header that makes this span the parent."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def new_span_id() -> str:
    """Make a random span id, never the invalid zero."""
    return f"{_random_bits(64) or 1:016x}"


def new_roots(sample_ratio: float, count: int = 1) -> list[str]:
    """Start traces: traceparents of new PRODUCER spans; `sample_ratio` of them are sampled."""
    threshold = sample_ratio * 2**32
    texts = [f"{_random_bits(192):048x}" for _ in range(count)]  # zeros: as likely as a guessed key
    return [
        f"00-{text[:32]}-{text[32:]}-{'01' if _random_bits(32) < threshold else '00'}"
        for text in texts
    ]


def parse_traceparent(header: object) -> SpanIds | None:
    """Read a W3C traceparent; None when it is absent or not one."""
    match = _HEADER.match(header) if isinstance(header, str) else None
    if match is None or (match.end() != len(match.string) and not _continues(match)):
        return None
    trace_id, span_id, flags = match.groups()
    return SpanIds(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def _continues(match: re.Match[str]) -> bool:
    """Versions after 00 may add fields; 00 has none."""
    return not match.string.startswith("00") and match.string[match.end()] == "-"


def orphan() -> SpanIds:
    """Stand for the sender of a message without context: a new trace, unsampled, no span."""
    return SpanIds(f"{_random_bits(128) or 1:032x}", NO_SPAN, sampled=False)


def suppressed() -> bool:
    """Tell whether the application wants nothing instrumented (`suppress_instrumentation`)."""
    current = otel_context.get_current()
    return bool(current) and any(map(current.get, _SUPPRESSION_KEYS))


def sender_ids(sample_ratio: float) -> tuple[str, str]:
    """Return the traceparent of a new PRODUCER span, and its parent's span id ("" for a root)."""
    # Most sends happen outside of any span, and looking for one costs more than all the rest.
    if (
        otel_context.get_current()
        and (current := trace.get_current_span().get_span_context()).is_valid
    ):
        flags = current.trace_flags.sampled
        ids = SpanIds(f"{current.trace_id:032x}", new_span_id(), flags)
        return ids.traceparent(), f"{current.span_id:016x}"
    try:
        return _ready[sample_ratio].pop(), ""
    except (
        KeyError,
        IndexError,
    ):  # made in batches: a tight loop makes them at a third of the cost
        _ready[sample_ratio] = new_roots(sample_ratio, _BATCH)
        return _ready[sample_ratio].pop(), ""


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


def pack(traceparent: str, scheduled: int, sent: int) -> str:
    """Write what a message carries as one string: cheaper to serialize than a mapping."""
    return f"{traceparent};{scheduled};{sent}"


def unpack(packed: object) -> dict[str, object] | None:
    """Read what `pack` wrote; None for anything else."""
    parts = packed.split(";") if type(packed) is str else []
    if len(parts) != _PACKED_PARTS:
        return None
    traceparent, scheduled, sent = parts
    try:
        return {TRACEPARENT: traceparent, SCHEDULED: int(scheduled), SENT: int(sent)}
    except ValueError:
        return None


def instant(carrier: Mapping[str, object], key: str) -> int:
    """Read an instant from a message; 0 when it is absent or cannot be one."""
    value = carrier.get(key)
    return value if type(value) is int and 0 < value <= _LARGEST_INSTANT_NS else 0


class _CurrentTaskSpan(NonRecordingSpan):
    """Stands for whichever unsampled task is running in this context.

    Building a SpanContext for every task would cost more than all the rest of the hot path;
    this one shared span builds it only when somebody asks.
    """

    def __init__(self) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)

    def get_span_context(self) -> SpanContext:
        ids = _task_ids.get()
        if ids is None:
            return trace.INVALID_SPAN_CONTEXT
        flags = TraceFlags(_SAMPLED if ids.sampled else 0)
        return SpanContext(
            int(ids.trace_id, 16), int(ids.span_id, 16), is_remote=False, trace_flags=flags
        )


_task_ids: ContextVar[SpanIds | None] = ContextVar("taskqueue_task_ids", default=None)
_TASK_CONTEXT = trace.set_span_in_context(_CurrentTaskSpan(), otel_context.Context())

type ContextToken = tuple[Token[SpanIds | None], Token[otel_context.Context]]


def enter_task(ids: SpanIds) -> ContextToken:
    """Make the task's span the current one; give the token to `leave_task`."""
    return _task_ids.set(ids), otel_context.attach(_TASK_CONTEXT)


def leave_task(token: ContextToken) -> None:
    """Undo `enter_task`."""
    _task_ids.reset(token[0])
    otel_context.detach(token[1])
