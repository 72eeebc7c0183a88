"""The targets of runs, as Prometheus' `http_sd` wants them: for one that cannot read the folder."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from taskscope.errors import UsageError


def collect(directory: Path) -> list[Any]:
    """Return all targets that are announced in a folder; one that was just withdrawn is left out.

    UsageError if it is no folder.
    """
    if not directory.is_dir():
        raise UsageError(
            f"{directory} is no folder of targets.",
            "Runs with --prometheus-url announce theirs in `targets/` beside the run directory.",
        )
    found: list[Any] = []
    for path in sorted(directory.glob("*.json")):
        try:
            found += json.loads(path.read_text())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{path} is no file of targets: {error}.",
                "Take it out of the folder, or repair it.",
            ) from None
    return found


def address(text: str) -> tuple[str, int]:
    """Split host:port. UsageError for anything else."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65_535:  # noqa: PLR2004
        raise UsageError(f"{text} is no address.", "Write host:port, such as 127.0.0.1:9465.")
    return host.strip("[]"), int(port)


@contextmanager
def serving(directory: Path, listen: str) -> Iterator[str]:
    """Serve a folder's targets while the block lasts; yields the URL. UsageError if it cannot."""
    collect(directory)
    try:
        server = ThreadingHTTPServer(address(listen), _handler(directory))
    except OSError as error:
        raise UsageError(
            f"{listen} cannot be listened on: {error.strerror or error}.",
            "Name an address of this host, and a free port.",
        ) from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, port = server.server_address[:2]
    try:
        yield f"http://{host!s}:{port}/targets"
    finally:
        server.shutdown()
        server.server_close()


def _handler(directory: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/targets":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            try:
                body = json.dumps(collect(directory)).encode()
            except UsageError as error:  # Prometheus keeps the targets that it had
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, error.cause)
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Prometheus asks each few seconds."""

    return Handler
