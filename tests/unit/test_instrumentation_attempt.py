"""An attempt's life, without any framework."""

import os
import threading

import pytest
from opentelemetry import trace
from opentelemetry.trace import Tracer, TracerProvider

from instrumentation import live
from instrumentation.attempt import Attempt, SpooledAttempt, describe
from instrumentation.carrier import pack, read_contexts, read_instants
from instrumentation.ids import NO_IDS, SpanIds
from instrumentation.recorder import Recorder
from instrumentation.records import DONE, FAILURE, STARTED, SUCCESS, Record

SENDER = SpanIds("a" * 32, "b" * 16, sampled=True)
SENT = 1_700_000_000_000_000_000


def attempt(carrier: str = "", recorder: Recorder | None = None) -> Attempt:
    one = Attempt() if recorder is None else recorder.attempt()
    one.task, one.queue, one.task_id, one.carrier = "t", "q", "1", carrier
    return one


def test_a_life() -> None:
    recorder = Recorder()
    one = attempt(pack(SENDER.traceparent(), 0, SENT), recorder)
    one.enter()
    current = trace.get_current_span().get_span_context()
    assert recorder.drain() == ([], [], b"", b"")
    one.start()
    assert recorder.drain() == (
        [(STARTED, "t", "q", one.started, os.getpid(), "1", 1)],
        [],
        b"",
        b"",
    )
    assert recorder.drain() == ([], [], b"", b""), "a start counts once"
    one.complete()
    one.record()
    assert f"{current.span_id:016x}" == one.span_id
    assert not trace.get_current_span().get_span_context().is_valid
    assert recorder.drain() == ([], [one], b"", b"")
    assert (one.outcome, one.pid, one.counted) == (SUCCESS, os.getpid(), True)
    assert 0 < one.started <= one.completed
    assert len(recorder) == 0


def test_a_start_that_nobody_saw_is_counted_with_the_end() -> None:
    recorder = Recorder()
    one = attempt("", recorder)
    one.start()
    one.complete()
    one.record()
    assert recorder.drain() == ([], [one], b"", b"")
    assert not one.counted


def test_in_a_pool_child_everything_is_said_at_once() -> None:
    records: list[Record] = []
    one = SpooledAttempt(records.append)
    one.start()
    assert records == [(STARTED, "", "", one.started, os.getpid(), "", 1)]
    one.complete(ValueError())
    one.record()
    one.record()
    assert [record[0] for record in records] == [STARTED, DONE]
    heard = Attempt.heard(records[-1])
    assert (heard.outcome, heard.counted) == (FAILURE, True)
    assert heard.told() == one.told() == records[-1]


@pytest.mark.parametrize("carrier", ["", "00-junk", "junk;0;5;0", ";0;5;0"])
def test_without_context_the_trace_is_new_and_without_a_sender(carrier: str) -> None:
    one = attempt(carrier)
    trace_id, span_id, sampled = one.ids()
    assert one.ids() == (trace_id, span_id, sampled), "the same whenever somebody asks"
    assert not sampled
    assert read_contexts([one.carrier]) == ((trace_id,), ("",), ("00",))
    assert one.wanted() == (5 if ";" in carrier else 0)
    assert read_instants([one.carrier])[1] == ("junk" in carrier)


def test_what_begins_after_it_was_given_up_is_not_counted_again() -> None:
    one = attempt()
    one.enter()
    one.complete(TimeoutError())
    completed = one.completed
    late = threading.Thread(target=lambda: (one.start(), one.ended()))
    late.start()
    late.join()
    one.record()
    assert one.completed == completed == one.started
    assert one.outcome == FAILURE


def test_a_retry_carries_the_first_schedule_in_the_same_trace() -> None:
    first = attempt(pack(SENDER.traceparent(), 0, SENT))
    resent = first.next_carrier(SENT + 9)
    second = attempt(resent)
    carriers = [resent, second.next_carrier(0)]
    contexts, (instants, _) = read_contexts(carriers), read_instants(carriers)
    scheduled, _, due = instants.tolist()
    assert scheduled == [SENT, SENT], "the first sending, as there was no schedule"
    assert due == [SENT + 9, 0]
    assert set(contexts.trace_ids) == {SENDER.trace_id}
    assert set(contexts.flags) == {"01"}
    assert len({SENDER.span_id, *contexts.senders, first.span_id, second.span_id}) == 5


def test_a_task_that_was_to_wait_was_wanted_when_it_was_due() -> None:
    assert attempt(pack(SENDER.traceparent(), 0, SENT, SENT + 5)).wanted() == SENT + 5
    assert attempt(pack(SENDER.traceparent(), SENT - 3, SENT, SENT + 5)).wanted() == SENT - 3


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


def test_a_broken_sdk_does_not_reach_the_task() -> None:
    undo = live.use(Broken())
    one = attempt(pack(SENDER.traceparent(), 0, SENT))
    one.enter()
    assert f"{trace.get_current_span().get_span_context().span_id:016x}" == one.span_id
    one.start()
    one.complete(UnprintableError())
    one.record()
    undo()
    assert one.outcome == FAILURE


def test_who_asks_when_it_is_over_is_told_of_no_trace_that_no_span_has() -> None:
    asked, late = Attempt(), Attempt()
    begun = asked.ids()
    for one in (asked, late):
        one.complete()
        one.record()
    assert asked.ids() == begun
    assert late.ids() == NO_IDS
    assert not late.carrier
