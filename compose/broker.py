"""Is this a Redis that a comparison can run on? And purge it: no cell may find an earlier one's."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.exceptions import NoPermissionError

from compose.errors import ServiceError
from compose.frameworks import Framework

_OLDEST = (6, 2)  # LMOVE, which AsyncTasQ takes tasks with
_TIMEOUT_SECONDS = 5
_DATABASES = (0, 1, 2)
#: Set in databases that were empty when a run began. Names alone do not tell whose data it is:
#: another Celery keeps its unacknowledged tasks under the very same key.
_MARK = "taskscope:in-use"
_URL = re.compile(r"(redis://[^/?#]*[^/?#@])(/|/0)?")

type Claim = tuple[Framework, str]
"""A framework and the queue that it uses."""


@dataclass(frozen=True)
class Server:
    """What a Redis says of itself."""

    version: str
    directory: str


def redacted(url: str) -> str:
    """Return the URL without user, password and options."""
    scheme, separator, rest = url.rpartition("://")
    host = rest.rpartition("@")[2].partition("?")[0]
    return scheme + separator + ("***@" if "@" in rest else "") + host


def usable(url: str) -> str:
    """Return the URL as both frameworks can use it; ServiceError for one that they cannot."""
    if not (match := _URL.fullmatch(url)):
        raise ServiceError(
            f"{redacted(url)} is no URL of a Redis server that taskscope can use.",
            "Write --redis-url redis://host:port or redis://user:password@host:port, with %2F and "
            "the like for special characters. taskscope uses databases 0, 1 and 2.",
        )
    return match[1]


def check(url: str) -> Server:
    """Return what the Redis at `url` says of itself; ServiceError if it is none, or too old."""
    try:
        with _connect(url, 0) as client:
            client.ping()
            info = client.info("server")
            server = Server(str(info["redis_version"]), _directory(client))
    except (redis.RedisError, OSError, ValueError, KeyError) as error:
        raise _explained(url, error) from None
    _check_version(url, server.version)
    return server


def _directory(client: redis.Redis) -> str:
    with suppress(redis.ResponseError):  # a Redis of the user's may forbid CONFIG
        return str(client.config_get("dir").get("dir", ""))
    return ""


def is_own(url: str, directory: Path) -> bool:
    """Whether the Redis at `url` is up, and is the one that keeps its data in `directory`.

    Another one may listen there: it took the port after it had been found free.
    """
    try:
        server = check(url)
    except ServiceError as error:
        if "cannot be reached" in error.cause or "LOADING" in error.cause:
            return False
        raise
    return Path(server.directory) == directory.resolve()


def _explained(url: str, error: Exception) -> ServiceError:
    """Say what an error of the client means for the user."""
    if isinstance(error, redis.AuthenticationError):
        return ServiceError(
            f"Redis at {redacted(url)} refused the credentials: {error}",
            "Give them in --redis-url: redis://user:password@host:port.",
        )
    if isinstance(error, NoPermissionError | redis.ReadOnlyError):
        return ServiceError(
            f"Redis at {redacted(url)} does not permit what a run needs: {error}",
            "Use a Redis that may be written, and a user that may use every command.",
        )
    if isinstance(error, redis.ResponseError | KeyError) or "rotocol" in str(error):
        return ServiceError(
            f"What answers at {redacted(url)} is no Redis: {error}",
            "Correct --redis-url, or leave it out to use a Redis of the run's own.",
        )
    return ServiceError(
        f"Redis at {redacted(url)} cannot be reached: {error}",
        "Start it, correct --redis-url, or leave it out to use a Redis of the run's own.",
    )


def _check_version(url: str, version: str) -> None:
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < _OLDEST:
        raise ServiceError(
            f"Redis at {redacted(url)} is version {version}: too old.",
            "AsyncTasQ takes tasks with LMOVE: use Redis 6.2 or newer.",
        )


@contextmanager
def claimed(url: str, claims: Iterable[Claim], running: Iterable[Claim] = ()) -> Iterator[None]:
    """Hold a Redis of the user's, and leave it as it was: empty. ServiceError if it is not.

    Of the claims that are `running`, workers are there already, with keys of theirs but no task.
    """
    claims, running = list(claims), list(running)
    _refuse_foreign(url, claims, running)
    _set_marks(url)
    try:
        yield
    finally:
        with suppress(ServiceError):  # it may be what ended the run
            for framework, queue in claims:
                if (framework, queue) not in running:
                    purge(url, framework, queue)
            _remove_marks(url)


def check_empty(url: str, framework: Framework, queue: str) -> None:
    """ServiceError if a queue holds tasks: those of workers that run already are not deleted."""
    backlog = framework.backlog(queue)
    with _reaching(url, backlog.database) as client:
        lengths = [client.execute_command(*c) for c in backlog.commands]  # type: ignore[no-untyped-call]
    tasks = sum(map(int, lengths))
    if tasks:
        raise ServiceError(
            f"The queue {queue} at {redacted(url)} holds {tasks} tasks already.",
            "Let its workers finish them, or empty it.",
        )


def _refuse_foreign(url: str, claims: list[Claim], running: list[Claim]) -> None:
    for framework, queue in running:
        check_empty(url, framework, queue)
    for database in _DATABASES:
        ours = _patterns(claims, database)
        theirs = _patterns(running, database)
        with _reaching(url, database) as client:
            marked = client.exists(_MARK)
            for key in client.scan_iter(count=1000):
                name = key.decode(errors="replace")
                known = theirs + ([_MARK, *ours] if marked else [])
                if not any(_matches(name, pattern) for pattern in known):
                    raise ServiceError(
                        f"Redis at {redacted(url)} holds data of somebody else: "
                        f"key {name!r} in database {database}.",
                        "taskscope needs databases 0, 1 and 2 for itself: use an empty Redis.",
                    )


def _patterns(claims: list[Claim], database: int) -> list[str]:
    return [p for framework, queue in claims for p in framework.keys(queue).get(database, ())]


def _set_marks(url: str) -> None:
    for database in _DATABASES:
        with _reaching(url, database) as client:
            client.set(_MARK, "A run of taskscope uses this database, or was killed while it did.")


def _remove_marks(url: str) -> None:
    for database in _DATABASES:
        with _reaching(url, database) as client:
            client.delete(_MARK)


def _matches(key: str, pattern: str) -> bool:
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern


def purge(url: str, framework: Framework, queue: str) -> None:
    """Delete all that the framework may have left of the queue. ServiceError without a Redis."""
    for database, patterns in framework.keys(queue).items():
        with _reaching(url, database) as client:
            for pattern in patterns:
                for key in client.scan_iter(match=pattern, count=1000):
                    client.unlink(key)


@contextmanager
def _reaching(url: str, database: int) -> Iterator[redis.Redis]:
    try:
        with _connect(url, database) as client:
            yield client
    except (redis.RedisError, OSError) as error:
        raise _explained(url, error) from None


def _connect(url: str, database: int) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        db=database,
        protocol=2,  # which a Redis that is too old understands as well
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
    )
