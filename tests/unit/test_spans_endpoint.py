"""Where a run's spans go is tried before it begins."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from compose.errors import ServiceError
from instrumentation.destination import otlp_endpoint
from taskscope import spans_endpoint


class Receiver(BaseHTTPRequestHandler):
    """Takes spans of whoever knows the header."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        ok = self.headers.get("x-key") == "s3cret" and self.path == "/v1/traces"
        self.send_response(200 if ok else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_endpoint_is_tried_with_the_headers_that_workers_send(receiver: str) -> None:
    environ = spans_endpoint.variables(receiver + "/")
    spans_endpoint.check({**environ, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=s3cret"})
    with pytest.raises(ServiceError) as error:
        spans_endpoint.check({**environ, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=wr0ng"})
    assert "HTTP 403" in error.value.cause
    assert "OTEL_EXPORTER_OTLP_HEADERS" in error.value.remedy
    assert "wr0ng" not in error.value.cause + error.value.remedy


def test_nobody_there_is_said() -> None:
    with pytest.raises(ServiceError, match="did not take an empty batch") as error:
        spans_endpoint.check(spans_endpoint.variables("http://me:s3cret@127.0.0.1:9"))
    assert "http://***@127.0.0.1:9" in error.value.cause


def test_no_url_is_refused() -> None:
    with pytest.raises(ServiceError, match="no URL of an OTLP/HTTP endpoint"):
        spans_endpoint.variables("tempo:4317")


def test_it_goes_before_what_the_environment_says() -> None:
    environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://other/v1/traces",
               "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}  # fmt: skip
    mine = {**environ, **spans_endpoint.variables("http://me:pw@host:4318")}
    assert otlp_endpoint(mine) == "http://me:pw@host:4318/v1/traces"
    assert spans_endpoint.where(mine) == "http://***@host:4318/v1/traces"


def test_without_any_the_run_keeps_its_spans() -> None:
    assert spans_endpoint.variables(None) == {}
    assert spans_endpoint.where({}) == "native"
    spans_endpoint.check({})
