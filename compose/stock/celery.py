"""A Celery worker with the stock OpenTelemetry instrumentation, as its documentation sets it up.

    python -m compose.stock.celery -A shop.tasks worker --concurrency 4

Each pool process has a tracer provider of its own, made after the fork, which sends every span in
batches by OTLP/HTTP to OTEL_EXPORTER_OTLP_ENDPOINT.
"""

import sys
from typing import Any

from celery import signals
from celery.__main__ import main
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def _trace_tasks(**_signal: Any) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    if "threads" in sys.argv:  # a pool without processes of its own: there is no such signal
        _trace_tasks()
    else:
        signals.worker_process_init.connect(_trace_tasks, weak=False)
    sys.exit(main())
