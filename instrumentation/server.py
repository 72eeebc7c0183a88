"""The scrape target: an HTTP server in a thread, and the file that tells Prometheus about it."""

import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol, Self

from instrumentation.once import Once

_log = logging.getLogger(__name__)
_OPEN_METRICS = "application/openmetrics-text"
_CONTENT_TYPES = {
    False: "text/plain; version=0.0.4; charset=utf-8",
    True: f"{_OPEN_METRICS}; version=1.0.0; charset=utf-8",
}


class Exposition(Protocol):
    """Writes all series, in one of two formats."""

    def __call__(self, *, openmetrics: bool) -> str:
        """Write them as OpenMetrics, or else in the Prometheus text format."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._complain = Once(_log.exception)
        super().__init__((host, port), handler)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Say once what went wrong; that a client went away is nobody's trouble."""
        if not isinstance(sys.exception(), ConnectionError):
            self._complain("a scrape failed; further ones that do are not told of")


class MetricsServer:
    """Serves what `exposition` returns, until `close`. Port 0 means any free one."""

    def __init__(self, exposition: Exposition, host: str, port: int) -> None:
        self._server = _Server(host, port, _handler(exposition))
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics-server", daemon=True
        )
        self._thread.start()
        # A forked pool child must not keep the port: nobody there would answer.
        os.register_at_fork(after_in_child=self._server.socket.close)

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        host, port = map(str, self._server.server_address[:2])
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _handler(exposition: Exposition) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        wbufsize = 1 << 20  # one send: after each, a busy worker takes its time to come back here

        def do_GET(self) -> None:
            if self.path == "/clock":
                self._answer(_clock(), "application/json")
                return
            openmetrics = _OPEN_METRICS in self.headers.get("Accept", "")
            body = exposition(openmetrics=openmetrics).encode("utf-8", "replace")
            self._answer(body, _CONTENT_TYPES[openmetrics])

        def _answer(self, body: bytes, content_type: str) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Scrapes are not worth a log line each second."""

    return Handler


def _clock() -> bytes:
    """Say what time it is here, and where that is: who asks several times knows the offset."""
    return json.dumps({"host": socket.gethostname(), "unix_nano": time.time_ns()}).encode()


class Announcement:
    """A `file_sd` file naming one target; removed by `withdraw`."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text

    @classmethod
    def publish(cls, path: Path, address: str, labels: Mapping[str, object]) -> Self:
        """Write the file in one step, so that Prometheus never reads half of it."""
        temporary = path.with_suffix(".tmp")
        texts = {name: str(value) for name, value in labels.items()}  # Prometheus takes no numbers
        text = json.dumps([{"targets": [address], "labels": texts}])
        temporary.write_text(text)
        temporary.replace(path)
        return cls(path, text)

    def withdraw(self) -> None:
        """Take the target away, if it is ours still; it, and its folder, may be gone already."""
        with suppress(OSError):
            if self._path.read_text() == self._text:
                self._path.unlink()
