"""Fixtures for all tests: a real broker of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from real_redis import RedisServer, running_redis


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """Start an empty redis-server for this test alone, which may stop it or change its settings."""
    with running_redis(tmp_path) as server:
        yield server
