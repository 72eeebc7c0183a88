"""The seam to a framework: find its module by name."""

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

from compose.command import Backlog, Command, Other, WorkerSettings


class Framework(Protocol):
    """What each framework's module in this folder offers."""

    TASKS: str
    #: More publishes than this are never under way at once, whatever a scenario allows.
    MOST_IN_FLIGHT: int
    #: What the names of its environment variables begin with.
    VARIABLES: str
    #: The variant that runs in containers, and its settings.
    WATCHED: tuple[str, Mapping[str, object]]
    #: What else than our instrumentation can watch its workers, by the name of the mode.
    OTHERS: Mapping[str, Other]

    def known_settings(self) -> frozenset[str]:
        """Return every setting that a variant may have."""

    def worker(self, what: WorkerSettings) -> Command:
        """Return the command of an instrumented worker."""

    def bare_worker(self, what: WorkerSettings) -> Command:
        """Return the framework's own command, with nothing of ours in it."""

    def client_environment(self, what: WorkerSettings) -> dict[str, str]:
        """Return what worker and generator must agree on."""

    def keys(self, queue: str) -> dict[int, tuple[str, ...]]:
        """Return the keys that a queue may leave in Redis, by database."""

    def backlog(self, queue: str) -> Backlog:
        """Say where tasks wait in Redis, and which keys hold all that are not acknowledged."""


def in_flight(name: str, allowed: int) -> int:
    """Return how many publishes a framework's client has under way at once, of those allowed."""
    return min(allowed, framework(name).MOST_IN_FLIGHT)


def framework(name: str) -> Framework:
    """Return the module of the framework of that name."""
    return cast("Framework", importlib.import_module(f"compose.{name}"))
