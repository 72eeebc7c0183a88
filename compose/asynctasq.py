"""An AsyncTasQ worker's command line, and what its clients need, from a variant's settings."""

import json
from collections.abc import Mapping

from compose.command import Backlog, Command, Other, WorkerSettings, python

TASKS = "tasks.asynctasq"
MOST_IN_FLIGHT = 10_000
VARIABLES = "ASYNCTASQ_"
WATCHED: tuple[str, Mapping[str, object]] = ("asynctasq", {})
#: A variant's setting, and the variable that AsyncTasQ reads it from.
_SETTINGS = {
    "redis_max_connections": "ASYNCTASQ_REDIS_MAX_CONNECTIONS",
    "redis_warmup_connections": "ASYNCTASQ_REDIS_WARMUP_CONNECTIONS",
    "redis_delayed_task_interval": "ASYNCTASQ_REDIS_DELAYED_TASK_INTERVAL",
    "process_pool_size": "ASYNCTASQ_PROCESS_POOL_SIZE",
    "process_pool_max_tasks_per_child": "ASYNCTASQ_PROCESS_POOL_MAX_TASKS_PER_CHILD",
    "max_attempts": "ASYNCTASQ_TASK_DEFAULTS_MAX_ATTEMPTS",
    "retry_strategy": "ASYNCTASQ_TASK_DEFAULTS_RETRY_STRATEGY",
    "retry_delay": "ASYNCTASQ_TASK_DEFAULTS_RETRY_DELAY",
}


#: Where each task runs, by its name: loop, thread or process (see tasks/asynctasq.py).
_EXECUTION = "execution"


def known_settings() -> frozenset[str]:
    """Return every setting that a variant may have."""
    return frozenset({*_SETTINGS, _EXECUTION})


def worker(what: WorkerSettings) -> Command:
    """Return the command of an instrumented worker."""
    return Command(
        python("instrumentation", "asynctasq", *_arguments(what)), client_environment(what)
    )


def bare_worker(what: WorkerSettings) -> Command:
    """Return the framework's own command."""
    return Command(python("asynctasq", *_arguments(what)), client_environment(what))


#: Nothing else watches an AsyncTasQ worker: it has no OpenTelemetry instrumentation but ours.
OTHERS: Mapping[str, Other] = {}


def _arguments(what: WorkerSettings) -> list[str]:
    return ["worker", "--queues", what.queue, "--concurrency", str(what.concurrency)]


def client_environment(what: WorkerSettings) -> dict[str, str]:
    """Return what worker and generator must agree on."""
    own = {k: v for k, v in what.settings.items() if k != _EXECUTION}
    return {
        "ASYNCTASQ_REDIS_URL": what.redis_url,
        "ASYNCTASQ_REDIS_DB": "0",
        "TASKSCOPE_EXECUTION": json.dumps(what.settings.get(_EXECUTION, {})),
        **{_SETTINGS[name]: str(value) for name, value in own.items()},
    }


def keys(queue: str) -> dict[int, tuple[str, ...]]:
    """Return the keys that a queue may leave in Redis, by database; `*` stands for anything."""
    return {0: (f"queue:{queue}", f"queue:{queue}:*")}


def backlog(queue: str) -> Backlog:
    """Say where tasks wait in Redis, and which keys hold all that are not acknowledged."""
    waiting = f"queue:{queue}"
    return Backlog(0, waiting, (("LLEN", waiting), ("LLEN", f"{waiting}:processing")))
