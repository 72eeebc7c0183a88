"""Stands for an OTLP backend: takes in what is sent, and counts the spans when it is asked to.

    python -m compose.stock.sink PORT

Each line on stdin is answered with the number of spans so far. Decoding waits until then, so that
it takes no time from what is being timed.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_bodies: list[bytes] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # exporters keep their connections

    def do_POST(self) -> None:
        """Take in one batch."""
        _bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


def _spans(body: bytes) -> int:
    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)


def main(port: int) -> None:
    """Serve until stdin ends."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        sys.stdout.write(f"{sum(map(_spans, list(_bodies)))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
