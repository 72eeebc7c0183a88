"""What a message carries: W3C trace context, and the instants that only its sender knows.

A *carrier* is one string, `<traceparent>;<scheduled>;<sent>;<due>`: cheaper to serialize and to
hand on than a mapping. Before a task runs, nothing of it is read but the sampled flag; the rest is
read a batch at a time when the records are drained. *Due* is until when the sender wanted the task
to wait, 0 for not at all.

The current trace is an ordinary OpenTelemetry context, so a task dispatched inside a traced HTTP
request continues that trace, and an HTTP call made inside a task continues the task's.
"""

import os
import random
import re
from collections.abc import Sequence
from contextvars import ContextVar
from hashlib import blake2b
from typing import NamedTuple, Protocol

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

#: The names under which context travels: ours, and the W3C's for everybody else.
CARRIER = "taskqueue"
TRACEPARENT = "traceparent"
#: Stands for a carrier that is not even text.
UNREADABLE = "?"

_SAMPLED = 0x01
_SAMPLED_FLAGS = frozenset(f"{flags:02x}" for flags in range(256) if flags & _SAMPLED)
# Version, trace id, parent id, flags. W3C calls version ff and ids of zero invalid.
_HEADER = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
)
_TRACE_ID = re.compile("(?!0{32})[0-9a-f]{32}")
# Below 9e18, so that it fits into 63 bits.
_INSTANT = re.compile("[0-8]?[0-9]{1,18}")
# What our own senders write, one a line: nearly all that is ever read.
_OURS = re.compile(
    r"^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-(0[01])"
    r";([0-8]?[0-9]{1,18});([0-8]?[0-9]{1,18});([0-8]?[0-9]{1,18})\n",
    re.MULTILINE,
)
_INSTANTS = 3
# A trace that began with a task whose message named no sender.
_BEGUN = re.compile("00-([0-9a-f]{32})-0{16}-00")
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


def new_span_ids(count: int) -> list[str]:
    """Make many at a third of the cost; a zero is as likely as a guessed key."""
    digits = f"{_random_bits(64 * count):0{16 * count}x}" if count else ""
    return [digits[i : i + 16] for i in range(0, 16 * count, 16)]


def begin_trace(header: str = "") -> SpanIds:
    """Stand for the sender of a message without context: a new trace, unsampled, no span.

    What it returned for the message before, as a header, gives the same trace again.
    """
    begun = _BEGUN.fullmatch(header)
    trace_id = begun[1] if begun else f"{_random_bits(128) or 1:032x}"
    return SpanIds(trace_id, "0" * 16, sampled=False)


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
    return SpanIds(trace_id, span_id, flags in _SAMPLED_FLAGS)


def _continues(match: re.Match[str]) -> bool:
    """Versions after 00 may add fields; 00 has none."""
    return not match.string.startswith("00") and match.string[match.end()] == "-"


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


def pack(traceparent: str, scheduled: int, sent: int, due: int = 0) -> str:
    """Write a carrier."""
    return f"{traceparent};{scheduled};{sent};{due}"


def is_sampled(carrier: str) -> bool:
    """Tell whether the sender wants the task to run inside a live span."""
    return carrier[53:55] in _SAMPLED_FLAGS


class Carried(NamedTuple):
    """Carriers, read: columns of equal length. Without context a task begins a trace, unsampled."""

    trace_ids: Sequence[str]
    senders: Sequence[str]
    flags: Sequence[str]
    scheduled: Sequence[int]
    sent: Sequence[int]
    due: Sequence[int]
    #: How many could not be read, or only in part.
    unreadable: int


def unpack(carriers: Sequence[str]) -> Carried:
    """Read what many messages carried."""
    lines = "\n".join([*carriers, ""])
    found = _OURS.findall(lines)
    if len(found) == len(carriers) == lines.count("\n"):
        unreadable = 0
    else:
        each = [_unpack_one(carrier) for carrier in carriers]
        found, unreadable = [parts for parts, _ in each], sum(not right for _, right in each)
    trace_ids, senders, flags, *instants = zip(*found, strict=True)
    scheduled, sent, due = map(_integers, instants)
    return Carried(trace_ids, senders, flags, scheduled, sent, due, unreadable)


def _integers(column: Sequence[str]) -> Sequence[int]:
    # Most schedules and delays are "0", of which there is but one in memory: counting is quick.
    return [0] * len(column) if column.count("0") == len(column) else list(map(int, column))


def _unpack_one(carrier: str) -> tuple[tuple[str, ...], bool]:
    """Read a carrier, perhaps a bare traceparent; tell whether all of it was right."""
    header, *instants = carrier.split(";")
    ids = parse_traceparent(header)
    trace_id, sender, sampled = ids or begin_trace(header)._replace(span_id="")
    known = [text if _INSTANT.fullmatch(text) else "0" for text in instants][:_INSTANTS]
    readable = bool(ids or not header or _BEGUN.fullmatch(header)) and known == instants
    missing = ["0"] * (_INSTANTS - len(known))
    return (trace_id, sender, "01" if sampled else "00", *known, *missing), readable


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
        flags = TraceFlags(_SAMPLED if ids.sampled else 0)
        return SpanContext(
            int(ids.trace_id, 16), int(ids.span_id, 16), is_remote=False, trace_flags=flags
        )


_TASK_SPAN = _TaskSpan()


def task_context() -> otel_context.Context:
    """Return the present context, in which the current span is that of the current task."""
    return trace.set_span_in_context(_TASK_SPAN)
