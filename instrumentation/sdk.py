"""The OpenTelemetry SDK for live spans, where the application has configured none itself."""

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from itertools import batched, groupby
from math import isfinite
from pathlib import Path

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import StatusCode

from instrumentation.destination import otlp_endpoint
from instrumentation.provider import application_provider
from instrumentation.settings import Environ, resource, spans_wanted
from instrumentation.sinks import FileSink
from instrumentation.spans import compact, readable

_log = logging.getLogger(__name__)
_BATCH_MILLISECONDS = 1_000
#: More than come in that time: nothing is dropped.
_MOST_WAITING = 100_000
_SPANS_PER_LINE = 100
_STATUS_CODES = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}


def configure(system: str, environ: Environ) -> None:
    """Install a tracer provider whose spans go where the task spans go: OTLP, else a file.

    Only sampled tasks have live spans. They are written in batches; in a pool child, which may be
    recycled or killed, each at once when it ends if that is to a file.
    """
    if not spans_wanted(environ) or application_provider():
        return  # tasks keep their ids without a live span, or have the application's
    endpoint, directory = otlp_endpoint(environ), environ.get("TASKQUEUE_TRACES_DIR")
    provider = TracerProvider(resource=Resource.create(dict(resource(environ, system))))
    if endpoint:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    elif directory:
        provider.add_span_processor(_FileProcessor(Path(directory)))
    else:
        _warn_of_other_exporters(environ)
        return
    trace.set_tracer_provider(provider)


def _warn_of_other_exporters(environ: Environ) -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if environ.get(name):
            _log.error(
                "no spans are sent to %s: this command itself speaks OTLP/HTTP only. Run it under "
                "opentelemetry-instrument, with opentelemetry-distro and your exporter installed",
                name,
            )
            return


class _FileProcessor(SpanProcessor):
    """Writes spans that have ended, each at once in forked children.

    Elsewhere in batches, from another thread: to write one between two tasks takes 0.2 ms.
    """

    def __init__(self, directory: Path) -> None:
        self._exporter = _FileExporter(directory)
        self._owner = os.getpid()
        self._at_once = SimpleSpanProcessor(self._exporter)
        #: Made when it is needed, not before a fork: it has a thread.
        self._in_batches: SpanProcessor | None = None
        self._making = threading.Lock()

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span."""
        self._processor().on_end(span)

    def _processor(self) -> SpanProcessor:
        if os.getpid() != self._owner:
            return self._at_once
        with self._making:
            if self._in_batches is None:
                self._in_batches = BatchSpanProcessor(
                    self._exporter,
                    max_queue_size=_MOST_WAITING,
                    schedule_delay_millis=_BATCH_MILLISECONDS,
                )
            return self._in_batches

    def shutdown(self) -> None:
        """Write what waits."""
        if self._in_batches and os.getpid() == self._owner:
            self._in_batches.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write what waits."""
        if self._in_batches and os.getpid() == self._owner:
            return self._in_batches.force_flush(timeout_millis)
        return True


class _FileExporter(SpanExporter):
    """Writes SDK spans in the same OTLP/JSON lines as the task spans, beside them."""

    def __init__(self, directory: Path) -> None:
        self._sink = FileSink(directory / "live.jsonl")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        some = batched(spans, _SPANS_PER_LINE)
        dropped = self._sink.write((_line(each), len(each)) for each in some)
        return SpanExportResult.FAILURE if dropped else SpanExportResult.SUCCESS


def _line(spans: Sequence[ReadableSpan]) -> bytes:
    """Write spans of one provider."""
    scopes = [
        {"scope": {"name": name}, "spans": [_span(span) for span in some]}
        for name, some in groupby(sorted(spans, key=_scope), _scope)
    ]
    resource = {"attributes": _attributes(spans[0].resource.attributes)}
    return compact({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]}).encode()


def _scope(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope else ""


def _span(span: ReadableSpan) -> dict[str, object]:
    context = span.get_span_context()
    return {
        "traceId": f"{context.trace_id:032x}" if context else "",
        "spanId": f"{context.span_id:016x}" if context else "",
        "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
        "name": readable(span.name),
        "kind": span.kind.value + 1,  # OTLP counts from 1, the API from 0
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "events": [
            {
                "timeUnixNano": str(event.timestamp),
                "name": readable(event.name),
                "attributes": _attributes(event.attributes or {}),
            }
            for event in span.events
        ],
        "status": {
            "code": _STATUS_CODES[span.status.status_code],
            "message": readable(span.status.description or ""),
        },
    }


def _attributes(attributes: Mapping[str, object]) -> list[dict[str, object]]:
    return [{"key": readable(key), "value": _value(value)} for key, value in attributes.items()]


def _value(value: object) -> dict[str, object]:
    """Write a value by its type; what OTLP would have as a list becomes text."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if isfinite(value) else str(value)}
        case _:
            return {"stringValue": readable(str(value))}
