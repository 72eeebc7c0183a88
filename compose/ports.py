"""Ports for services on loopback."""

import errno
import os
import random
import socket
from collections import deque
from contextlib import suppress
from pathlib import Path

#: The first and the last port that the system gives to clients, which may take one at any moment.
_CLIENTS_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FEWEST_BELOW = 15_000
_MOST_TRIES, _MOST_CLAIMS = 100, 50
_claims: deque[socket.socket] = deque()


def free_port() -> int:
    """Return a loopback port that nobody uses right now, and that no client is given.

    Nor does any process get it from here again, while this one lives and has not asked for many
    more: a service may take seconds to bind it. OSError where none is to be had.
    """
    for _ in range(_MOST_TRIES):
        port = random.SystemRandom().choice(_service_ports())
        with suppress(OSError):
            _claim(port)
            return port
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _claim(port: int) -> None:
    """Keep a port from others who ask for one. OSError if it is used, or was given to another."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0taskscope-port-{port}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        raise
    _claims.append(claim)
    if len(_claims) > _MOST_CLAIMS:
        _claims.popleft().close()


def _service_ports() -> range:
    """Return the ports below those that the system gives to clients."""
    first = int(_CLIENTS_PORTS.read_text().split()[0]) if _CLIENTS_PORTS.exists() else 0
    return range(10_000, first if first > _FEWEST_BELOW else 32_768)
