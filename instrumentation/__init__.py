"""Task telemetry for Python task queues: every stage of every task, and its spans.

The hot path fills in one small object and returns (`attempt`, `recorder`, `spool`). When
Prometheus scrapes, the collector drains what was recorded (`records`), reads it
a batch at a time (`carrier`, `finished`), bins them into histograms (`histogram`,
`collector`) and writes OTLP spans (`spans`) to where they are wanted (`destination`, `sinks`,
`otlp`, `provider`). `attempt` is the life of one execution, `children` settles what a killed
process left open, and `celery` and `asynctasq` are the only modules that know a framework: each
wraps a few of its calls, and has an `instrumentor`.

    CeleryInstrumentor().instrument()
    opentelemetry-instrument celery -A shop.tasks worker
    python -m instrumentation celery -A shop.tasks worker
    python -m instrumentation asynctasq worker --queues mail
"""
