"""A service's command line and environment, as every way of running it needs them."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Command:
    """What to execute. `environ` is added to the inherited environment and may hold credentials."""

    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkerSettings:
    """What a framework's module turns into a worker's command line.

    `number` tells the workers of one queue apart.
    """

    settings: Mapping[str, object]
    concurrency: int
    queue: str
    redis_url: str
    number: int = 1


@dataclass(frozen=True)
class Other:
    """A way of watching a worker that is not ours.

    `worker` gets the settings and the URL of an OTLP backend. What the worker then tells is spans
    to that backend, or messages that it publishes through the broker. `package` must be installed.
    """

    meaning: str
    worker: Callable[[WorkerSettings, str], Command]
    tells: Literal["spans", "messages"]
    package: str = ""


@dataclass(frozen=True)
class Backlog:
    """Where a queue's tasks are in Redis until they are acknowledged.

    `waiting` is the list that workers take from; the answers to `commands` sum to the backlog.
    """

    database: int
    waiting: str
    commands: tuple[tuple[str, str], ...]


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a module of this very Python.

    `-P`, since the user's own folder may hold a `tasks.py` or `queries/` that would come first.
    """
    return sys.executable, "-P", "-m", module, *arguments
