"""What limits on httpx's pool cost, against a mock API: `python -m benchmarks.http_clients`."""

import asyncio
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import httpx

from compose.ports import free_port
from compose.process import Process
from compose.services import requirement

_LIMITS: Mapping[str, httpx.Limits] = {
    "httpx's default: 100 connections, 20 kept": httpx.Limits(
        max_connections=100, max_keepalive_connections=20
    ),
    "100 connections, all kept": httpx.Limits(max_connections=100, max_keepalive_connections=100),
    "1,000 connections, all kept": httpx.Limits(
        max_connections=1000, max_keepalive_connections=1000
    ),
}
_PLACES = (10, 50, 100)
_EACH = 20
_REPETITIONS = 5


async def drive(url: str, limits: httpx.Limits, places: int) -> tuple[float, float]:
    """Return requests a second, and CPU-seconds of the client for each."""
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
        numbers = iter(range(places * _EACH))

        async def ask() -> None:
            for number in numbers:
                (await client.get(f"{url}/items/{number}")).raise_for_status()

        began, used = perf_counter(), process_time()
        await asyncio.gather(*(ask() for _ in range(places)))
        count = places * _EACH
        return count / (perf_counter() - began), (process_time() - used) / count


def main() -> None:
    """Print a line for each limit and concurrency: medians of interleaved repetitions."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as place:
        server = Process("mock-api", requirement("mock-api", port, {}), Path(place) / "log")
        try:
            server.wait_ready(lambda: _healthy(url), 30)
            for places in _PLACES:
                taken: dict[str, list[tuple[float, float]]] = {name: [] for name in _LIMITS}
                for _ in range(_REPETITIONS):
                    for name, limits in _LIMITS.items():
                        taken[name].append(asyncio.run(drive(url, limits, places)))
                for name, figures in taken.items():
                    rates, cpu = zip(*figures, strict=True)
                    sys.stdout.write(
                        f"{places} at once, {name}: {median(rates):,.0f}/s "
                        f"({min(rates):,.0f} to {max(rates):,.0f}), "
                        f"{median(cpu) * 1e3:.2f} ms CPU each\n"
                    )
        finally:
            server.stop(5)


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=1):  # noqa: S310 - loopback
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
