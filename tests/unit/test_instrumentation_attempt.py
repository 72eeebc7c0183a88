"""An attempt's life, without any framework."""

import threading

import pytest
from opentelemetry import trace
from opentelemetry.trace import Tracer, TracerProvider

from instrumentation import live
from instrumentation.attempt import Attempt, describe
from instrumentation.propagation import NO_SPAN, SpanIds
from instrumentation.records import DONE, FAILURE, STARTED, SUCCESS, Record

SENDER = SpanIds("a" * 32, "b" * 16, sampled=True)


def attempt(records: list[Record], **carrier: object) -> Attempt:
    return Attempt(records, task="t", queue="q", task_id="1", number=1, carrier=carrier)


def test_a_life() -> None:
    records: list[Record] = []
    one = attempt(records, traceparent=SENDER.traceparent())
    one.enter()
    current = trace.get_current_span().get_span_context()
    one.start()
    one.complete()
    one.record()
    assert f"{current.span_id:016x}" == one.span_id
    assert not trace.get_current_span().get_span_context().is_valid
    started, done = records
    assert started[:3] == (STARTED, "t", "q")
    assert done[0] == DONE
    assert (done[4], done[5], done[7]) == (SENDER.traceparent(), one.span_id, SUCCESS)
    assert done[11] == started[3] <= done[12]  # type: ignore[operator]


def test_without_context_the_trace_is_new_and_without_a_sender() -> None:
    records: list[Record] = []
    one = attempt(records)
    one.record()
    header = str(records[-1][4])
    assert header.split("-")[2:] == [NO_SPAN, "00"]
    assert header.split("-")[1] != "0" * 32


def test_what_begins_after_it_was_given_up_is_not_counted_again() -> None:
    records: list[Record] = []
    one = attempt(records)
    one.enter()
    one.complete(TimeoutError())
    completed = one.completed
    late = threading.Thread(target=lambda: (one.start(), one.ended()))
    late.start()
    late.join()
    one.record()
    assert [record[0] for record in records] == [STARTED, DONE]
    assert one.completed == completed == one.started
    assert records[-1][7] == FAILURE


def test_a_retry_carries_the_first_schedule_in_the_same_trace() -> None:
    carrier = {"traceparent": SENDER.traceparent(), "taskqueue-sent-ns": 7}
    first = Attempt([], task="t", queue="q", task_id="1", number=1, carrier=carrier)
    resent = first.next_carrier()
    second = Attempt([], task="t", queue="q", task_id="1", number=2, carrier=resent)
    assert resent["taskqueue-scheduled-ns"] == 7
    assert second.next_carrier()["taskqueue-scheduled-ns"] == 7
    header = str(resent["traceparent"])
    assert header.startswith(f"00-{SENDER.trace_id}-")
    assert header.endswith("-01")
    assert first.span_id not in header


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_describe_survives_any_exception() -> None:
    assert describe(UnprintableError()) == ("UnprintableError", "<not printable: RuntimeError>", "")
    name, message, stack = describe(ValueError("x" * 100_000))
    assert name == "ValueError"
    assert len(message) <= 4096
    assert len(stack) <= 4096
    assert describe(KeyError("a"))[1] == "'a'"


class Broken(TracerProvider):
    def get_tracer(self, *_args: object, **_kwargs: object) -> Tracer:
        raise RuntimeError


def test_a_broken_sdk_does_not_reach_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.trace, "get_tracer", Broken().get_tracer)
    records: list[Record] = []
    one = attempt(records, traceparent=SENDER.traceparent())
    one.enter()
    assert f"{trace.get_current_span().get_span_context().span_id:016x}" == one.span_id
    one.start()
    one.complete(UnprintableError())
    one.record()
    assert [record[0] for record in records] == [STARTED, DONE]
