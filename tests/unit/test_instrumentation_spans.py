"""Spans as text: valid OTLP whatever the strings, and true to their records."""

import os

from hypothesis import given
from hypothesis import strategies as st
from workers import CONSUMER, ERROR, INTERNAL, PRODUCER, parse_line

from instrumentation import spans
from instrumentation.attempt import Attempt
from instrumentation.backlog import Finished
from instrumentation.carrier import pack
from instrumentation.ids import SpanIds
from instrumentation.records import FAILURE, RETRY, REVOKED, SENT, SUCCESS, Error, Record

TRACE, SPAN, SENDER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "1" * 16
texts = st.text(st.characters(), max_size=20)  # with lone surrogates and controls
outcomes = st.sampled_from([SUCCESS, FAILURE, RETRY])
errors = st.one_of(st.none(), st.tuples(texts, texts, texts))


def done(  # noqa: PLR0913
    *,
    task: str = "ok",
    queue: str = "shop",
    task_id: str = "1",
    outcome: str = SUCCESS,
    sampled: bool = False,
    sender: str = SENDER,
    instants: tuple[int, ...] = (10, 20, 0, 30, 40, 50, 60),
    error: Error | None = None,
) -> Attempt:
    scheduled, sent, due, received, started, completed, acked = instants
    attempt = Attempt()
    attempt.task, attempt.queue, attempt.task_id, attempt.outcome = task, queue, task_id, outcome
    header = SpanIds(TRACE, sender, sampled).traceparent() if sender else ""
    attempt.carrier, attempt.span_id = pack(header, scheduled, sent, due), SPAN
    attempt.received, attempt.started, attempt.completed = received, started, completed
    attempt.acked, attempt.error = acked, error
    return attempt


def sent(task: str, queue: str, task_id: str, error: Error | None, parent_span: str = "") -> Record:
    return (SENT, task, queue, task_id, f"00-{TRACE}-{SENDER}-00", parent_span, 10, 20, 30, error)


def lines(*records: Finished, resource: dict[str, spans.Value] | None = None) -> list[str]:
    return [line.decode() for line, _ in spans.lines(records, "celery", resource or {})]


@given(texts, texts, texts, outcomes, errors, st.booleans(), texts)
def test_any_strings_make_valid_otlp(  # noqa: PLR0913, PLR0917
    task: str,
    queue: str,
    task_id: str,
    outcome: str,
    error: Error | None,
    sampled: bool,  # noqa: FBT001
    key: str,
) -> None:
    record = done(
        task=task,
        queue=queue,
        task_id=task_id,
        outcome=outcome,
        sampled=sampled,
        error=error,
    )
    (line,) = lines(record, sent(task, queue, task_id, error), resource={key: queue})
    assert line.endswith("\n")
    assert line.isascii()
    assert len(line.splitlines()) == 1
    process, *waits, send = parse_line(line)
    expected = {key: spans.readable(text) for key, text in (("t", task), ("q", queue))}
    assert (process.kind, send.kind) == (CONSUMER, PRODUCER)
    assert process.name == f"process {expected['t']}"
    assert send.name == f"send {expected['q']}"
    assert process.facts["taskqueue.task"] == expected["t"]
    assert process.task_id == spans.readable(task_id) == send.task_id
    assert len(waits) == (3 if sampled or outcome == FAILURE else 0)
    for span in (process, send):
        assert (span.status == ERROR) == bool(error)
        assert [spans.readable(part) for part in error or ()] == list(span.error.values())


def test_ids_times_and_attributes() -> None:
    (line,) = lines(done(sampled=True), sent("ok", "shop", "1", None, "2" * 16))
    process, *waits, send = parse_line(line)
    assert (process.trace_id, process.span_id, process.parent_id) == (TRACE, SPAN, SENDER)
    assert (process.start_ns, process.end_ns) == (40, 50)
    names = ("scheduled", "sent", "received", "acked")
    assert [process.at(name) for name in names] == [10, 20, 30, 60]
    assert process.facts["process.pid"] == os.getpid()
    assert [(w.name, w.start_ns, w.end_ns) for w in waits] == [
        ("broker wait", 20, 30), ("prefetch wait", 30, 40), ("acknowledge", 50, 60),
    ]  # fmt: skip
    assert {(w.kind, w.parent_id, w.trace_id) for w in waits} == {(INTERNAL, SPAN, TRACE)}
    assert (send.span_id, send.parent_id, send.start_ns, send.end_ns) == (SENDER, "2" * 16, 20, 30)


def test_what_is_not_known_is_not_said() -> None:
    unknown = done(instants=(0, 0, 0, 30, 40, 50, 0), sender="")
    (process,) = parse_line(lines(unknown)[0])
    assert not process.parent_id
    assert {key for key in process.facts if key.endswith("unix_nano")} == {
        "taskqueue.received_unix_nano"
    }


def test_a_wait_on_purpose_is_kept_apart() -> None:
    def waits(due: int, received: int) -> list[tuple[str, int, int]]:
        (line,) = lines(done(sampled=True, instants=(0, 20, due, received, 40, 50, 0)))
        process, *spans = parse_line(line)
        assert process.at("due") == due
        return [(span.name, span.start_ns, span.end_ns) for span in spans]

    assert waits(due=35, received=30) == [  # held by the worker until it was due
        ("delay", 20, 35), ("broker wait", 20, 30), ("prefetch wait", 35, 40),
    ]  # fmt: skip
    assert waits(due=25, received=30) == [  # held by the broker
        ("delay", 20, 25), ("broker wait", 25, 30), ("prefetch wait", 30, 40),
    ]  # fmt: skip


def test_what_never_ran_has_its_end_for_a_start() -> None:
    (process,) = parse_line(lines(done(outcome=REVOKED, instants=(0, 20, 0, 30, 0, 50, 0)))[0])
    assert (process.start_ns, process.end_ns) == (50, 50)
    assert process.facts["taskqueue.outcome"] == REVOKED


def test_many_records_are_several_lines() -> None:
    counted = list(spans.lines([done()] * 600, "celery", {}))
    assert [count for _, count in counted] == [100] * 6
    assert [len(parse_line(line)) for line, _ in counted] == [100] * 6
