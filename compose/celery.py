"""A Celery worker's command line, and what its clients need, from a variant's settings."""

import json

from celery.app.defaults import NAMESPACES, flatten

from compose.command import Command, WorkerSettings, python

TASKS = "tasks.celery"
#: Its client blocks while it publishes, and more threads only fight for the interpreter.
MOST_IN_FLIGHT = 1
VARIABLES = "CELERY"
#: Settings that are options of `celery worker` rather than of the app.
_FLAGS = ("without_gossip", "without_mingle", "without_heartbeat")
_OPTIONS = ("pool", "max_tasks_per_child")


def known_settings() -> frozenset[str]:
    """Return every setting that a variant may have."""
    return frozenset({*_FLAGS, *_OPTIONS, *(name for name, _ in flatten(NAMESPACES))})


def worker(what: WorkerSettings) -> Command:
    """Return the command of an instrumented worker."""
    arguments = ["-A", TASKS, "worker", "--concurrency", str(what.concurrency)]
    arguments += ["--queues", what.queue, "--loglevel", "WARNING"]
    for option in _OPTIONS:
        if option in what.settings:
            arguments += ["--" + option.replace("_", "-"), str(what.settings[option])]
    arguments += ["--" + f.replace("_", "-") for f in _FLAGS if what.settings.get(f)]
    return Command(python("instrumentation", "celery", *arguments), client_environment(what))


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
              "_kombu.binding.*")  # fmt: skip
    return {1: broker, 2: ("celery-task-meta-*",)}
