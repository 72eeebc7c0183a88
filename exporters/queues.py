"""Queue depth, by one definition for every framework.

* ready: waiting in the broker, and due;
* delayed: held back on purpose until a later time (ETA, countdown, retry delay not yet reached),
  wherever it is held: in the broker, or by a worker that fetched it early;
* in_flight: delivered to a worker and not yet acknowledged.

How a framework lays that out in its broker is known to its adapter alone.
"""

import pkgutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

import redis
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily


@dataclass(frozen=True)
class Depth:
    """The number of messages of one queue in each state."""

    ready: int
    delayed: int
    in_flight: int


class Adapter(Protocol):
    """The shape of a framework's module in this package."""

    @property
    def DATABASE(self) -> int:  # noqa: N802 - a constant of the module
        """The Redis database that holds the framework's queues."""

    def read_depths(
        self, client: redis.Redis, queues: Sequence[str], now: float
    ) -> dict[str, Depth]:
        """Read the depth of each queue at ``now`` (Unix seconds) in one round trip.

        Raises what the client raises; a queue that does not exist has depth zero.
        """


def load_adapters() -> dict[str, Adapter]:
    """Find the adapters by their shape: a framework is added by adding its module here."""
    package = import_module(__package__)
    names = [found.name for found in pkgutil.iter_modules(package.__path__)]
    modules = {name: import_module(f"{__package__}.{name}") for name in names if name != "__main__"}
    return {
        name: cast("Adapter", module)
        for name, module in modules.items()
        if hasattr(module, "read_depths")
    }


class QueueSource:
    """The depth of the queues named, read through one framework's adapter."""

    name = "queues"

    def __init__(
        self,
        client: redis.Redis,
        adapter: Adapter,
        queues: Sequence[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._adapter = adapter
        self._queues = queues
        self._clock = clock

    def collect(self) -> list[Metric]:
        """Read the broker now. Raises redis.RedisError, or ValueError for a malformed message."""
        return emit(self._adapter.read_depths(self._client, self._queues, self._clock()))


def emit(depths: Mapping[str, Depth]) -> list[Metric]:
    """Give every queue its three series, zeros included."""
    family = GaugeMetricFamily(
        "taskqueue_queue_depth",
        "Messages in the queue: ready (waiting and due), delayed (held back until a later time), "
        "in_flight (delivered and not acknowledged).",
        labels=["queue", "state"],
    )
    for queue, depth in depths.items():
        family.add_metric([queue, "ready"], depth.ready)
        family.add_metric([queue, "delayed"], depth.delayed)
        family.add_metric([queue, "in_flight"], depth.in_flight)
    return [family]
