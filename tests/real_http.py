"""A mock API as a process of its own, for tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from compose.ports import free_port
from compose.process import Process
from compose.services import requirement


@contextmanager
def running_mock_api(settings: Mapping[str, object]) -> Iterator[str]:
    """Run it while the block lasts; yields its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with TemporaryDirectory() as place:
        process = Process("mock-api", requirement("mock-api", port, settings), Path(place) / "log")
        try:
            process.wait_ready(lambda: _answers(url), 30)
            yield url
        finally:
            process.stop(5)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=1).ok
    except requests.RequestException:
        return False
