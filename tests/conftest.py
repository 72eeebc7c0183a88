"""What all tests share: a real broker of their own, and no clock for generated cases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from real_redis import RedisServer, running_redis

# How long a case takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("taskscope", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("taskscope")


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Start an empty redis-server for this test alone, which may stop it or change its settings."""
    with running_redis(tmp_path) as server:
        yield server
