"""The load on the broker, from Redis INFO, and the exporter's own share of it.

INFO counts the commands *before* itself. ``taskscope`` subtracts
``taskqueue_exporter_broker_commands_total`` from ``taskqueue_broker_commands_total``; both are of
the same instant, so that what is left over between two scrapes is exactly what others asked for.
The bytes include the exporter's own traffic, mostly the 5 kB reply to INFO.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import redis
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporters.connection import CommandCount


@dataclass(frozen=True)
class BrokerReading:
    """The fields of INFO that are exported; counts are since the broker's start."""

    commands: int
    received_bytes: int
    sent_bytes: int
    memory_bytes: int
    memory_limit_bytes: int
    evicted_keys: int
    connections: int


class BrokerSource:
    """What Redis says about itself; ``own_commands`` counts those of the same client."""

    name = "broker"

    def __init__(self, client: redis.Redis, own_commands: CommandCount) -> None:
        self._client = client
        self._own_commands = own_commands

    def collect(self) -> list[Metric]:
        """Read INFO now. Raises redis.RedisError, or KeyError for a field that is not there."""
        reading = parse(self._client.info())
        # Counted after the reply, for INFO may have had to connect first; less INFO itself.
        return emit(reading, self._own_commands.value - 1)


def parse(info: Mapping[str, object]) -> BrokerReading:
    """Pick the fields out of INFO. Raises KeyError, TypeError or ValueError if one is unusable."""

    def number(field: str) -> int:
        return int(str(info[field]))

    return BrokerReading(
        commands=number("total_commands_processed"),
        received_bytes=number("total_net_input_bytes"),
        sent_bytes=number("total_net_output_bytes"),
        memory_bytes=number("used_memory"),
        memory_limit_bytes=number("maxmemory"),
        evicted_keys=number("evicted_keys"),
        connections=number("connected_clients"),
    )


def emit(reading: BrokerReading, own_commands: int) -> list[Metric]:
    """Name the metrics; ``own_commands`` are those within ``reading.commands``."""
    network = CounterMetricFamily(
        "taskqueue_broker_network_bytes",
        "Bytes received (in) and sent (out) by the broker, the exporter's included.",
        labels=["direction"],
    )
    network.add_metric(["in"], reading.received_bytes)
    network.add_metric(["out"], reading.sent_bytes)
    return [
        network,
        CounterMetricFamily(
            "taskqueue_broker_commands",
            "Commands processed by the broker, the exporter's included.",
            value=reading.commands,
        ),
        CounterMetricFamily(
            "taskqueue_exporter_broker_commands",
            "Commands of this exporter within taskqueue_broker_commands_total: subtract them.",
            value=own_commands,
        ),
        CounterMetricFamily(
            "taskqueue_broker_evicted_keys",
            "Keys evicted because the memory limit was reached: each may be a lost task.",
            value=reading.evicted_keys,
        ),
        GaugeMetricFamily(
            "taskqueue_broker_memory_bytes",
            "Memory allocated by the broker for data and overhead.",
            value=reading.memory_bytes,
        ),
        GaugeMetricFamily(
            "taskqueue_broker_memory_limit_bytes",
            "The broker's memory limit; 0 means none.",
            value=reading.memory_limit_bytes,
        ),
        GaugeMetricFamily(
            "taskqueue_broker_connections",
            "Client connections, the exporter's included.",
            value=reading.connections,
        ),
    ]
