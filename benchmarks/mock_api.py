"""Whether the mock API holds a rate of requests of 100 ms each, on one core.

Prints it for each rate:

    python -m benchmarks.mock_api [requests a second ...]

The server is kept on one core and the clients are on the others. Requests are sent on a schedule,
over connections that stay open, by a client that does no more than count bytes. A rate is held if
the server answers at it, the median answer comes within 5 % of 100 ms, and the p99 within 20 %.
"""

import asyncio
import json
import os
import sys
import urllib.request
from pathlib import Path
from statistics import quantiles
from tempfile import NamedTemporaryFile
from time import perf_counter

import psutil
import uvloop

from compose.ports import free_port
from compose.process import Process
from compose.services import requirement

_LATENCY_SECONDS = 0.1
_SECONDS = 5.0
_RATES = (1000, 2000, 3000, 4000, 5000, 6000)
_SPARE = 1.6


class Connection(asyncio.Protocol):
    """One open connection: a request at a time, of which it notes how long the answer took."""

    def __init__(self, size: int, done: "asyncio.Queue[Connection]") -> None:
        self._size, self._done = size, done
        self._left = 0
        self._sent = 0.0
        self.took: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, number: int) -> None:
        """Send a request."""
        self._left, self._sent = self._size, perf_counter()
        request = b"GET /items/%d HTTP/1.1\r\nhost: mock\r\n\r\n" % number
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left <= 0:
            self.took.append(perf_counter() - self._sent)
            self._done.put_nowait(self)


async def drive(port: int, rate: float) -> tuple[float, list[float]]:
    """Send at a rate for a while; return the rate of answers, and how long each took."""
    size = await _answer_size(port)
    free: asyncio.Queue[Connection] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(int(rate * _LATENCY_SECONDS * _SPARE) + 10):
        _, made = await loop.create_connection(lambda: Connection(size, free), "127.0.0.1", port)
        connections.append(made)
        free.put_nowait(made)
    began = perf_counter()
    count = int(rate * _SECONDS)
    for number in range(100, 100 + count):
        due = began + (number - 100) / rate
        if (wait := due - perf_counter()) > 0:
            await asyncio.sleep(wait)
        (await free.get()).ask(number % 100 + 100)
    while sum(len(c.took) for c in connections) < count:
        await asyncio.sleep(0.01)
    return count / (perf_counter() - began), [t for c in connections for t in c.took]


async def _answer_size(port: int) -> int:
    """Return how many bytes an answer has, head and all: the same for each number of 3 digits."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /items/100 HTTP/1.1\r\nhost: mock\r\n\r\n")
    size = len(await reader.read(65_536))
    writer.close()
    return size


def main(rates: list[float]) -> None:
    """Print what becomes of each rate."""
    every = sorted(os.sched_getaffinity(0))
    port = free_port()
    settings = {"latency_seconds": _LATENCY_SECONDS}
    with NamedTemporaryFile(prefix="mock-api-") as log:
        server = Process("mock-api", requirement("mock-api", port, settings), Path(log.name))
        try:
            server.wait_ready(lambda: _healthy(port), 20)
            os.sched_setaffinity(server.pid, every[:1])
            os.sched_setaffinity(0, every[1:] or every)
            for rate in rates:
                before = sum(psutil.Process(server.pid).cpu_times()[:2])
                answered, took = uvloop.run(drive(port, rate))
                busy = (sum(psutil.Process(server.pid).cpu_times()[:2]) - before) / _SECONDS
                _report(rate, answered, took, busy)
        finally:
            server.stop(5)


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
            return bool(json.load(answer)["status"] == "ok")
    except OSError:
        return False


def _report(rate: float, answered: float, took: list[float], busy: float) -> None:
    middle, last = quantiles(took, n=100)[49], quantiles(took, n=100)[98]
    held = (
        answered > 0.95 * rate * _SECONDS / (_SECONDS + _LATENCY_SECONDS)
        and middle < 1.05 * _LATENCY_SECONDS
        and last < 1.2 * _LATENCY_SECONDS
    )
    sys.stdout.write(
        f"{rate:,.0f}/s: {'held' if held else 'not held'}; answered {answered:,.0f}/s, p50 "
        f"{middle * 1e3:.1f} ms, p99 {last * 1e3:.1f} ms, the server's CPU {busy:.0%}\n"
    )


if __name__ == "__main__":
    main([float(word) for word in sys.argv[1:]] or list(_RATES))
