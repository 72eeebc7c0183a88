"""INFO, recorded from redis-server 7.0, to metrics."""

import pytest
from redis.connection import AbstractConnection

from exporters.broker import BrokerReading, emit, parse
from exporters.connection import BrokerUrlError, CommandCount, connect

# As redis-py hands it over; the fields that are not read are left out but for a few.
RECORDED: dict[str, object] = {
    "redis_version": "7.0.15",
    "connected_clients": 3,
    "maxclients": 10000,
    "used_memory": 972928,
    "used_memory_human": "950.12K",
    "maxmemory": 268435456,
    "mem_fragmentation_ratio": 8.61,
    "total_connections_received": 17,
    "total_commands_processed": 52,
    "total_net_input_bytes": 5213,
    "total_net_output_bytes": 81308,
    "evicted_keys": 2,
}
READING = BrokerReading(
    commands=52,
    received_bytes=5213,
    sent_bytes=81308,
    memory_bytes=972928,
    memory_limit_bytes=268435456,
    evicted_keys=2,
    connections=3,
)


def test_info_is_parsed() -> None:
    assert parse(RECORDED) == READING


@pytest.mark.parametrize("field", ["total_commands_processed", "evicted_keys", "maxmemory"])
def test_a_missing_field_is_an_error_that_names_it(field: str) -> None:
    with pytest.raises(KeyError, match=field):
        parse({name: value for name, value in RECORDED.items() if name != field})


def test_every_field_has_its_metric() -> None:
    samples = {
        (sample.name, sample.labels.get("direction")): sample.value
        for family in emit(READING, own_commands=7)
        for sample in family.samples
    }

    assert samples == {
        ("taskqueue_broker_commands_total", None): 52,
        ("taskqueue_exporter_broker_commands_total", None): 7,
        ("taskqueue_broker_network_bytes_total", "in"): 5213,
        ("taskqueue_broker_network_bytes_total", "out"): 81308,
        ("taskqueue_broker_memory_bytes", None): 972928,
        ("taskqueue_broker_memory_limit_bytes", None): 268435456,
        ("taskqueue_broker_evicted_keys_total", None): 2,
        ("taskqueue_broker_connections", None): 3,
    }


@pytest.mark.parametrize(
    "url",
    ["redis://broker:6380", "redis://broker:6380/7", "rediss://broker?db=7", "unix:///r.sock"],
)
def test_the_database_is_the_adapters_whatever_the_url_says(url: str) -> None:
    client = connect(url, 1, CommandCount())

    connection = client.connection_pool.make_connection()
    assert isinstance(connection, AbstractConnection)
    assert connection.db == 1


@pytest.mark.parametrize("url", ["redis://:pass/word@broker", "http://u:pass/word@broker", ""])
def test_an_unusable_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BrokerUrlError) as refused:
        connect(url, 0, CommandCount())

    assert "pass" not in str(refused.value)
    assert refused.value.__suppress_context__
