"""A Celery worker's command line, and what its clients need, from a variant's settings."""

import json
from collections.abc import Mapping

from celery.app.defaults import NAMESPACES, flatten

from compose.command import Backlog, Command, Other, WorkerSettings, python

TASKS = "tasks.celery"
#: Its client blocks while it publishes, and more threads only fight for the interpreter.
MOST_IN_FLIGHT = 1
VARIABLES = "CELERY"
WATCHED: tuple[str, Mapping[str, object]] = (
    "celery-prefork-late-ack",
    {
        "pool": "prefork",
        "task_acks_late": True,
        "task_ignore_result": True,
        "worker_prefetch_multiplier": 4,
        "without_gossip": True,
        "without_mingle": True,
        "without_heartbeat": True,
    },
)
#: Settings that are options of `celery worker` rather than of the app.
_FLAGS = ("without_gossip", "without_mingle", "without_heartbeat")
_OPTIONS = ("pool", "max_tasks_per_child")


def known_settings() -> frozenset[str]:
    """Return every setting that a variant may have."""
    return frozenset({*_FLAGS, *_OPTIONS, *(name for name, _ in flatten(NAMESPACES))})


def worker(what: WorkerSettings) -> Command:
    """Return the command of an instrumented worker."""
    return Command(python("instrumentation", "celery", *_arguments(what)), client_environment(what))


def bare_worker(what: WorkerSettings) -> Command:
    """Return the framework's own command."""
    return Command(python("celery", *_arguments(what)), client_environment(what))


def _stock_worker(what: WorkerSettings, sink_url: str) -> Command:
    environ = {"OTEL_SERVICE_NAME": "worker", "OTEL_EXPORTER_OTLP_ENDPOINT": sink_url}
    command = python("compose.stock.celery", *_arguments(what))
    return Command(command, {**client_environment(what), **environ})


def _events_worker(what: WorkerSettings, _sink_url: str) -> Command:
    command = python("celery", *_arguments(what), "--task-events")
    return Command(command, client_environment(what))


#: What Celery and OpenTelemetry offer themselves to watch a worker, by mode.
OTHERS = {
    "stock": Other(
        "opentelemetry-instrumentation-celery, every span sent by OTLP/HTTP",
        _stock_worker,
        tells="spans",
        package="opentelemetry-instrumentation-celery",
    ),
    "events": Other("Celery's own task events (-E)", _events_worker, tells="messages"),
}


def _arguments(what: WorkerSettings) -> list[str]:
    arguments = ["-A", TASKS, "worker", "--concurrency", str(what.concurrency)]
    arguments += ["--queues", what.queue, "--loglevel", "WARNING"]
    if what.number > 1:  # two of one name would take each other's control messages
        arguments += ["--hostname", f"celery{what.number}@%h"]
    for option in _OPTIONS:
        if option in what.settings:
            arguments += ["--" + option.replace("_", "-"), str(what.settings[option])]
    return arguments + ["--" + f.replace("_", "-") for f in _FLAGS if what.settings.get(f)]


def client_environment(what: WorkerSettings) -> dict[str, str]:
    """Return what worker and generator must agree on."""
    app = {k: v for k, v in what.settings.items() if k not in {*_FLAGS, *_OPTIONS}}
    return {
        "TASKSCOPE_REDIS_URL": what.redis_url,
        "TASKSCOPE_QUEUE": what.queue,
        "TASKSCOPE_SETTINGS": json.dumps(app),
    }


def keys(queue: str) -> dict[int, tuple[str, ...]]:
    """Return the keys that a queue may leave in Redis, by database; `*` stands for anything."""
    broker = (queue, f"{queue}\x06\x16*", "unacked", "unacked_index", "unacked_mutex",
              "_kombu.binding*")  # fmt: skip
    return {1: broker, 2: ("celery-task-meta-*",)}


def backlog(queue: str) -> Backlog:
    """Say where tasks wait in Redis, and which keys hold all that are not acknowledged."""
    return Backlog(1, queue, (("LLEN", queue), ("HLEN", "unacked")))
