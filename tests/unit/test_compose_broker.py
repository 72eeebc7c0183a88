"""Which Redis a run may use, and what becomes of what it holds."""

import os
import signal
from pathlib import Path

import pytest
import redis
from real_redis import RedisServer

from compose import broker, services
from compose.errors import ServiceError
from compose.frameworks import framework
from compose.process import Process

CLAIMS = [(framework("asynctasq"), "q"), (framework("celery"), "q")]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1", "redis://h:1"),
        ("redis://user:pw@h:1/0", "redis://***@h:1/0"),
        ("redis://:p@ss/w#rd@h:1", "redis://***@h:1"),
        ("redis://h:1?password=pw", "redis://h:1"),
        ("http://u:p@[::1]:9090/x", "http://***@[::1]:9090/x"),
        ("user:pw@h:1", "***@h:1"),
        ("redis://u:pw@[bad", "redis://***@[bad"),
        ("", ""),
    ],
)
def test_credentials_are_never_shown(url: str, shown: str) -> None:
    assert broker.redacted(url) == shown


@pytest.mark.parametrize("url", ["redis://h:1", "redis://h:1/", "redis://h:1/0"])
def test_a_url_may_name_the_first_database(url: str) -> None:
    assert broker.usable(url) == "redis://h:1"
    assert broker.usable(url.replace("//", "//u:p%2F@")) == "redis://u:p%2F@h:1"


@pytest.mark.parametrize(
    "url",
    ["h:1", "rediss://h:1", "redis://h:1/5", "redis://h?password=x", "redis://", "redis://u:p/w@h",
     "unix:///tmp/redis.sock"],
)  # fmt: skip
def test_other_urls_are_refused_with_an_example(url: str) -> None:
    with pytest.raises(ServiceError, match="is no URL of a Redis") as refusal:
        broker.usable(url)
    assert "redis://user:password@host:port" in refusal.value.remedy
    assert "p/w" not in refusal.value.cause


@pytest.mark.parametrize("url", ["redis://h:x", "redis://[h"])
def test_a_url_that_no_client_understands_is_explained(url: str) -> None:
    with pytest.raises(ServiceError, match="cannot be reached"):
        broker.check(url)


@pytest.mark.parametrize(
    ("database", "key"),
    [(0, "theirs"), (1, "unacked"), (1, "_kombu.binding.celery"), (2, "celery-task-meta-1"),
     (0, "queue:q")],
)  # fmt: skip
def test_data_of_others_is_refused_and_kept(
    redis_server: RedisServer, database: int, key: str
) -> None:
    with redis.Redis.from_url(redis_server.url, db=database) as client:
        client.set(key, "precious")
        with (
            pytest.raises(ServiceError, match=f"'{key}' in database {database}"),
            broker.claimed(redis_server.url, CLAIMS),
        ):
            pytest.fail("claimed")
        assert client.get(key) == b"precious"
        assert client.dbsize() == 1


def test_what_is_claimed_is_left_empty(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url, db=1) as client:
        with broker.claimed(redis_server.url, CLAIMS):
            client.lpush("q", "left over")
        assert client.dbsize() == 0


def test_a_killed_runs_leftovers_are_taken_over(redis_server: RedisServer) -> None:
    held = broker.claimed(redis_server.url, CLAIMS)
    held.__enter__()
    with redis.Redis.from_url(redis_server.url, db=1) as client:
        client.lpush("q", "left over")
        client.hset("unacked", "tag", "left over")
        with broker.claimed(redis_server.url, CLAIMS):
            client.set("theirs", "precious")
        assert client.keys() == [b"theirs"]


def test_a_queue_of_workers_that_run_already_must_be_empty(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        broker.check_empty(redis_server.url, framework("asynctasq"), "q")
        client.lpush("queue:q", "one", "two")
        with pytest.raises(
            ServiceError, match=r"The queue q at .* holds 2 tasks already"
        ) as refusal:
            broker.check_empty(redis_server.url, framework("asynctasq"), "q")
        assert client.llen("queue:q") == 2
    assert "Let its workers finish them, or empty it." in refusal.value.remedy


def test_purging_takes_only_what_the_queue_left(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        for key in ("queue:q", "queue:q:delayed", "queue:qq", "other"):
            client.set(key, 1)
        broker.purge(redis_server.url, framework("asynctasq"), "q")
        assert set(client.keys()) == {b"queue:qq", b"other"}  # type: ignore[arg-type]


def test_purging_a_dead_redis_is_explained(redis_server: RedisServer) -> None:
    os.kill(redis_server.pid, signal.SIGKILL)
    with pytest.raises(ServiceError, match="cannot be reached"):
        broker.purge(redis_server.url, framework("celery"), "q")


def test_a_busy_port_is_said_and_the_other_redis_not_used(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    data = tmp_path / "own"
    data.mkdir()
    command = services.redis_server(redis_server.port, data)
    process = Process("redis-server", command, tmp_path / "own.log")
    with pytest.raises(ServiceError, match="Address already in use") as refusal:
        process.wait_ready(lambda: broker.is_own(redis_server.url, data), 10)
    assert "another free port" in refusal.value.remedy
    assert not broker.is_own(redis_server.url, data)


def test_a_user_without_permission_is_explained(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.acl_setuser("weak", enabled=True, nopass=True, keys="*", categories=["+@read"])
    with pytest.raises(ServiceError, match="does not permit"):
        broker.check(redis_server.url.replace("//", "//weak:x@"))
