"""Where spans go, when that is a good place and when it is not."""

import gzip
import json
import logging
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from workers import eventually, parse_line

from compose.ports import free_port
from instrumentation import sinks, spans
from instrumentation.otlp import HttpSink, Transport
from instrumentation.records import SENT
from instrumentation.sinks import FileSink, QueuedSink

LINES = [(b"one\n", 1), (b"two\n", 2)]
RECORD = (SENT, "té", "q", "1", f"00-{'a' * 32}-{'b' * 16}-00", "", 0, 1, 2, None)


class Backend(BaseHTTPRequestHandler):
    """An OTLP receiver that keeps what it gets, and answers what it is told."""

    received: list[tuple[dict[str, str], bytes]]
    status: int
    hold: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.hold.wait(20)
        self.received.append((dict(self.headers), body))
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Be quiet."""


@contextmanager
def backend(status: int = 200) -> Iterator[tuple[str, type[Backend]]]:
    handler = type("Handler", (Backend,), {
        "received": [], "status": status, "hold": threading.Event(),
    })  # fmt: skip
    handler.hold.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", handler
        handler.hold.set()
        server.shutdown()


def test_lines_are_appended(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a.jsonl")
    assert sink.write(LINES) == 0
    assert sink.write([("drei ß\n".encode(), 1)]) == 0
    assert (tmp_path / "a.jsonl").read_text() == "one\ntwo\ndrei ß\n"


@pytest.mark.parametrize("path", ["/dev/full", "nowhere/a.jsonl", "file/a.jsonl"])
def test_what_cannot_be_written_is_counted_and_said_once(
    path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    sink = FileSink(tmp_path / path)
    assert sink.write(LINES) == 3
    assert sink.write(LINES) == 3
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_line_cut_short_does_not_spoil_the_next(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a.jsonl")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, hard))  # as a disk that is nearly full
    try:
        assert sink.write(LINES) == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sink.write(LINES[1:]) == 0
    assert (tmp_path / "a.jsonl").read_text() == "on\ntwo\n"


def test_a_backend_gets_valid_otlp_with_the_configured_headers() -> None:
    with backend() as (url, handler):
        sink = HttpSink(url, Transport({"Authorization": "Bearer x"}))
        assert sink.write(spans.lines([RECORD] * 300, "celery", {"service.name": "ü"})) == 0
        assert sink.close() == 0
        bodies = [body for _, body in handler.received]
        assert sum(len(parse_line(body.decode())) for body in bodies) == 300
        for headers, body in handler.received:
            assert headers["Content-Type"] == "application/json"
            assert headers["Authorization"] == "Bearer x"
            attributes = json.loads(body)["resourceSpans"][0]["resource"]["attributes"]
            assert attributes[0]["value"] == {"stringValue": "ü"}


def test_a_backend_that_is_down_costs_spans_only(caplog: pytest.LogCaptureFixture) -> None:
    sink = HttpSink(f"http://127.0.0.1:{free_port()}/v1/traces", Transport())
    dropped = sink.write(LINES * 2)
    dropped += eventually(lambda: sink.write([]), "drops")
    dropped += sink.close()
    assert dropped == 6
    assert len(caplog.records) == 1


def test_vital_lines_go_first_and_take_the_place_of_others() -> None:
    class Slow(QueuedSink):
        def deliver(self, line: bytes) -> None:
            taken.append(line)
            assert go_on.wait(10)

    taken: list[bytes] = []
    go_on = threading.Event()
    sink = Slow()
    sink.write([(b"being delivered", 1)])
    eventually(lambda: taken, "the thread is busy")
    assert sink.write((b"other %d" % n, 2) for n in range(1000)) == 0
    assert sink.write([(b"one too many", 3)]) == 3
    assert sink.write([(b"failure", 5), (b"slowest", 5)], vital=True) == 4, "two others gave way"
    go_on.set()
    assert sink.close() == 0
    assert taken[1:4] == [b"failure", b"slowest", b"other 2"]
    assert len(taken) == 1001


def test_a_refusal_is_a_drop() -> None:
    with backend(status=503) as (url, _):
        sink = HttpSink(url, Transport())
        assert sink.write(LINES) + sink.close() == 3


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_is_vital_is_sent_again_until_the_receiver_recovers(status: int) -> None:
    with backend(status) as (url, handler):
        sink = HttpSink(url, Transport())
        dropped = sink.write([(b"failure", 1)], vital=True) + sink.write([(b"other", 2)])
        eventually(lambda: len(handler.received) > 2, "it is tried again")
        handler.status = 200
        shortest = sinks._SHORTEST_PAUSE_SECONDS
        eventually(lambda: sink._pause_seconds == shortest, "it is delivered")
        dropped += sink.close()
        assert handler.received[-1][1] == b"failure"
        assert dropped == 2, "the other had one try, if any"


def test_what_is_vital_waits_for_a_receiver_that_is_not_there_yet() -> None:
    with backend() as (url, _):
        pass
    sink = HttpSink(url, Transport())
    sink.write([(b"failure", 1)], vital=True)
    assert sink.write([]) == 0
    assert sink.close() == 1, "but not for ever"


def test_of_what_is_vital_only_so_much_waits() -> None:
    with backend() as (url, _):
        pass
    sink = HttpSink(url, Transport())
    most = sinks._MOST_VITAL_LINES
    dropped = sink.write(((b"failure", 1) for _ in range(most + 100)), vital=True)
    assert 95 <= dropped <= 100, "one is being tried"
    assert dropped + sink.close() == most + 100


def test_what_a_receiver_will_never_take_is_not_sent_again() -> None:
    with backend(status=400) as (url, handler):
        sink = HttpSink(url, Transport())
        dropped = sink.write([(b"failure", 2)], vital=True)
        dropped += eventually(lambda: sink.write([]), "it is dropped")
        assert (dropped, len(handler.received)) == (2, 1)
        assert sink.close() == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirection_is_followed(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with backend(status) as (url, handler):
        sink = HttpSink(url, Transport({"Authorization": "Bearer x"}))
        assert sink.write(LINES) + sink.close() == 3
        assert len(handler.received) == 2
    (record,) = caplog.records
    assert record.getMessage().endswith(f"HTTP {status}")


def test_bodies_are_compressed_where_that_is_asked_for() -> None:
    with backend() as (url, handler):
        sink = HttpSink(url, Transport(compressed=True))
        assert sink.write([("é".encode() * 1000, 1)]) + sink.close() == 0
        ((headers, body),) = handler.received
    assert headers["Content-Encoding"] == "gzip"
    assert len(body) < 100
    assert gzip.decompress(body).decode() == "é" * 1000


def test_a_user_in_the_address_becomes_a_header_and_is_never_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with backend() as (url, handler):
        secret = url.replace("http://", "http://me:s%3Acret@")
        sink = HttpSink(secret, Transport())
        assert sink.write(LINES) + sink.close() == 0
        assert handler.received[0][0]["Authorization"] == "Basic bWU6czpjcmV0"  # me:s:cret
        handler.status = 500
        sink = HttpSink(secret, Transport())
        assert sink.write(LINES) + sink.close() == 3
    sink = HttpSink("gopher://me:secret@x", Transport())
    assert sink.write(LINES) + sink.close() == 3
    assert len(caplog.records) == 2
    assert "cret" not in caplog.text


def test_it_waits_no_longer_than_it_may() -> None:
    with backend() as (url, handler):
        handler.hold.clear()
        sink = HttpSink(url, Transport(timeout_seconds=0.05))
        assert sink.write(LINES) + sink.close() == 3


def test_a_certificate_that_is_not_there_costs_spans_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = HttpSink("https://127.0.0.1:1", Transport(certificate="nowhere.pem"))
    assert sink.write(LINES) + sink.close() == 3
    assert caplog.records[0].getMessage().endswith("FileNotFoundError")


def test_what_is_sent_makes_no_spans() -> None:
    enabled: list[bool] = []

    class Asking(sinks.QueuedSink):
        def deliver(self, line: bytes) -> None:  # noqa: ARG002
            enabled.append(is_instrumentation_enabled())

    sink = Asking()
    assert sink.write(LINES) + sink.close() == 0
    assert enabled == [False, False]


def test_a_bad_header_does_not_end_the_sending() -> None:
    with backend() as (url, _):
        sink = HttpSink(url, Transport({"X": "ключ"}))
        assert sink.write(LINES) + sink.close() == 3
        assert not sink._thread.is_alive()


def test_a_slow_backend_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "_MOST_QUEUED_LINES", 2)
    with backend() as (url, handler):
        handler.hold.clear()
        sink = HttpSink(url, Transport(), close_after_seconds=0.05)
        dropped = sink.write([(b"x", 1)] * 10)
        assert dropped >= 7, "one is on its way at most, two wait"
        dropped += sink.close()
        assert dropped >= 9, "what still waits when the process ends is counted"


def test_many_threads_lose_no_count() -> None:
    sink = HttpSink(f"http://127.0.0.1:{free_port()}", Transport())
    counts: list[int] = []
    lines = [(b"line", 1)] * 2000
    threads = [threading.Thread(target=lambda: counts.append(sink.write(lines))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.close() + sum(counts) == 8000
