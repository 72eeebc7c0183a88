"""Task telemetry for Python task queues: every stage of every task, at a few microseconds a task.

The hot path hands one small tuple to a recorder and returns (`records`, `recorder`, `spool`). When
Prometheus scrapes, the collector drains the tuples, bins them into histograms (`histogram`,
`collector`) and writes OTLP spans (`spans`, `sinks`). `attempt` is the life of one execution, and
`children` settles what a killed process left open, and `celery` and `asynctasq` are the only modules that know a framework: each wraps a few of its calls.

    python -m instrumentation celery -A shop.tasks worker
    python -m instrumentation asynctasq worker --queues mail
"""
