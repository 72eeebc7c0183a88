"""Spans through the SDK: the same ones as in a file, all of them, through whatever processors."""

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from workers import parse_line, spans_of

from instrumentation import live, spans
from instrumentation.attempt import Attempt
from instrumentation.backlog import Finished
from instrumentation.carrier import pack
from instrumentation.ids import SpanIds
from instrumentation.provider import ProviderSink
from instrumentation.records import FAILURE, RETRY, SENT, SUCCESS, Error
from instrumentation.telemetry import Telemetry

TRACE, SPAN, SENDER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "1" * 16
ERROR = ("LookupError", "kaputt \ud800", "Traceback …")


def traceparent(flags: str) -> str:
    return f"00-{TRACE}-{SENDER}-{flags}"


def done(number: int, outcome: str, flags: str, error: Error | None) -> Attempt:
    attempt = Attempt()
    attempt.task, attempt.queue, attempt.outcome, attempt.error = "ok", "shop", outcome, error
    attempt.task_id, attempt.number, attempt.span_id = str(number), number, SPAN
    attempt.carrier = pack(traceparent(flags), 10, 20)
    attempt.received, attempt.started, attempt.completed, attempt.acked = 30, 40, 50, 60
    return attempt


def without_context(attempt: Attempt) -> Attempt:
    attempt.carrier, attempt.acked = "", 0
    return attempt


RECORDS: list[Finished] = [
    (SENT, "ok", "shop", "1", traceparent("00"), "", 10, 20, 30, None),
    (SENT, "ok", "shöp", "2", traceparent("01"), "2" * 16, 0, 20, 30, ERROR),
    done(1, SUCCESS, "00", None),
    done(2, FAILURE, "01", ERROR),
    without_context(done(3, RETRY, "00", ERROR)),
]
LINES = list(spans.lines(RECORDS, "celery", {"service.name": "x"}))


def provider(exporter: InMemorySpanExporter, *, batch: bool = False) -> TracerProvider:
    made = TracerProvider(resource=Resource({"service.name": "x"}), shutdown_on_exit=False)
    made.add_span_processor((BatchSpanProcessor if batch else SimpleSpanProcessor)(exporter))
    return made


def through(made: trace.TracerProvider | None, lines: list[tuple[str, int]] = LINES) -> int:
    sink = ProviderSink(lambda: made)
    return sink.write(lines) + sink.close()


@pytest.mark.parametrize("batch", [True, False])
def test_they_are_the_spans_of_a_file(batch: bool) -> None:  # noqa: FBT001
    exporter = InMemorySpanExporter()
    assert through(provider(exporter, batch=batch)) == 0
    ((line, _),) = LINES
    # Encoded by the SDK's own encoder, and read as a file is.
    data = TracesData.FromString(encode_spans(exporter.get_finished_spans()).SerializeToString())
    assert sorted(spans_of(data), key=str) == sorted(parse_line(line), key=str)
    (resource,) = {span.resource for span in exporter.get_finished_spans()}
    assert resource.attributes == {"service.name": "x"}
    scopes = {s.instrumentation_scope.name for s in exporter.get_finished_spans()
              if s.instrumentation_scope}  # fmt: skip
    assert scopes == {"taskscope.instrumentation"}


def test_only_a_sender_elsewhere_is_remote() -> None:
    exporter = InMemorySpanExporter()
    through(provider(exporter))
    remote = {span.kind.name for span in exporter.get_finished_spans()
              if span.parent and span.parent.is_remote}  # fmt: skip
    assert remote == {"CONSUMER"}


def test_more_spans_than_a_batch_processor_keeps_all_arrive() -> None:
    exporter = InMemorySpanExporter()
    many = [done(n, SUCCESS, "00", None) for n in range(6000)]
    lines = list(spans.lines(many, "celery", {}))
    assert through(provider(exporter, batch=True), lines) == 0
    ids = {span.attributes["messaging.message.id"] for span in exporter.get_finished_spans()
           if span.attributes}  # fmt: skip
    assert len(ids) == 6000


def test_without_a_provider_nobody_wants_spans(caplog: pytest.LogCaptureFixture) -> None:
    assert through(None) == 0
    assert not caplog.records


class Broken(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError(span.name)


def test_what_cannot_be_handed_over_is_counted_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = TracerProvider(shutdown_on_exit=False)
    broken.add_span_processor(Broken())
    ended = provider(InMemorySpanExporter(), batch=True)
    ended.shutdown()
    for useless in (broken, ended, trace.NoOpTracerProvider()):
        caplog.clear()
        assert through(useless, LINES * 2) == 2 * len(RECORDS)
        said = [r.getMessage() for r in caplog.records if r.name == "instrumentation.sinks"]
        assert len(said) == 1
        assert said[0].startswith("spans are being dropped: ")


def test_the_applications_provider_may_come_late(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    telemetry = Telemetry("celery", {})
    telemetry._write_spans(RECORDS[:2])
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider(exporter))
    telemetry._write_spans(RECORDS[:1])
    telemetry.close()
    assert [span.name for span in exporter.get_finished_spans()] == ["send shop"]


def test_live_spans_are_made_by_the_given_provider() -> None:
    exporter = InMemorySpanExporter()
    undo = live.use(provider(exporter))
    span = live.LiveSpan.begin(SpanIds(TRACE, SPAN, sampled=True), "ok")
    undo()
    assert span is not None
    span.end(None, 10)
    (finished,) = exporter.get_finished_spans()
    assert (finished.name, finished.parent and finished.parent.span_id) == ("run ok", int(SPAN, 16))
    assert live.LiveSpan.begin(SpanIds(TRACE, SPAN, sampled=True), "ok") is None
