"""The OpenTelemetry SDK for live spans, where the application has configured none itself."""

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import batched, groupby
from math import isfinite
from pathlib import Path

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode

from instrumentation import live
from instrumentation.destination import otlp_endpoint
from instrumentation.once import Once
from instrumentation.provider import application_provider
from instrumentation.settings import Environ, resource, spans_wanted
from instrumentation.sinks import FileSink
from instrumentation.spans import compact, readable

_log = logging.getLogger(__name__)
_MOST_WAITING = 100
_SPANS_PER_LINE = 20  # their attributes may be long
_STATUS_CODES = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}


def configure(system: str, environ: Environ) -> None:
    """Install a tracer provider whose spans go where the task spans go: OTLP, else a file.

    Only sampled tasks have live spans. In a file those of a forked child are written at once when
    they end, so nothing is lost when it is recycled or killed; others when the task spans are.
    """
    if not spans_wanted(environ) or application_provider():
        return  # tasks keep their ids without a live span, or have the application's
    endpoint, directory = otlp_endpoint(environ), environ.get("TASKQUEUE_TRACES_DIR")
    provider = TracerProvider(resource=Resource.create(dict(resource(environ, system))))
    if endpoint:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    elif directory:
        provider.add_span_processor(processor := _FileProcessor(Path(directory)))
        live.flush_with(processor.force_flush)
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
    """Writes SDK spans in the same OTLP/JSON lines as the task spans, beside them.

    Several at once: to write one between two tasks takes 0.2 ms. But in a forked child, which may
    be killed at any moment, each as it ends.
    """

    def __init__(self, directory: Path) -> None:
        self._sink = FileSink(directory / "live.jsonl")
        self._complain = Once(_log.exception)
        self._waiting: deque[ReadableSpan] = deque()
        self._begin(_MOST_WAITING)
        os.register_at_fork(after_in_child=lambda: self._begin(1))

    def _begin(self, at_once: int) -> None:
        self._at_once = at_once
        self._waiting.clear()  # in a child: its parent writes them
        self._writing = threading.RLock()  # a signal's handler may end a span too

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        self._waiting.append(span)
        if len(self._waiting) >= self._at_once:
            self.force_flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        """Write those that wait; when it returns, no other thread has some in hand either."""
        with self._writing:
            for some in batched(self._taken(), _SPANS_PER_LINE):
                try:
                    self._sink.write([(_line(some), len(some))])
                except Exception:  # noqa: BLE001 - whatever an application puts into its spans
                    self._complain("live spans are being dropped")
        return True

    def _taken(self) -> Iterator[ReadableSpan]:
        with suppress(IndexError):
            while True:
                yield self._waiting.popleft()

    def shutdown(self) -> None:
        """Write those that wait."""
        self.force_flush()


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
        "name": readable(str(span.name)),
        "kind": span.kind.value + 1,  # OTLP counts from 1, the API from 0
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "events": [
            {
                "timeUnixNano": str(event.timestamp),
                "name": readable(str(event.name)),
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
