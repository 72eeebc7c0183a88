"""A real Tempo for tests, where there is one: Debian has no package of it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from compose import services
from compose.ports import free_port
from compose.process import Process

needs_tempo = pytest.mark.skipif(
    shutil.which("tempo") is None,
    reason="NO TEMPO ON PATH: nothing of what speaks to a real Tempo is tested (docs/tempo.md)",
)


@dataclass(frozen=True)
class TempoServer:
    url: str
    otlp: str

    def metric(self, name: str) -> float:
        """Return the sum of the series of that name."""
        text = requests.get(f"{self.url}/metrics", timeout=5).text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines()
                   if line.startswith((f"{name} ", f"{name}{{")))  # fmt: skip


@contextmanager
def running_tempo(directory: Path) -> Iterator[TempoServer]:
    """Run Tempo with the committed configuration."""
    ports = services.TempoPorts(free_port(), free_port(), free_port())
    url = f"http://127.0.0.1:{ports.http}"
    data = directory / "tempo"
    process = Process("tempo", services.tempo(ports, data), directory / "tempo.log")

    def ready() -> bool:
        try:
            return requests.get(f"{url}/ready", timeout=1).ok
        except requests.RequestException:
            return False

    try:
        process.wait_ready(ready, 60)
        yield TempoServer(url, f"http://127.0.0.1:{ports.otlp}")
    finally:
        process.stop(20)
