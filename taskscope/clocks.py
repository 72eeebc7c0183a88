"""Ask another host's clock: pings to the metrics port of a worker there."""

import http.client
import json
import socket
import time
from typing import Final

from compose.errors import ServiceError
from extract.manifest import ClockReading

_PINGS: Final = 20
_TIMEOUT_SECONDS: Final = 5


def read(address: str) -> ClockReading | None:
    """Ask the clock of the worker at `address`, host:port; None if it is this host's own.

    ServiceError if none answers there. See `extract.clocks` for what the bounds mean.
    """
    lower, upper, host = -(2**63), 2**63 - 1, ""
    for _ in range(_PINGS):
        before, there, after, host = _ping(address)
        lower, upper = max(lower, there - after), min(upper, there - before)
    here = socket.gethostname()
    if host == here:
        return None
    return ClockReading(host, here, time.time(), lower, upper, _PINGS)


def _ping(address: str) -> tuple[int, int, int, str]:
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)
    try:
        connection.connect()
        before = time.time_ns()
        connection.request("GET", "/clock")
        body = connection.getresponse().read()
        after = time.time_ns()
        answer = json.loads(body)
        return before, int(answer["unix_nano"]), after, str(answer["host"])
    except (OSError, http.client.HTTPException) as error:
        raise ServiceError(
            f"No worker answers at {address}: {error}",
            "Start it there with OTEL_EXPORTER_PROMETHEUS_HOST and _PORT as docs/remote.md says, "
            "and let this host and Prometheus reach that port.",
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ServiceError(
            f"What answers at {address} does not tell its clock.",
            "It must be a worker with this version of taskscope-instrumentation.",
        ) from None
    finally:
        connection.close()
