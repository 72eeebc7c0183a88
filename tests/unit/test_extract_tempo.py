"""What Tempo answers, well or badly; see tests/integration/test_tempo.py for a real one."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from compose.errors import ServiceError
from extract import tempo
from extract.manifest import CellRecord, Manifest
from extract.tempo_forms import as_line, found_line
from taskscope import tempo_api

TRACE = "0" * 31 + "7"
HASTE = tempo.Patience(recent_seconds=0)


def attribute(key: str, value: str | int) -> dict[str, Any]:
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": key, "value": {kind: str(value)}}


def found_span(  # noqa: PLR0913, PLR0917
    kind: str, status: str = "unset", message: str = "a1", outcome: str = "success",
    attempt: int = 1, span_id: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Return a span as a search shows it: attributes of span and resource mixed."""
    return {
        "spanID": span_id or {"producer": "5e", "consumer": "5f"}[kind], "name": "process noop",
        "startTimeUnixNano": "1000000000000000001", "durationNanos": "41",
        "attributes": [attribute("kind", kind), attribute("status", status),
                       attribute("taskscope.variant", "v"),
                       attribute("taskqueue.attempt", attempt),
                       attribute("taskqueue.outcome", outcome),
                       attribute("messaging.message.id", message),
                       attribute("service.instance.id", "h:1")],
    }  # fmt: skip


def found_trace(
    *spans: dict[str, Any], trace_id: str = "7", matched: int | None = None
) -> dict[str, Any]:
    return {"traceID": trace_id, "startTimeUnixNano": "1000000000000000001",
            "spanSets": [{"spans": list(spans), "matched": matched or len(spans)}]}  # fmt: skip


def by_id(kind: str = "SPAN_KIND_CONSUMER") -> dict[str, Any]:
    """Return a trace as Tempo has it: ids in base64, names for kinds and codes."""
    span = {"traceId": base64.b64encode(bytes.fromhex(TRACE)).decode(), "kind": kind,
            "spanId": base64.b64encode(bytes.fromhex("0" * 14 + "5f")).decode(),
            "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
            "startTimeUnixNano": "1", "endTimeUnixNano": "2",
            "events": [{"name": "exception"}]}  # fmt: skip
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]}


def test_a_trace_that_was_fetched_by_id_is_written_in_the_file_format() -> None:
    line, whole = as_line(by_id())
    span = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert whole
    assert line.endswith(b"\n")
    assert (span["traceId"], span["spanId"], span["kind"]) == (TRACE, "0" * 14 + "5f", 5)
    assert span["status"] == {"code": 2, "message": "no"}
    assert span["events"] == [{"name": "exception"}]


@pytest.mark.parametrize("trace", [{}, {"resourceSpans": []}])
def test_a_trace_that_is_gone_is_no_line(trace: dict[str, Any]) -> None:
    assert as_line(trace) == (b"", False)


def test_a_trace_without_an_attempt_is_not_whole() -> None:
    assert as_line(by_id("SPAN_KIND_PRODUCER"))[1] is False


PUBLISH, ATTEMPT = found_span("producer"), found_span("consumer")


def test_a_search_result_is_written_in_the_file_format() -> None:
    line = found_line(TRACE, found_trace(PUBLISH, ATTEMPT)["spanSets"])
    assert line
    first, second = json.loads(line)["resourceSpans"]
    assert first["resource"]["attributes"] == [attribute("taskscope.variant", "v"),
                                               attribute("service.instance.id", "h:1")]  # fmt: skip
    span = second["scopeSpans"][0]["spans"][0]
    assert (span["traceId"], span["spanId"], span["kind"]) == (TRACE, "0" * 14 + "5f", 5)
    assert span["endTimeUnixNano"] == "1000000000000000042"
    assert span["attributes"] == [attribute("taskqueue.attempt", 1),
                                  attribute("taskqueue.outcome", "success"),
                                  attribute("messaging.message.id", "a1")]  # fmt: skip


def test_a_span_that_both_searches_show_is_one_span() -> None:
    both = found_trace(PUBLISH, ATTEMPT)["spanSets"]
    assert found_line(TRACE, [*both, *found_trace(ATTEMPT, PUBLISH)["spanSets"]])


