"""A real broker for a test. Not in conftest.py, of which there may be several, to be importable."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from compose.ports import free_port

DEADLINE_SECONDS = 60.0


@dataclass(frozen=True)
class RedisServer:
    """A running redis-server; ``url`` names no database."""

    url: str
    port: int
    pid: int


@contextmanager
def running_redis(directory: Path) -> Iterator[RedisServer]:
    """Run a redis-server that keeps nothing on disk."""
    binary = shutil.which("redis-server")
    assert binary, "redis-server is not on PATH"
    port = free_port()
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    with (directory / "redis.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _await_ping(port, process)
        yield RedisServer(f"redis://127.0.0.1:{port}", port, process.pid)
    finally:
        process.kill()
        process.wait()


def _await_ping(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client:
        while time.monotonic() < deadline:
            assert process.poll() is None, f"redis-server exited with {process.returncode}"
            with suppress(redis.ConnectionError):
                client.ping()
                return
            time.sleep(0.01)
    raise TimeoutError("redis-server did not answer in time")
