"""A service's command line and environment, as every way of running it needs them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Command:
    """What to execute. `environ` is added to the inherited environment and may hold credentials."""

    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkerSettings:
    """What a framework's module turns into a worker's command line."""

    settings: Mapping[str, object]
    concurrency: int
    queue: str
    redis_url: str


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a module of this very Python.

    `-P`, since the user's own folder may hold a `tasks.py` or `queries/` that would come first.
    """
    return sys.executable, "-P", "-m", module, *arguments
