"""Is this a Redis that a comparison can run on? And purge it: no cell may find an earlier one's."""

from urllib.parse import urlsplit, urlunsplit

import redis

from compose.errors import ServiceError
from compose.frameworks import Framework

_OLDEST = (6, 2)  # LMOVE, which AsyncTasQ takes tasks with
_TIMEOUT_SECONDS = 5
_DATABASES = (0, 1, 2)


def redacted(url: str) -> str:
    """Return the URL without user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"***@{host}" if "@" in parts.netloc else host))


def check(url: str) -> str:
    """Return the version of the Redis at `url`; ServiceError if it is none, or too old."""
    try:
        with _connect(url, 0) as client:
            client.ping()
            version = str(client.info("server")["redis_version"])
    except redis.AuthenticationError as error:
        raise ServiceError(
            f"Redis at {redacted(url)} refused the credentials: {error}",
            "Give them in --redis-url: redis://user:password@host:port.",
        ) from None
    except (redis.InvalidResponse, redis.ResponseError, KeyError) as error:
        raise _no_redis(url, error) from None
    except (redis.RedisError, OSError, ValueError) as error:
        if "rotocol" in str(error):
            raise _no_redis(url, error) from None
        raise ServiceError(
            f"Redis at {redacted(url)} cannot be reached: {error}",
            "Start it, correct --redis-url, or leave it out to use a Redis of the run's own.",
        ) from None
    _check_version(url, version)
    return version


def _check_version(url: str, version: str) -> None:
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise ServiceError(
            f"Redis at {redacted(url)} is version {version}: too old.",
            "AsyncTasQ takes tasks with LMOVE: use Redis 6.2 or newer.",
        )


def _no_redis(url: str, error: Exception) -> ServiceError:
    return ServiceError(
        f"What answers at {redacted(url)} is no Redis: {error}",
        "Correct --redis-url, or leave it out to use a Redis of the run's own.",
    )


def check_unshared(url: str, frameworks: list[Framework], queue: str) -> None:
    """Refuse a Redis that holds anybody's data: purging queues must never destroy it."""
    ours = [key for each in frameworks for keys in each.keys(queue).values() for key in keys]
    for database in _DATABASES:
        with _connect(url, database) as client:
            for key in client.scan_iter(count=1000):
                if not any(_matches(key.decode(errors="replace"), pattern) for pattern in ours):
                    raise ServiceError(
                        f"Redis at {redacted(url)} holds data of somebody else: "
                        f"key {key.decode(errors='replace')!r} in database {database}.",
                        "taskscope needs databases 0 to 2 for itself: use an empty Redis.",
                    )


def _matches(key: str, pattern: str) -> bool:
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern


def purge(url: str, framework: Framework, queue: str) -> None:
    """Delete all that the framework may have left of the queue."""
    for database, patterns in framework.keys(queue).items():
        with _connect(url, database) as client:
            for pattern in patterns:
                for key in client.scan_iter(match=pattern, count=1000):
                    client.unlink(key)


def _connect(url: str, database: int) -> redis.Redis:
    return redis.Redis.from_url(
        url, db=database, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
    )
