"""Puts the sources together and serves them until the process is told to end."""

import signal
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server

from exporters.broker import BrokerSource
from exporters.connection import CommandCount, connect
from exporters.host import HostSource
from exporters.marks import MarksSource
from exporters.processes import ProcessSource
from exporters.queues import Adapter, QueueSource
from exporters.source import Source, SourceCollector

ENDING = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Settings:
    """What to read and where to serve it. ``broker_url`` may hold a password: never print it."""

    adapter: Adapter
    queues: Sequence[str]
    broker_url: str
    roles_file: Path
    host: str
    port: int
    marks_file: Path | None = None


def build_registry(settings: Settings) -> CollectorRegistry:
    """Make a registry that reads every source at each scrape. Raises BrokerUrlError."""
    own_commands = CommandCount()
    client = connect(settings.broker_url, settings.adapter.DATABASE, own_commands)
    # The option keeps /metrics?name[]=... working for metrics that are known only once read.
    registry = CollectorRegistry(support_collectors_without_names=True)
    sources: list[Source] = [
        QueueSource(client, settings.adapter, settings.queues),
        BrokerSource(client, own_commands),
        ProcessSource(settings.roles_file),
        HostSource(),
    ]
    if settings.marks_file:
        sources.append(MarksSource(settings.marks_file))
    registry.register(SourceCollector(sources))
    return registry


def serve(settings: Settings, until: Collection[signal.Signals] = ENDING) -> None:
    """Serve ``http://host:port/metrics`` until one of the signals arrives.

    Raises BrokerUrlError, or OSError if the address cannot be bound.
    """
    # Blocked before the server's threads start, so that they inherit it: the signal is then left
    # for sigwait alone, which wakes at once, even in the middle of a scrape.
    signal.pthread_sigmask(signal.SIG_BLOCK, until)
    start_http_server(settings.port, settings.host, build_registry(settings))
    signal.sigwait(until)
