"""The live SDK span that a head-sampled task runs inside, so that what it calls nests under it.

Every task has a CONSUMER span, built from its record. A sampled one also has this INTERNAL span
below it, made by the application's own tracer provider while the task runs.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

from instrumentation.ids import SpanIds

#: Whose spans these are; None stands for the application's own provider, whenever it comes.
_provider: trace.TracerProvider | None = None


#: Writes the live spans of this process that have ended and still wait for it.
_flush: Callable[[], object] = bool


def flush_with(write: Callable[[], object]) -> None:
    """Have `flush` call this from now on."""
    global _flush  # noqa: PLW0603
    _flush = write


def flush() -> None:
    """Write the live spans of this process that wait."""
    _flush()


def use(provider: trace.TracerProvider | None) -> Callable[[], None]:
    """Make live spans with `provider` from now on; the result takes that back."""
    global _provider
    before, _provider = _provider, provider

    def undo() -> None:
        global _provider  # noqa: PLW0603
        _provider = before

    return undo


@lru_cache(maxsize=8)
def _tracer(provider: trace.TracerProvider) -> trace.Tracer:
    """Making one anew for each span would cost as much as the span."""
    return provider.get_tracer("taskscope.instrumentation")


class LiveSpan:
    """A recording span, current until `end`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token = otel_context.attach(trace.set_span_in_context(span))

    @classmethod
    def begin(cls, consumer: SpanIds, task: str) -> Self | None:
        """Start a span below the CONSUMER span; None when no SDK is configured to record it."""
        parent = SpanContext(
            int(consumer.trace_id, 16),
            int(consumer.span_id, 16),
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )
        context = trace.set_span_in_context(NonRecordingSpan(parent))
        with suppress(Exception):  # an application's span processor must not stop its tasks
            tracer = _tracer(_provider or trace.get_tracer_provider())
            span = tracer.start_span(f"run {task}", context=context)
            return cls(span) if span.is_recording() else None
        return None

    def end(self, error: BaseException | None, instant_ns: int) -> None:
        """Close the span and give the context back."""
        otel_context.detach(self._token)
        with suppress(Exception):
            if error is not None:
                self._span.record_exception(error)
                self._span.set_status(Status(StatusCode.ERROR, str(error)))
        with suppress(Exception):
            self._span.end(instant_ns)