@pytest.mark.parametrize("trace", [
    found_trace(PUBLISH),  # the attempt's span has another session, or lies in another part
    found_trace(ATTEMPT),  # the publish lies in another part, and perhaps more
    found_trace(PUBLISH, found_span("consumer", outcome="failure")),  # where is its exception?
    found_trace(PUBLISH, found_span("consumer", outcome="retry")),  # where is the next attempt?
    found_trace(PUBLISH, found_span("consumer", attempt=2)),  # where is the first?
    found_trace(PUBLISH, found_span("consumer", message="a2")),  # another task's
    found_trace(PUBLISH, ATTEMPT, found_span("consumer", span_id="60")),
    found_trace(PUBLISH, ATTEMPT, matched=3),  # more spans than were shown
])  # fmt: skip
def test_a_search_result_that_may_not_be_all_is_fetched_by_id(trace: dict[str, Any]) -> None:
    assert found_line(TRACE, trace["spanSets"]) is None


class Stand:
    """A server that answers as Tempo does: `traces` by search, by id whatever `fetched` says."""

    def __init__(self) -> None:
        self.traces: list[dict[str, Any]] = []
        self.fetched: dict[str, Any] = {"trace": by_id()}
        self.status = 200
        self.body: bytes | None = None
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: dict[str, str] = {}
        self.comes_after = 0

    def answer(self, path: str, parameters: dict[str, str]) -> bytes:
        self.asked.append((path, parameters))
        if len(self.asked) == self.comes_after:
            self.fetched = {"trace": by_id()}
        if self.body is not None:
            return self.body
        if path.startswith("/api/v2/traces/"):
            return json.dumps(self.fetched).encode()
        prefix = parameters["q"].partition('=~ "')[2].partition(".*")[0]
        if "!~" in parameters["q"]:
            return b"{}"
        inside = [self._of_kind(t, parameters["q"]) for t in self.traces
                  if self._inside(t, parameters, prefix)]  # fmt: skip
        inside = [trace for trace in inside if trace["spanSets"][0]["spans"]]
        return json.dumps({"traces": inside[: int(parameters["limit"])]}).encode()

    @staticmethod
    def _of_kind(trace: dict[str, Any], query: str) -> dict[str, Any]:
        """Show spans of the kind that was asked for, as of one part of a trace."""
        spans = [span for span in trace["spanSets"][0]["spans"]
                 if f"kind = {span['attributes'][0]['value']['stringValue']}" in query]  # fmt: skip
        return {**trace, "spanSets": [{"spans": spans, "matched": len(spans)}]}

    def _inside(self, trace: dict[str, Any], parameters: dict[str, str], prefix: str) -> bool:
        begin = int(trace["startTimeUnixNano"]) / 1e9
        values = {a["key"]: a["value"] for a in trace["spanSets"][0]["spans"][0]["attributes"]}
        begins = values["messaging.message.id"]["stringValue"].startswith(prefix)
        return begins and int(parameters["start"]) <= begin < int(parameters["end"])


