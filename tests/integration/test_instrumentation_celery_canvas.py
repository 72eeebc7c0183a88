"""Chains, groups and chords: one trace each, however many processes run their parts."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from celery import Signature, chain, chord, group
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from real_redis import running_redis
from senders import CelerySender, instrumented_sender
from workers import CONSUMER, PRODUCER, Span, Worker, eventually, read_spans, running_worker

SPAN = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


class Canvas:
    """A sender and a worker that write their spans into one folder."""

    def __init__(self, sender: CelerySender, worker: Worker) -> None:
        self.sender, self.worker = sender, worker

    def part(self, task: str = "early") -> Signature:
        return self.sender.app.signature(task, queue="shop")

    def trace(self, known: list[Span], tasks: int) -> list[Span]:
        """Wait for the new spans of so many tasks; they must all be of one trace."""

        def seen() -> list[Span] | None:
            self.sender.flush()
            self.worker.scrape()
            spans = [s for s in self.all() if s not in known]
            return spans if len(spans) >= 2 * tasks else None

        spans = eventually(seen, f"{tasks} tasks")
        assert len(spans) == 2 * tasks
        assert len({span.trace_id for span in spans}) == 1
        return spans

    def all(self) -> list[Span]:
        spans = read_spans(self.worker.traces)
        return [s for s in spans if s.kind in {CONSUMER, PRODUCER}]


@pytest.fixture(scope="module")
def canvas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canvas]:
    directory = tmp_path_factory.mktemp("canvas")
    results = {"SAMPLE_RESULTS": "1"}
    with (
        running_redis(directory) as server,
        instrumented_sender("celery", server.url, directory / "traces") as sender,
        running_worker(directory, server.url, "celery", "-c", "2", environ=results) as worker,
    ):
        assert isinstance(sender, CelerySender)
        sender.app.conf.result_backend = f"{server.url}/2"
        yield Canvas(sender, worker)
        # Results unsubscribe when they are collected, which may be when Redis is gone.
        sender.app.backend.result_consumer.subscribed_to.clear()


def by_id(spans: list[Span]) -> dict[str, Span]:
    assert len({span.span_id for span in spans}) == len(spans)
    return {span.span_id: span for span in spans}


def test_each_link_of_a_chain_is_sent_by_the_one_before(canvas: Canvas) -> None:
    known = canvas.all()
    chain(canvas.part(), canvas.part(), canvas.part()).apply_async()
    spans = sorted(canvas.trace(known, 3), key=lambda span: span.start_ns)
    ids = by_id(spans)
    consumers = [span for span in spans if span.kind == CONSUMER]
    senders = [ids[span.parent_id] for span in consumers]
    assert [span.parent_id for span in senders] == ["", *(s.span_id for s in consumers[:-1])]
    for sender, before in zip(senders[1:], consumers, strict=False):
        assert before.start_ns <= sender.start_ns


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_members_of_a_group_share_a_trace(
    canvas: Canvas, ratio: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = canvas.all()
    monkeypatch.setattr(canvas.sender.telemetry, "sample_ratio", ratio)
    group_id = str(uuid4())
    members = [canvas.part(), canvas.part(), chain(canvas.part(), canvas.part())]
    group(members, app=canvas.sender.app).apply_async(task_id=group_id)
    spans = canvas.trace(known, 4)
    assert {span.trace_id for span in spans} == {group_id.replace("-", "")}
    roots = [span for span in spans if not span.parent_id]
    assert len(roots) == 3, (
        "each member was sent on its own, and the rest of the chain by its first"
    )
    by_id(spans)


def test_a_group_in_a_span_is_part_of_that_trace(canvas: Canvas) -> None:
    known = canvas.all()
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(SPAN)))
    try:
        group([canvas.part(), canvas.part()], app=canvas.sender.app).apply_async()
    finally:
        context.detach(token)
    spans = canvas.trace(known, 2)
    producers = [span for span in spans if span.kind == PRODUCER]
    assert {span.trace_id for span in spans} == {f"{SPAN.trace_id:032x}"}
    assert {span.parent_id for span in producers} == {f"{SPAN.span_id:016x}"}


def test_the_body_of_a_chord_belongs_to_the_trace_of_its_header(canvas: Canvas) -> None:
    known = canvas.all()
    chord([canvas.part(), canvas.part()], canvas.part("where"), app=canvas.sender.app).apply_async()
    spans = canvas.trace(known, 3)
    (body,) = [span for span in spans if span.name == "process where"]
    ids = by_id(spans)
    last = ids[ids[body.parent_id].parent_id]
    assert last.name == "process early", "the last of the header sent the body"
    assert last.end_ns <= body.start_ns
