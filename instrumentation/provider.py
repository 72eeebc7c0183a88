"""Spans handed to a tracer provider of the SDK, for whatever exporters the application has there.

They are read back from the same OTLP/JSON lines that a file or an endpoint gets, so that they are
the same spans. Every one is marked as sampled here, whatever its task's flag: processors would
leave out the others, and every task has its spans.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import batched
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from instrumentation.sinks import Line, QueuedSink

#: A batch processor exports 512 spans at once and keeps 2048: so many at a time never overflow it.
_SPANS_AT_ONCE = 512
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_ERROR = 2

type Json = dict[str, Any]


def application_provider() -> trace.TracerProvider | None:
    """Return the application's own provider; None while it has installed none."""
    provider = trace.get_tracer_provider()
    return provider if isinstance(provider, TracerProvider) else None


class ProviderSink(QueuedSink):
    """Gives spans to the processors of the provider that `find` returns at the time.

    Without one, nobody wants spans. What is no provider of the SDK has no processors: everything
    is dropped and counted.
    """

    def __init__(self, find: Callable[[], trace.TracerProvider | None]) -> None:
        super().__init__()
        self._find = find

    def wanted(self) -> bool:
        return self._find() is not None

    def write(self, lines: Iterable[Line], *, vital: bool = False) -> int:
        return super().write(lines if self.wanted() else (), vital=vital)

    def deliver(self, line: bytes) -> None:
        provider: Any = self._find()
        if not hasattr(provider, "_active_span_processor"):
            raise TypeError(f"{type(provider).__name__} is not a tracer provider of the SDK")
        processor = provider._active_span_processor  # noqa: SLF001 - no public way leads there
        for some in batched(readable_spans(line, provider.resource), _SPANS_AT_ONCE):
            for span in some:
                processor.on_end(span)
            if processor.force_flush() is False:
                raise RuntimeError("the tracer provider is shut down, or its exporter hangs")


def readable_spans(line: bytes, resource: Resource) -> Iterator[ReadableSpan]:
    """Read a line of OTLP/JSON as the SDK's spans, of a process that `resource` describes."""
    for resource_spans in json.loads(line)["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            scope = InstrumentationScope(scope_spans["scope"]["name"])
            for span in scope_spans["spans"]:
                yield _readable(span, resource, scope)


def _readable(span: Json, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    kind = SpanKind(span["kind"] - 1)  # OTLP counts from 1, the API from 0
    trace_id, parent = int(span["traceId"], 16), span["parentSpanId"]
    return ReadableSpan(
        span["name"],
        context=_context(trace_id, span["spanId"], is_remote=False),
        parent=_context(trace_id, parent, is_remote=kind is SpanKind.CONSUMER) if parent else None,
        resource=resource,
        attributes=_attributes(span["attributes"]),
        events=[
            Event(event["name"], _attributes(event["attributes"]), int(event["timeUnixNano"]))
            for event in span.get("events", ())
        ],
        kind=kind,
        status=_status(span["status"]),
        start_time=int(span["startTimeUnixNano"]),
        end_time=int(span["endTimeUnixNano"]),
        instrumentation_scope=scope,
    )


def _context(trace_id: int, span_id: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(trace_id, int(span_id, 16), is_remote, trace_flags=_SAMPLED)


def _attributes(attributes: list[Json]) -> dict[str, str | int]:
    return {a["key"]: _value(a["value"]) for a in attributes}


def _value(value: Json) -> str | int:
    return int(value["intValue"]) if "intValue" in value else str(value["stringValue"])


def _status(status: Json) -> Status:
    if status.get("code") == _ERROR:
        return Status(StatusCode.ERROR, status["message"])
    return Status()