@contextmanager
def serving(stand: Stand) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            stand.headers = dict(self.headers)
            body = stand.answer(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()})
            self.send_response(stand.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def manifest(planned: int = 1) -> Manifest:
    cell = CellRecord("s", "f", "v", 1, planned, start=1_000_000_000.0, end=1_000_000_003.0)
    return Manifest("abc", "", "complete", (), "native", "native", {}, {}, (), (), (cell,))


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_more_than_a_search_shows_is_asked_for_in_parts(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempo, "_MOST_FOUND", 4)
    stand.traces = [
        found_trace(
            *(found_span(kind, message=f"{n:x}{n:x}") for kind in ("producer", "consumer")),
            trace_id=f"{n + 1:x}",
        )
        for n in range(16)
    ]  # all in one second
    with serving(stand) as url:
        got = tempo.fetch(tempo.Tempo(url), manifest(16), tmp_path, patience=HASTE)
    assert got == tempo.Fetched(traces=16, by_id=0, unfinished=0)
    lines = (tmp_path / tempo.FILE_NAME).read_text().splitlines()
    ids = {json.loads(x)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"] for x in lines}
    assert ids == {f"{n + 1:032x}" for n in range(16)}


def test_too_many_of_one_beginning_are_an_error_and_not_left_out(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempo, "_MOST_FOUND", 4)
    stand.traces = [found_trace(found_span("consumer", message="aaaa"), trace_id=f"{n + 1}")
                    for n in range(5)]  # fmt: skip
    with serving(stand) as url, pytest.raises(tempo.TempoError, match="begin with aaaa"):
        tempo.fetch(tempo.Tempo(url), manifest(5), tmp_path, patience=HASTE)
    assert not (tmp_path / tempo.FILE_NAME).exists()


def test_what_has_no_attempt_yet_is_waited_for(stand: Stand, tmp_path: Path) -> None:
    stand.traces = [found_trace(found_span("producer"))]
    stand.fetched = {"trace": by_id("SPAN_KIND_PRODUCER")}
    forever = tempo.Patience(recent_seconds=1e12, poll_seconds=0.01)
    stand.comes_after = 9
    with serving(stand) as url:
        got = tempo.fetch(tempo.Tempo(url), manifest(), tmp_path, patience=forever)
    assert got == tempo.Fetched(traces=1, by_id=1, unfinished=0)
    assert len(stand.asked) == 9
    assert stand.asked[-1][0] == f"/api/v2/traces/{TRACE}"


def test_what_never_gets_an_attempt_is_written_as_it_is_and_counted(
    stand: Stand, tmp_path: Path
) -> None:
    stand.traces = [found_trace(found_span("producer"))]
    stand.fetched = {"trace": by_id("SPAN_KIND_PRODUCER")}
    with serving(stand) as url:
        got = tempo.fetch(tempo.Tempo(url), manifest(), tmp_path, patience=HASTE)
    assert got == tempo.Fetched(traces=1, by_id=0, unfinished=1)
    assert '"kind":4' in (tmp_path / tempo.FILE_NAME).read_text()


def test_a_trace_that_came_in_part_is_an_error(stand: Stand, tmp_path: Path) -> None:
    stand.traces = [found_trace(found_span("producer"))]
    stand.fetched = {"trace": by_id(), "status": "PARTIAL"}
    with serving(stand) as url, pytest.raises(tempo.TempoError, match="max_bytes_per_trace"):
        tempo.fetch(tempo.Tempo(url), manifest(), tmp_path, patience=HASTE)


def test_headers_come_from_the_environment(stand: Stand) -> None:
    with serving(stand) as url:
        tempo_api.check(url, {tempo_api.HEADERS: "X-Scope-OrgID=me,Authorization=Bearer%20x"})
    assert stand.headers["X-Scope-OrgID"] == "me"
    assert stand.headers["Authorization"] == "Bearer x"


@pytest.mark.parametrize(("status", "body", "cause", "remedy"), [
    (401, b"who are you?", "HTTP 401: who are you?", "TASKSCOPE_TEMPO_HEADERS"),
    (404, b"", "no /api/search", "2.7 or newer"),
    (200, b"<html>", "no JSON object", "HTTP port (3200)"),
    (400, b"limit 5000 exceeds max", "limit 5000 exceeds max", "docs/tempo.md"),
])  # fmt: skip
def test_a_bad_answer_is_explained(
    stand: Stand, status: int, body: bytes, cause: str, remedy: str
) -> None:
    stand.status, stand.body = status, body
    with serving(stand) as url, pytest.raises(ServiceError) as error:
        tempo_api.check(url.replace("//", "//me:s3cret@"), {})
    assert "http://***@127.0.0.1" in error.value.cause
    assert cause in error.value.cause
    assert remedy in error.value.remedy
    assert "s3cret" not in error.value.cause + error.value.remedy


def test_nobody_there_is_explained_without_the_password() -> None:
    with pytest.raises(ServiceError, match="ConnectionError") as error:
        tempo_api.check("http://me:s3cret@127.0.0.1:9", {})
    assert "--tempo-url http://host:3200" in error.value.remedy
    assert "s3cret" not in error.value.cause


def test_an_address_of_something_else_is_refused() -> None:
    with pytest.raises(ServiceError, match="tempo:3200 is no URL of a Tempo"):
        tempo_api.check("tempo:3200")
