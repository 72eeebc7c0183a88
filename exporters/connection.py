"""The exporter's own connection to the broker, which counts what it asks of it."""

from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.retry import Retry

TIMEOUT_SECONDS = 1.0
"""How long connecting, and any reply, may take: well under the usual scrape timeout of 10 s."""


class BrokerUrlError(ValueError):
    """The broker's URL cannot be used. The text never holds the URL: it may carry a password."""


@dataclass
class CommandCount:
    """How many commands this process has had answered by the broker."""

    value: int = 0


class _Counting(AbstractConnection):
    """Counts replies, because every command has exactly one.

    So AUTH and SELECT of each new connection, MULTI and EXEC are counted like any other. A command
    that Redis refuses (unknown, not permitted) is an exception here and not in its count either.
    """

    def __init__(self, *, counter: CommandCount, **options: Any) -> None:
        super().__init__(**options)
        self._counter = counter

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read one reply."""
        response = super().read_response(*args, **options)
        self._counter.value += 1
        return response


class _CountingTcp(_Counting, Connection):
    """Over TCP."""


class _CountingTls(_Counting, SSLConnection):
    """Over TLS."""


class _CountingUnix(_Counting, UnixDomainSocketConnection):
    """Over a Unix socket."""


_COUNTING: dict[type[Any], type[Any]] = {
    Connection: _CountingTcp,
    SSLConnection: _CountingTls,
    UnixDomainSocketConnection: _CountingUnix,
}


def connect(url: str, database: int, counter: CommandCount) -> redis.Redis:
    """Make a client for one database of the broker; it connects at its first command.

    ``url`` is ``redis://``, ``rediss://`` or ``unix://``; a database named in it is replaced.
    Raises BrokerUrlError for anything else.
    """
    try:
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        # "from None": the cause may quote a part of the URL.
        raise BrokerUrlError("not a redis://, rediss:// or unix:// URL") from None
    plain = options.pop("connection_class", Connection)
    # One immediate second try finds a connection that was closed while idle. Backing off as the
    # client does by default would hold the scrape for seconds.
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    options |= {"db": database, "protocol": 2, "retry": retry, "counter": counter}
    options |= {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
    return redis.Redis(connection_pool=redis.ConnectionPool(_COUNTING[plain], **options))
